"""What the tests of several folders share."""

import os
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from deploy.broker import LocalBroker, local_broker
from rig.streams import FAST_GROUPS, broker_with

pytest_plugins = ["faults.matrix", "rig.lanes"]

REPOSITORY = Path(__file__).resolve().parents[1]

# What even CI has not: a card, and a program that no Python package carries.
MISSING_IN_CI = ("GPU", "kustomize")


@pytest.fixture(scope="session")
def broker() -> Iterator[LocalBroker]:
    """One Apache Kafka for the whole run; each test names topics and groups of its own."""
    with local_broker() as node:
        yield node


@pytest.fixture(scope="session")
def fast_broker() -> Iterator[LocalBroker]:
    """Another one, for the streams of `rig.streams`, which misses a dead worker in seconds."""
    with broker_with(FAST_GROUPS) as node:
        yield node


@pytest.fixture(scope="session")
def six_labels() -> Path:
    """Return the file of 1,503 real comments with six labels, or skip where it is not there."""
    folder = Path(os.environ.get("TIDEGATE_DATA", REPOSITORY.parent / "shared" / "data"))
    path = folder / "jigsaw-six-labels.csv"
    if not path.is_file():
        pytest.skip("the labelled comments are not here: set TIDEGATE_DATA to their folder")
    return path


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,  # noqa: ARG001 - pytest's signature
    call: pytest.CallInfo[None],  # noqa: ARG001 - pytest's signature
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Elsewhere a test may be skipped where something is missing; in CI that is a failure."""
    report: pytest.TestReport = yield
    if report.skipped and "CI" in os.environ and not hasattr(report, "wasxfail"):
        reason = str(report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr)
        if not any(word in reason for word in MISSING_IN_CI):
            report.outcome = "failed"
            report.longrepr = f"skipped in CI: {reason}"
    return report
