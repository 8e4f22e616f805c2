"""Vector instructions by hand, for the few loops where a compiler's choice costs too much."""

from __future__ import annotations

from llvmlite import ir
from numba.core import cgutils

from hpsearch.engine.kernels.compiling import LANES

I32, I64, F32 = ir.IntType(32), ir.IntType(64), ir.FloatType()
VECTOR = ir.VectorType(F32, LANES)
MASK = ir.VectorType(ir.IntType(1), LANES)
ZEROS = ir.Constant(VECTOR, [0.0] * LANES)


def number(value):
    """A constant index."""
    return ir.Constant(I64, value)


class Vectors:
    """Vector instructions put into a function under construction; the last vector of a row may be a part of one."""

    def __init__(self, builder):
        self.builder = builder
        pointer = VECTOR.as_pointer()
        module = builder.module
        fma = ir.FunctionType(VECTOR, [VECTOR] * 3)
        self._fma = cgutils.get_or_insert_function(module, fma, f"llvm.fmuladd.v{LANES}f32")
        load = ir.FunctionType(VECTOR, [pointer, I32, MASK, VECTOR])
        self._load = cgutils.get_or_insert_function(module, load, f"llvm.masked.load.v{LANES}f32.p0")
        store = ir.FunctionType(ir.VoidType(), [VECTOR, pointer, I32, MASK])
        self._store = cgutils.get_or_insert_function(module, store, f"llvm.masked.store.v{LANES}f32.p0")

    def spread(self, scalar, vector_type=VECTOR):
        """A vector of LANES times the same."""
        nothing = ir.Constant(vector_type, ir.Undefined)
        first = self.builder.insert_element(nothing, scalar, ir.Constant(I32, 0))
        return self.builder.shuffle_vector(first, nothing, ir.Constant(ir.VectorType(I32, LANES), [0] * LANES))

    def below(self, count):
        """The mask of the first `count` lanes."""
        lanes = ir.VectorType(I32, LANES)
        few = self.builder.trunc(count, I32)  # what is left of a row or a block
        return self.builder.icmp_signed("<", ir.Constant(lanes, list(range(LANES))), self.spread(few, lanes))

    def constant(self, value):
        """A vector of LANES times the same number."""
        return ir.Constant(VECTOR, [value] * LANES)

    def load(self, place, mask=None):
        """The vector at a place; 0 where the mask is not set, and nothing is read there."""
        place = self.builder.bitcast(place, VECTOR.as_pointer())
        if mask is None:
            return self.builder.load(place, align=4)
        return self.builder.call(self._load, [place, ir.Constant(I32, 4), mask, ZEROS])

    def store(self, vector, place, mask=None):
        """Write the lanes of the mask."""
        place = self.builder.bitcast(place, VECTOR.as_pointer())
        if mask is None:
            self.builder.store(vector, place, align=4)
        else:
            self.builder.call(self._store, [vector, place, ir.Constant(I32, 4), mask])

    def fma(self, a, b, c):
        """The sum of a b and c, in one rounding where the processor can."""
        return self.builder.call(self._fma, [a, b, c])

    def inverse_root(self, x):
        """1 / sqrt(x) for x from 1e-37 to 1e37: the processor's guess of 12 or 14 bits and one step of Newton's.

        y' = y (3/2 - x y^2 / 2) squares the error: at most 2e-7 is left. Division and root of vectors, one after the
        other, would take half the time of a step of Adam.
        """
        if LANES == 4:
            root = self._call(f"llvm.sqrt.v{LANES}f32", x)
            return self.builder.fdiv(self.constant(1.0), root)
        guess = self._guess("rsqrt", x)
        half = self.builder.fmul(self.builder.fmul(x, guess), self.builder.fmul(guess, self.constant(-0.5)))
        return self.builder.fmul(guess, self.builder.fadd(half, self.constant(1.5)))

    def inverse(self, x):
        """1 / x likewise: y' = y + y (1 - x y)."""
        if LANES == 4:
            return self.builder.fdiv(self.constant(1.0), x)
        guess = self._guess("rcp", x)
        rest = self.fma(self.builder.fneg(x), guess, self.constant(1.0))
        return self.fma(rest, guess, guess)

    def total(self, x):
        """Sum of the lanes."""
        kind = ir.FunctionType(F32, [F32, VECTOR])
        add = cgutils.get_or_insert_function(self.builder.module, kind, f"llvm.vector.reduce.fadd.v{LANES}f32")
        return self.builder.call(add, [ir.Constant(F32, 0.0), x], fastmath=("reassoc",))

    def largest(self, a, b):
        """The larger of two, lane by lane; NaN stays where `a` has one."""
        return self.builder.select(self.builder.fcmp_ordered("<", a, b), b, a)

    def _guess(self, what, x):
        if LANES == 16:
            mask = ir.IntType(16)
            kind = ir.FunctionType(VECTOR, [VECTOR, VECTOR, mask])
            name = f"llvm.x86.avx512.{what}14.ps.512"
            function = cgutils.get_or_insert_function(self.builder.module, kind, name)
            return self.builder.call(function, [x, x, ir.Constant(mask, -1)])
        return self._call(f"llvm.x86.avx.{what}.ps.256", x)

    def _call(self, name, x):
        function = cgutils.get_or_insert_function(self.builder.module, ir.FunctionType(VECTOR, [VECTOR]), name)
        return self.builder.call(function, [x])
