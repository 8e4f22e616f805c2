"""A number for each of up to a million trials, in little memory."""

from __future__ import annotations

import math
from array import array
from collections.abc import MutableMapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = 256
NOTHING = array("d", [math.nan]) * PAGE


class Column(MutableMapping[int, float]):
    """Numbers by trial, in the order of the trials: 8 bytes each where many trials follow each other.

    Every whole number below 2^53 is kept as it is. NaN stands for nothing.
    """

    def __init__(self) -> None:
        self._pages: dict[int, array[float]] = {}
        self._count = 0

    def __getitem__(self, trial: int) -> float:
        value = self._pages.get(trial // PAGE, NOTHING)[trial % PAGE]
        if math.isnan(value):
            raise KeyError(trial)
        return value

    def __contains__(self, trial: object) -> bool:
        return isinstance(trial, int) and not math.isnan(self._pages.get(trial // PAGE, NOTHING)[trial % PAGE])

    def __setitem__(self, trial: int, value: float) -> None:
        number, place = divmod(trial, PAGE)
        page = self._pages.get(number)
        if page is None:
            page = self._pages[number] = NOTHING[:]
        self._count += math.isnan(page[place])
        page[place] = value

    def __delitem__(self, trial: int) -> None:
        if trial not in self:
            raise KeyError(trial)
        self._pages[trial // PAGE][trial % PAGE] = math.nan
        self._count -= 1

    def __iter__(self) -> Iterator[int]:
        for place in sorted(self._pages):
            for trial, value in enumerate(self._pages[place], start=place * PAGE):
                if not math.isnan(value):
                    yield trial

    def __len__(self) -> int:
        return self._count
