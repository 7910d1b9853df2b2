"""The fault matrix as pytest runs it: rows are seeded, void if no fault bit, summed at the end.

    TIDEGATE_FAULTS_SEED=7 python -m pytest tests/faults    the same faults once more
    TIDEGATE_FAULTS_RESULTS=results.jsonl …                 and keep what they came to

A plugin, because rows may run in other processes than the one that shows the table: what a row
came to travels there with its test's report, and the seed travels the other way.
"""

import json
import os
from collections.abc import Generator
from dataclasses import asdict
from pathlib import Path
from secrets import randbelow
from typing import Any, Final

import pytest

from faults.report import Result, Row, append, result_of, table

RESULTS: Final = os.environ.get("TIDEGATE_FAULTS_RESULTS")

ROW: Final = pytest.StashKey[Row]()
SEED: Final = pytest.StashKey[int]()
CAME_TO: Final = "row came to"  # the property of a report that holds a row's result


def pytest_configure(config: pytest.Config) -> None:
    """Take the seed from the process that started this one, the environment, or chance."""
    from_above = getattr(config, "workerinput", {}).get("seed")
    given = from_above or os.environ.get("TIDEGATE_FAULTS_SEED")
    config.stash[SEED] = int(given or randbelow(1_000_000))
    if from_above is None:
        config.pluginmanager.register(Ended(), "rows that ended")


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Give the seed to a process that pytest-xdist starts."""
    node.workerinput["seed"] = str(node.config.stash[SEED])


def pytest_report_header(config: pytest.Config) -> str:
    """Say with which seed."""
    return f"faults: TIDEGATE_FAULTS_SEED={config.stash[SEED]}"


@pytest.fixture
def row(request: pytest.FixtureRequest) -> Row:
    """Give the row that the test belongs to; it must count a fault, or the test fails as void."""
    marker = request.node.get_closest_marker("row")
    assert marker is not None, "mark the test with the row that it is: @pytest.mark.row('P1')"
    found = Row(marker.args[0], request.node.nodeid, request.config.stash[SEED])
    request.node.stash[ROW] = found
    return found


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """Fail a test whose row counted no fault: it proved nothing."""
    result = yield
    if ROW in pyfuncitem.stash:
        pyfuncitem.stash[ROW].must_have_bitten()
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Send along what a row came to, and say beside a failure how to have it once more."""
    report = yield
    if call.when == "call" and ROW in item.stash:
        row = item.stash[ROW]
        result = result_of(row, report.outcome, report.duration)
        report.user_properties.append((CAME_TO, json.dumps(asdict(result))))
        again = f"TIDEGATE_FAULTS_SEED={row.seed} python -m pytest '{row.test}'"
        report.sections.append((f"row {row.name}, once more", again))
    return report


class Ended:
    """The rows that ended, wherever they ran; only the process that shows them has this."""

    def __init__(self) -> None:
        self.results: list[Result] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take what a row came to out of its test's report."""
        for name, value in report.user_properties:
            if name == CAME_TO:
                self.results.append(Result(**json.loads(str(value))))

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Show the matrix, and keep it if asked to."""
        if not self.results:
            return
        terminalreporter.section("fault matrix")
        for line in table(self.results):
            terminalreporter.write_line(line)
        for result in self.results:
            if result.figures:
                figures = ", ".join(f"{name} {figure:g}" for name, figure in result.figures.items())
                test = result.test.partition("::")[2]
                terminalreporter.write_line(f"{result.row} {test}: {figures}")
        if RESULTS:
            append(self.results, Path(RESULTS))
