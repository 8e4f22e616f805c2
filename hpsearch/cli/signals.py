"""Signals during a search: the first one asks for an orderly end, the second one ends at once."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType
    from typing import Self

HANDLED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class OrderlyEnd:
    """While active, remembers the first of the handled signals in `received`; a second one kills.

    A signal that was ignored when we started stays so: `nohup` and shells that start jobs in the background mean it.
    In another thread than the main one, which alone may handle signals, it does nothing.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._before: dict[int, object] = {}
        self._asking = False

    def __enter__(self) -> Self:
        for number in HANDLED if threading.current_thread() is threading.main_thread() else ():
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextlib.contextmanager
    def asking(self) -> Iterator[None]:
        """While a person is asked something, which nothing but an exception ends before the answer."""
        self._asking = True
        try:
            if self.received is not None:  # a moment ago
                raise KeyboardInterrupt
            yield
        finally:
            self._asking = False

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if self.received is not None:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        self.received = number
        if self._asking:
            raise KeyboardInterrupt
