"""Faults on purpose. `--torture` makes them more by far; a table at the end says what was seen."""

import pytest

FAULT = "fault"


@pytest.fixture
def seen(record_property):
    """A function that notes for the table what was done and what was found."""
    return lambda fault, found: record_property(FAULT, (fault, found))


@pytest.fixture(scope="session")
def often(request):
    """A function that chooses how often: so many times in the fast tier, so many in the long one."""
    torture = request.config.getoption("--torture")
    return lambda few, many: many if torture else few


def pytest_terminal_summary(terminalreporter):
    reports = [
        report for found in terminalreporter.stats.values() for report in found if hasattr(report, "user_properties")
    ]
    rows = [
        row
        for report in reports
        if getattr(report, "when", "") == "call"
        for name, row in report.user_properties
        if name == FAULT
    ]
    if rows:
        terminalreporter.section("faults")
        width = max(len(fault) for fault, _ in rows)
        for fault, found in rows:
            terminalreporter.write_line(f"{fault.ljust(width)}  {found}")
