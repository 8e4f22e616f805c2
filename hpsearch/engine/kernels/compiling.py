"""How everything here is compiled, and how one part finds another.

A Numba function carries a copy of all that it calls, and each copy is optimised anew: compiling a net of functions in
one piece takes time that grows much faster than its size. So the work is cut into stages. Each is compiled by itself,
under a symbol by which the others call it, as C programs do; a call costs two nanoseconds. Stages and helpers take
pointers and numbers only: no reference is counted, no negative index wrapped, and a matrix within a larger array is a
pointer to its start. What comes out is one object file (see ../cache.py), which needs neither Numba nor Python to run.
"""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, NamedTuple

from llvmlite import binding, ir
from numba import config, float32, float64, int32, int64, njit, types, uint64
from numba.core import cgutils
from numba.core.registry import cpu_target
from numba.extending import intrinsic

if TYPE_CHECKING:
    from numba.core.compiler import CompileResult

COMPILED = not config.DISABLE_JIT

# NaN and infinity keep their meaning: a diverging run must be seen. Division by zero gives inf instead of a branch.
OPTIONS = {"fastmath": {"reassoc", "contract", "arcp", "nsz", "afn"}, "error_model": "numpy"}

NUMBERS, SUMS = types.CPointer(float32), types.CPointer(float64)
LABELS, PLACES, KEYS = types.CPointer(int32), types.CPointer(int64), types.CPointer(uint64)

helper = njit(no_cpython_wrapper=True, no_cfunc_wrapper=True, **OPTIONS) if COMPILED else (lambda function: function)


class Stage(NamedTuple):
    """A compiled stage: its name in C, the names of its result's and arguments' types, and what Numba made of it."""

    symbol: str
    kinds: list[str]
    compiled: CompileResult


STAGES: list[Stage] = []
ENTRANCES = ("hpsearch_train", "hpsearch_evaluate")  # what Python calls, and takes long
SOMEWHERE = 4096  # stands for the address of a stage while others are compiled, none of which runs


def stage(signature):
    """Compile a function by itself and make it known to all that are compiled after it."""

    def compile_it(function):
        if not COMPILED:
            return function
        symbol = f"hpsearch_{function.__name__}"
        dispatcher = njit(signature, no_cpython_wrapper=True, no_cfunc_wrapper=True, **OPTIONS)(function)
        (compiled,) = dispatcher.overloads.values()
        kinds = [str(kind) for kind in (signature.return_type, *signature.args)]
        STAGES.append(Stage(symbol, kinds, compiled))
        binding.add_symbol(symbol, SOMEWHERE)
        return types.ExternalFunction(symbol, signature)

    return compile_it


def object_code() -> bytes:
    """All stages as one relocatable object file for this processor."""
    codegen = cpu_target.target_context.codegen()
    whole = binding.parse_assembly(_doors())
    for stage in STAGES:
        whole.link_in(binding.parse_assembly(stage.compiled.library.get_llvm_str()))
    whole.verify()
    return codegen._tm.emit_object(whole)  # noqa: SLF001 - the target machine with all that this processor can do


def _doors() -> str:
    """For each stage a function in C's manner around the one in Numba's, which reports errors that ours cannot have."""
    context = cpu_target.target_context
    module = context.codegen()._create_empty_module("hpsearch")  # noqa: SLF001 - with this machine's data layout
    for symbol, _, compiled in STAGES:
        signature = compiled.signature
        inner_type = context.call_conv.get_function_type(signature.return_type, signature.args)
        inner = ir.Function(module, inner_type, compiled.fndesc.llvm_func_name)
        result_type = inner_type.args[0].pointee
        returns = signature.return_type != types.void
        outer_type = ir.FunctionType(result_type if returns else ir.VoidType(), inner_type.args[2:])
        outer = ir.Function(module, outer_type, symbol)
        builder = ir.IRBuilder(outer.append_basic_block())
        result, error = builder.alloca(result_type), builder.alloca(inner_type.args[1].pointee)
        with _without_denormals(builder) if symbol in ENTRANCES else nullcontext():
            builder.call(inner, [result, error, *outer.args])
        if returns:
            builder.ret(builder.load(result))
        else:
            builder.ret_void()
    return str(module)


@contextmanager
def _without_denormals(builder):
    """Round numbers below 1e-38 to 0 (bits 15 and 6 of MXCSR) in what is built here.

    The memories of units that are never active any more shrink until they are such numbers, and would stay: rounding
    brings 0.9 times the smallest of them back to it. Each costs x86 some 150 cycles at every update.
    """
    if not binding.get_process_triple().startswith(("x86_64", "i686")):
        yield
        return
    whole = ir.IntType(32)
    kind = ir.FunctionType(ir.VoidType(), [whole.as_pointer()])
    read, write = (
        cgutils.get_or_insert_function(builder.module, kind, f"llvm.x86.sse.{name}mxcsr") for name in ("st", "ld")
    )
    before, now = builder.alloca(whole), builder.alloca(whole)
    builder.call(read, [before])
    builder.store(builder.or_(builder.load(before), ir.Constant(whole, 1 << 15 | 1 << 6)), now)
    builder.call(write, [now])
    yield
    builder.call(write, [before])


@intrinsic
def _moved(_, pointer, count):
    def codegen(_context, builder, _signature, arguments):
        return builder.gep(arguments[0], [arguments[1]])

    return pointer(pointer, count), codegen


@intrinsic
def _as_whole(_, pointer):
    def codegen(_context, builder, _signature, arguments):
        return builder.bitcast(arguments[0], ir.IntType(32).as_pointer())

    return LABELS(pointer), codegen


@intrinsic
def _copied(_, source, target, count):
    def codegen(context, builder, signature, arguments):
        source, target, count = arguments
        size = context.get_abi_sizeof(context.get_data_type(signature.args[0].dtype))
        cgutils.raw_memcpy(builder, target, source, count, size)
        return context.get_dummy_value()

    return types.void(source, target, count), codegen


def _copy_arrays(source, target, count):
    target[:count] = source[:count]


# Uncompiled, an array stands for the pointer to its start.
after = _moved if COMPILED else (lambda array, count: array[int(count) :])
copy = _copied if COMPILED else _copy_arrays
bits_of = _as_whole if COMPILED else (lambda array: array.view("int32"))


def _vectors() -> tuple[int, int, int]:
    """Floats in a vector register, and rows and vectors of a product's tile, whose sums fit into the registers."""
    features = config.CPU_FEATURES if config.CPU_FEATURES is not None else binding.get_host_cpu_features().flatten()
    if "+avx512f" in features:
        return 16, 8, 3
    return (8, 6, 2) if "+avx" in features else (4, 6, 2)


LANES, TILE_ROWS, TILE_VECTORS = _vectors()
