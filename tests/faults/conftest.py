"""What the fault matrix's tests share; `faults.matrix` makes rows of them.

`make faults` adds the rows that take minutes.
"""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from shutil import which

import pytest

import rig
from faults.cluster import Cluster, one_node, three_nodes
from faults.report import Row
from rig.stream import Stream
from rig.streams import broker
from rig.streams import make_stream as make_plain_stream

__all__ = ["broker", "make_plain_stream", "one_node", "three_nodes"]  # fixtures


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
