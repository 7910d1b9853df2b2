"""What the arithmetic of the processor allows: a model's products at its peak, and nothing else.

Dense products in int8, attention's in fp32, all of the model (ours leaves out most of the last
layer). What stands between the products (norms, GELU, softmax, tokens) costs nothing here, so
that no engine reaches it.
"""

import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, NamedTuple

from worker.scoring.cores import usable_cores

SOURCE: Final = Path(__file__).with_name("peak.c")
FLAGS: Final = ("-O2", "-march=native", "-pthread")
GIGA: Final = 1e9
CONFIG: Final = "config.json"


class Peak(NamedTuple):
    """What all cores compute at most, operations a second; multiply and add are two."""

    int8: float
    fp32: float


class NoPeakError(Exception):
    """The peak cannot be measured here."""


def measured_peak() -> Peak:
    """Compile `peak.c`, and run it on the cores that we may use.

    Raises:
        NoPeakError: there is no C compiler, or none for this processor.
    """
    compiler = shutil.which("cc")
    if compiler is None:
        raise NoPeakError("no C compiler (cc) is on the path")
    with TemporaryDirectory() as folder:
        program = Path(folder) / "peak"
        command = [compiler, *FLAGS, str(SOURCE), "-o", str(program)]
        try:
            subprocess.run(command, check=True, capture_output=True)
            cores = str(usable_cores())
            printed = subprocess.run([program, cores], check=True, capture_output=True).stdout
        except subprocess.CalledProcessError as error:
            raise NoPeakError(f"{error.cmd[0]} ended with {error.returncode}") from error
    int8, fp32 = map(float, printed.split())
    return Peak(int8 * GIGA, fp32 * GIGA)


def tokens_per_s(peak: Peak, folder: Path, lengths: Sequence[int]) -> float:
    """Return how many real tokens a second the peak allows.

    Args:
        peak: of the processor.
        folder: the model's, with its `config.json`.
        lengths: of the comments, in tokens.
    """
    shape = json.loads((folder / CONFIG).read_bytes())
    hidden, layers = shape["hidden_size"], shape["num_hidden_layers"]
    # Of a token: query, key, value and output, then the two of the feed-forward network.
    dense = 2 * layers * hidden * (4 * hidden + 2 * shape["intermediate_size"])
    attention = 4 * layers * hidden  # of a pair of tokens: two products
    tokens = sum(lengths)
    pairs = sum(length * length for length in lengths)
    return float(tokens / (tokens * dense / peak.int8 + pairs * attention / peak.fp32))
