"""What tests of the loop drive it with."""

from types import SimpleNamespace

from hpsearch.study import StopRules

NEVER = StopRules()
QUIET = SimpleNamespace(finished=lambda result, best: None, tick=lambda: None)


class After:
    """A stop rule that gives its reason when it was asked so many times."""

    goal = None

    def __init__(self, times, reason="timeout"):
        self._left = times
        self._reason = reason

    def reason(self):
        self._left -= 1
        return self._reason if self._left < 0 else None
