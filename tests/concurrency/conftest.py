"""Stress tests say how much they tried."""

from __future__ import annotations

import pytest
from crews import HANG, LONG


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give the long forms the time that they need."""
    for item in items:
        if LONG and item.path.parent.name == "concurrency":
            item.add_marker(pytest.mark.timeout(HANG))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print how many crash points were tried, in all and by each test."""
    tried = {
        report.nodeid.rpartition("::")[2]: value
        for report in terminalreporter.getreports("passed")
        for name, value in report.user_properties
        if name == "crash points"
    }
    if tried:
        terminalreporter.write_sep("=", "crash points tried")
        for test, points in sorted(tried.items()):
            terminalreporter.write_line(f"{points!s:>6} {test}")
        terminalreporter.write_line(f"{sum(map(int, map(str, tried.values()))):>6} in all")
