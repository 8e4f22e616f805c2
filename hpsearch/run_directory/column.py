"""A number for each of up to a million trials, in little memory."""

from __future__ import annotations

import math
from array import array
from collections.abc import MutableMapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

BITS = 8  # of a trial's number that are its place on a page
PLACE = (1 << BITS) - 1
NOTHING = array("d", [math.nan]) * (1 << BITS)


class Column(MutableMapping[int, float]):
    """Numbers by trial, in the order of the trials: 8 bytes each where many trials follow each other.

    Every whole number below 2^53 is kept as it is. NaN, which alone differs from itself, stands for nothing.
    """

    def __init__(self) -> None:
        self._pages: dict[int, array[float]] = {}
        self._count = 0

    def __getitem__(self, trial: int) -> float:
        value = self._pages.get(trial >> BITS, NOTHING)[trial & PLACE]
        if value != value:  # noqa: PLR0124
            raise KeyError(trial)
        return value

    def __contains__(self, trial: object) -> bool:
        if not isinstance(trial, int):
            return False
        value = self._pages.get(trial >> BITS, NOTHING)[trial & PLACE]
        return value == value  # noqa: PLR0124

    def __setitem__(self, trial: int, value: float) -> None:
        page = self._pages.get(trial >> BITS)
        if page is None:
            page = self._pages[trial >> BITS] = NOTHING[:]
        place = trial & PLACE
        before = page[place]
        self._count += before != before  # noqa: PLR0124
        page[place] = value

    def __delitem__(self, trial: int) -> None:
        if trial not in self:
            raise KeyError(trial)
        self.discard(trial)

    def discard(self, trial: int) -> bool:
        """Take a trial away; whether it was there."""
        page = self._pages.get(trial >> BITS, NOTHING)
        value = page[trial & PLACE]
        if value != value:  # noqa: PLR0124
            return False
        page[trial & PLACE] = math.nan
        self._count -= 1
        return True

    def __iter__(self) -> Iterator[int]:
        for place in sorted(self._pages):
            for trial, value in enumerate(self._pages[place], start=place << BITS):
                if not math.isnan(value):
                    yield trial

    def __len__(self) -> int:
        return self._count
