"""Faults on purpose. `--torture` makes them more by far; a table at the end says what was seen."""

import pytest

SEEN = pytest.StashKey[list]()


@pytest.fixture
def seen(request):
    """A function that notes for the table what was done and what was found."""
    return lambda fault, found: request.config.stash.setdefault(SEEN, []).append((fault, found))


@pytest.fixture(scope="session")
def often(request):
    """A function that chooses how often: so many times in the fast tier, so many in the long one."""
    torture = request.config.getoption("--torture")
    return lambda few, many: many if torture else few


def pytest_terminal_summary(terminalreporter, config):
    if rows := config.stash.get(SEEN, []):
        terminalreporter.section("faults")
        width = max(len(fault) for fault, _ in rows)
        for fault, found in rows:
            terminalreporter.write_line(f"{fault.ljust(width)}  {found}")
