"""The fault matrix: each test is a row of it, is seeded, and is void if no fault bit.

    TIDEGATE_FAULTS_SEED=7 python -m pytest tests/faults    the same faults once more
    TIDEGATE_FAULTS_RESULTS=results.jsonl …                 and keep what they came to

`make faults` adds the rows that take minutes.
"""

import os
import subprocess
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from secrets import randbelow
from shutil import which

import pytest

import rig
from faults.cluster import Cluster, one_node, three_nodes
from faults.report import Result, Row, append, result_of, table
from rig.stream import Stream
from rig.streams import broker
from rig.streams import make_stream as make_plain_stream

__all__ = ["broker", "make_plain_stream", "one_node", "three_nodes"]  # fixtures

SEED = int(os.environ.get("TIDEGATE_FAULTS_SEED") or randbelow(1_000_000))
RESULTS = os.environ.get("TIDEGATE_FAULTS_RESULTS")

ROW = pytest.StashKey[Row]()
ENDED = pytest.StashKey[list[Result]]()


def pytest_configure(config: pytest.Config) -> None:
    """Make room for what ends."""
    config.stash[ENDED] = []


def pytest_report_header() -> str:
    """Say with which seed."""
    return f"faults: TIDEGATE_FAULTS_SEED={SEED}"


@pytest.fixture
def row(request: pytest.FixtureRequest) -> Row:
    """Give the row that the test belongs to; it must count a fault, or the test fails as void."""
    marker = request.node.get_closest_marker("row")
    assert marker is not None, "mark the test with the row that it is: @pytest.mark.row('P1')"
    found = Row(marker.args[0], request.node.nodeid, SEED)
    request.node.stash[ROW] = found
    return found


@pytest.fixture
def make_stream(make_plain_stream: Callable[[int], Stream]) -> Iterator[Callable[[int], Stream]]:
    """Give a maker of streams that a reader looks at from the first moment on (I4, I8)."""
    watches = []

    def make(partitions: int) -> Stream:
        stream = make_plain_stream(partitions)
        watches.append(stream.watch())
        return stream

    yield make
    for watch in watches:
        watch.close()


@pytest.fixture
def make_stream_on_three(three_nodes: Cluster, row: Row, tmp_path: Path) -> Callable[[int], Stream]:
    """Give a maker of streams with three replicas."""
    three_nodes.start()  # what the test before left stopped
    return three_nodes.maker_of_streams(row, tmp_path)


@pytest.fixture(scope="session")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the library that moves the clock and takes the resolver away."""
    compiler = which("cc")
    if compiler is None:
        pytest.skip("no C compiler is here")
    source = Path(rig.__file__).with_name("elsewhere.c")
    library = tmp_path_factory.mktemp("elsewhere") / "elsewhere.so"
    command = [compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl"]
    subprocess.run(command, check=True)
    return library


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
    """Keep what a row came to, and say beside a failure how to have it once more."""
    report = yield
    if call.when == "call" and ROW in item.stash:
        row = item.stash[ROW]
        item.config.stash[ENDED].append(result_of(row, report.outcome, report.duration))
        again = f"TIDEGATE_FAULTS_SEED={row.seed} python -m pytest '{row.test}'"
        report.sections.append((f"row {row.name}, once more", again))
    return report


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Show the matrix, and keep it if asked to."""
    ended = config.stash[ENDED]
    if not ended:
        return
    terminalreporter.section("fault matrix")
    for line in table(ended):
        terminalreporter.write_line(line)
    for result in ended:
        if result.figures:
            figures = ", ".join(f"{name} {figure:g}" for name, figure in result.figures.items())
            terminalreporter.write_line(f"{result.row} {result.test.partition('::')[2]}: {figures}")
    if RESULTS:
        append(ended, Path(RESULTS))
