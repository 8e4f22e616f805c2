"""Points that fill the unit cube more evenly than chance does: Sobol's sequence, scrambled.

Of any 2^k points in a row that begin at a multiple of 2^k, each interval of length 2^-k along every side holds exactly
one, so a search of 50 trials has looked at 50 different learning rates, and pairs of sides are covered nearly as well.
The scrambling makes each point uniformly distributed on its own, and another seed gives other points.
"""

from __future__ import annotations

import numpy as np

BITS = 32
MOST_SIDES = 64

# Joe and Kuo (2008), doi 10.1137/070709359: for each side but the first, a primitive polynomial over GF(2) as the bits
# of a number, and the first direction integers m.
_NUMBERS = """
    3:1 7:1,3 11:1,3,1 13:1,1,1 19:1,1,3,3 25:1,3,5,13 37:1,1,5,5,17 41:1,1,5,5,5 47:1,1,7,11,19 55:1,1,5,1,1
    59:1,1,1,3,11 61:1,3,5,5,31 67:1,3,3,9,7,49 91:1,1,1,15,21,21 97:1,3,1,13,27,49 103:1,1,1,15,7,5
    109:1,3,1,15,13,25 115:1,1,5,5,19,61 131:1,3,7,11,23,15,103 137:1,3,7,13,13,15,69 143:1,1,3,13,7,35,63
    145:1,3,5,9,1,25,53 157:1,3,1,13,9,35,107 167:1,3,1,5,27,61,31 171:1,1,5,11,19,41,61 185:1,3,5,3,3,13,69
    191:1,1,7,13,1,19,1 193:1,3,7,5,13,19,59 203:1,1,3,9,25,29,41 211:1,3,5,13,23,1,55 213:1,3,7,3,13,59,17
    229:1,3,1,3,5,53,69 239:1,1,5,5,23,33,13 241:1,1,7,7,1,61,123 247:1,1,7,9,13,61,49 253:1,3,3,5,3,55,33
    285:1,3,1,15,31,13,49,245 299:1,3,5,15,31,59,63,97 301:1,3,1,11,11,11,77,249 333:1,3,1,11,27,43,71,9
    351:1,1,7,15,21,11,81,45 355:1,3,7,3,25,31,65,79 357:1,3,1,1,19,11,3,205 361:1,1,5,9,19,21,29,157
    369:1,3,7,11,1,33,89,185 391:1,3,3,3,15,9,79,71 397:1,3,7,11,15,39,119,27 425:1,1,3,1,11,31,97,225
    451:1,1,1,3,23,43,57,177 463:1,3,7,7,17,17,37,71 487:1,3,1,5,27,63,123,213 501:1,1,3,5,11,43,53,133
    529:1,3,5,5,29,17,47,173,479 539:1,3,3,11,3,1,109,9,69 545:1,1,1,5,17,39,23,5,343 557:1,3,1,5,25,15,31,103,499
    563:1,1,1,11,11,17,63,105,183 601:1,1,5,11,9,29,97,231,363 607:1,1,5,15,19,45,41,7,383
    617:1,3,7,7,31,19,83,137,221 623:1,1,1,3,23,15,111,223,83 631:1,1,5,13,31,15,55,25,161
    637:1,1,3,13,25,47,39,87,257
"""


class SobolSequence:
    """The points of a `sides`-dimensional scrambled Sobol sequence, by index; ValueError for more than MOST_SIDES.

    Scrambled as by Matousek (1998, doi 10.1006/jcom.1998.0489): every bit also depends, linearly and at random, on the
    bits before it, and all are shifted by a random point.
    """

    def __init__(self, sides: int, generator: np.random.Generator) -> None:
        directions = _directions(sides)
        matrices = np.tril(generator.integers(0, 2, (sides, BITS, BITS), np.uint8), -1) + np.eye(BITS, dtype=np.uint8)
        bits = (directions[:, :, None] >> np.arange(BITS - 1, -1, -1, dtype=np.uint64)) & np.uint64(1)
        mixed = np.einsum("sij,skj->ski", matrices, bits.astype(np.uint8)) & 1
        weights = np.uint64(1) << np.arange(BITS - 1, -1, -1, dtype=np.uint64)
        self._directions = mixed.astype(np.uint64) @ weights
        self._shift = generator.integers(0, 2**BITS, sides, np.uint64)

    def __getitem__(self, index: int) -> np.ndarray:
        """Point number `index` (from 0, below 2^32): (sides,) float64 in [0, 1)."""
        places = [place for place in range(BITS) if index >> place & 1]
        whole = np.bitwise_xor.reduce(self._directions[:, places], axis=1, initial=np.uint64(0)) ^ self._shift
        return whole / 2.0**BITS


def _directions(sides: int) -> np.ndarray:
    """Direction numbers (sides, BITS) uint64: column k is what bit k of the index adds (exclusive or)."""
    if sides > MOST_SIDES:
        raise ValueError(f"{sides} sides; the table has {MOST_SIDES}")
    found = np.zeros((sides, BITS), np.uint64)
    for side, text in enumerate(["1:", *_NUMBERS.split()][:sides]):
        polynomial, _, first = text.partition(":")
        found[side] = [m << (BITS - 1 - k) for k, m in enumerate(_integers(int(polynomial), first))]
    return found


def _integers(polynomial: int, first: str) -> list[int]:
    """The direction integers m, by Bratley and Fox's recurrence over the polynomial's coefficients."""
    if not first:
        return [1] * BITS
    m = [int(number) for number in first.split(",")]
    degree = len(m)
    for k in range(degree, BITS):
        new = m[k - degree]
        for i in range(1, degree + 1):
            if polynomial >> (degree - i) & 1:
                new ^= m[k - i] << i
        m.append(new)
    return m
