"""The table at the end."""

from __future__ import annotations

import pytest

from tests.faults.running import Tally

TALLY = Tally()


@pytest.fixture
def tally() -> Tally:
    """For tests that try a fault more than once; the first try is the test's own."""
    return TALLY


@pytest.fixture(autouse=True)
def counted(request: pytest.FixtureRequest):
    """Count the test under its kind of fault, as survived if it passes."""
    yield
    kind = request.node.get_closest_marker("fault")
    report = getattr(request.node, "outcome_of_call", None)
    if kind is not None and report is not None and not report.skipped:
        TALLY.count(kind.args[0], report.passed)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo):
    report = yield
    if report.when == "call":
        item.outcome_of_call = report  # type: ignore[attr-defined]
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if TALLY.tried:
        terminalreporter.section("faults")
        terminalreporter.write_line(TALLY.table())
