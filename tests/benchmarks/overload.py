"""The API at half its capacity, and asked for five times as much as it can do for a minute.

Over capacity the memory should stay flat, what is accepted be answered within the deadline and the
rest be refused at once; afterwards all should be as before.
Clients are wrk's (needs it on the path), a thread each, so that each answer's time is known.
"""

import shutil
import subprocess
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Thread
from typing import Any, Final, NamedTuple

import numpy as np
import psutil
from numpy.typing import NDArray

from benchmarks.api import script_of
from benchmarks.scored import COUNT
from benchmarks.texts import real_texts
from deploy.broker import LocalBroker
from rig.api_server import ApiServer, api_server

CLIENTS: Final = 32
MANY: Final = 640  # clients over capacity
SECONDS: Final = 15
HALF_S: Final = 60  # a p99 needs some thousand answers
OVER_S: Final = 60
FACTOR: Final = 5
DEADLINE_S: Final = 0.7  # the default
SHORT: Final = 200  # bytes of a request's body; its comment has about 40 tokens, or fewer
MB: Final = 2**20

# Each thread has one connection, so that a response is that of its last request, and begins with a
# comment of its own: else all would send the longest ones at once. %s: folder of the samples; pause
# in milliseconds of a client between two requests.
TIMED: Final = """
local ffi = require("ffi")
ffi.cdef[[ typedef struct { long s; long ns; } moment; int clock_gettime(int id, moment *at); ]]
local read = ffi.new("moment")
local function now()
  ffi.C.clock_gettime(1, read)
  return tonumber(read.s) * 1e3 + tonumber(read.ns) / 1e6
end
local numbers = 0
function setup(thread) numbers = numbers + 1; thread:set("number", numbers) end
function init()
  file = io.open("%s/" .. number .. ".txt", "w")
  math.randomseed(number)
  at = math.random(#bodies)
end
function delay() return math.floor(-math.log(1 - math.random()) * %f + 0.5) end
local made = request
request = function() began = now(); return made() end
response = function(status)
  file:write(status, " ", now() - began, " ", #bodies[at], "\\n")
end
"""


class Answers(NamedTuple):
    """Answers of one code, [answers] each: how long they took, and what was asked."""

    ms: NDArray[np.float64]
    bytes: NDArray[np.float64]


def measure(_: LocalBroker) -> dict[str, Any]:
    """Find the capacity, then ask for half and for five times as much."""
    if shutil.which("wrk") is None:
        return {"skipped": "wrk is not on the path"}
    source, texts = real_texts(COUNT)
    with TemporaryDirectory() as name, api_server(Path(name), **DEFAULTS) as server:
        folder = Path(name)
        many = script_of(folder / "many", texts).read_text()
        warm = _asked(server, folder, many, CLIENTS, 5)
        capacity = _asked(server, folder, many, CLIENTS, SECONDS)
        per_s = len(capacity[200].ms) / SECONDS
        pause_ms = CLIENTS / (per_s / 2) * 1e3 - float(np.median(capacity[200].ms))
        half = _asked(server, folder, many, CLIENTS, HALF_S, pause_ms)
        over, grown_mb = _over(server, folder, many, per_s)
        after = _asked(server, folder, many, CLIENTS, SECONDS)
    refused = np.concatenate([over[code].ms for code in (429, 503)])
    short = half[200].ms[half[200].bytes <= SHORT]
    return {
        "comments": source,
        "warm_up": {code: len(found.ms) for code, found in warm.items()},
        "capacity_per_s": round(per_s, 1),
        "capacity_answers": {code: len(found.ms) for code, found in capacity.items()},
        "half_load_per_s": round(len(half[200].ms) / HALF_S, 1),
        "half_load_p99_ms": _percentile(half[200].ms, 99),
        "half_load_short_p50_ms": _percentile(short, 50),
        "half_load_short_p99_ms": _percentile(short, 99),
        "over_asked_per_s": round(sum(len(found.ms) for found in over.values()) / OVER_S, 1),
        "over_answers": {code: len(found.ms) for code, found in over.items()},
        "over_accepted_per_s": round(len(over[200].ms) / OVER_S, 1),
        "over_accepted_p99_ms": _percentile(over[200].ms, 99),
        "over_accepted_max_ms": _percentile(over[200].ms, 100),
        "over_refused_p50_ms": _percentile(refused, 50),
        "over_refused_p99_ms": _percentile(refused, 99),
        "over_grown_mb": grown_mb,
        "after_per_s": round(len(after[200].ms) / SECONDS, 1),
        "after_answers": {code: len(found.ms) for code, found in after.items()},
    }


DEFAULTS: Final[Mapping[str, object]] = {"TIDEGATE_API__DEADLINE_S": DEADLINE_S}


def _over(
    server: ApiServer, folder: Path, many: str, per_s: float
) -> tuple[dict[int, Answers], float]:
    """Ask for too much, and say by how many MB the server grew from its tenth second on."""
    # One in five may be accepted, and waits for half of the deadline, more or less. So many clients
    # seldom wait for another thing than their pause, and ask for five times as much or more.
    pause_ms = (MANY / (FACTOR * per_s) - DEADLINE_S / 2 / FACTOR) * 1e3
    process, ended, sizes = psutil.Process(server.process.pid), Event(), []

    def watch() -> None:
        while not ended.wait(1.0):
            sizes.append(process.memory_info().rss)

    watching = Thread(target=watch)
    watching.start()
    found = _asked(server, folder, many, MANY, OVER_S, pause_ms)
    ended.set()
    watching.join()
    return found, round((max(sizes[10:]) - sizes[10]) / MB, 1)


def _asked(  # noqa: PLR0913, PLR0917 - what makes a load
    server: ApiServer, folder: Path, many: str, clients: int, seconds: int, pause_ms: float = 0
) -> dict[int, Answers]:
    """Return how long each answer took, by code."""
    samples = folder / "samples"
    shutil.rmtree(samples, ignore_errors=True)
    samples.mkdir()
    script = folder / "timed.lua"
    script.write_text(many + TIMED % (samples, pause_ms))
    load = [f"-t{clients}", f"-c{clients}", f"-d{seconds}s", "--timeout", "60s"]
    command = ["wrk", *load, "-s", str(script), server.url]
    subprocess.run(command, capture_output=True, text=True, check=True)
    rows: dict[int, list[tuple[float, float]]] = defaultdict(list)
    for file in samples.iterdir():
        for line in file.read_text().splitlines()[:-1]:  # the last line of a thread may be cut
            code, ms, size = line.split(" ")
            rows[int(code)].append((float(ms), float(size)))
    by_code = {code: Answers(*np.array(of_code).T) for code, of_code in sorted(rows.items())}
    return defaultdict(lambda: Answers(np.zeros(0), np.zeros(0)), by_code)


def _percentile(times: Any, share: float) -> float:
    return round(float(np.percentile(times, share)), 2) if len(times) else float("nan")
