"""The API against the bare scorer, and against `transformers.pipeline` behind FastAPI.

Under many clients, in the same run; and how long a lone comment of 40 tokens takes at the client.
Clients are wrk's (needs it on the path).
"""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, Final

from benchmarks.scored import COUNT, bare_scorer
from benchmarks.texts import real_texts
from deploy.broker import LocalBroker
from rig.api_server import api_server
from rig.stream import PATH, eventually

ROUNDS: Final = 3
CLIENTS: Final = 32
SECONDS: Final = 15
LONE: Final = "This is a comment of forty tokens, more or less, as people write them " * 2
PEER_PORT: Final = 18_197

SCRIPT: Final = """\
local bodies, at = {}, 0
for line in io.lines("%s") do bodies[#bodies + 1] = line end
request = function()
  at = at %% #bodies + 1
  return wrk.format("POST", "/v1/score", {["Content-Type"] = "application/json"}, bodies[at])
end
"""


def measure(_: LocalBroker) -> dict[str, Any]:
    """Score the same comments bare, behind our API and behind the peer, in turn."""
    if shutil.which("wrk") is None:
        return {"skipped": "wrk is not on the path"}
    source, texts = real_texts(COUNT)
    bare: list[float] = []
    ours: list[float] = []
    with TemporaryDirectory() as name:
        folder = Path(name)
        many = script_of(folder / "many", texts)
        for _number in range(ROUNDS):
            bare.append(bare_scorer())
            with api_server(folder) as server:
                _wrk(server.url, many, CLIENTS, 3)  # warms the shapes up
                ours.append(_wrk(server.url, many, CLIENTS, SECONDS)["per_s"])
        with api_server(folder) as server:
            lone = _wrk(server.url, script_of(folder / "lone", [LONE]), 1, SECONDS)
        peer = _peer(many)
    ratios = [o / b for o, b in zip(ours, bare, strict=True)]
    figures = {
        "comments": source,
        "clients": CLIENTS,
        "bare_scorer_per_s": round(median(bare), 1),
        "api_per_s": round(median(ours), 1),
        "ratio": round(median(ratios), 3),
        "ratios": [round(ratio, 3) for ratio in ratios],
        "lone_p50_ms": lone["p50_ms"],
        "lone_p99_ms": lone["p99_ms"],
    }
    if peer is None:
        return figures | {"pipeline": "torch is not installed"}
    return figures | {
        "pipeline_per_s": peer,
        "over_pipeline": round(median(ours) / peer, 2),
    }


def script_of(stem: Path, texts: list[str]) -> Path:
    """Write what wrk sends: each text in its turn."""
    bodies = stem.with_suffix(".jsonl")
    bodies.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    script = stem.with_suffix(".lua")
    script.write_text(SCRIPT % bodies)
    return script


def _wrk(url: str, script: Path, clients: int, seconds: int) -> dict[str, float]:
    """Run wrk, and return requests a second and percentiles of the latency.

    Raises:
        RuntimeError: an answer was no 200.
    """
    threads = ["-t1", f"-c{clients}", f"-d{seconds}s", "--timeout", "60s", "--latency"]
    done = subprocess.run(
        ["wrk", *threads, "-s", str(script), url],  # noqa: S607 - whichever is on the path
        capture_output=True,
        text=True,
        check=True,
    )
    if "Non-2xx" in done.stdout or "Socket errors" in done.stdout:
        raise RuntimeError(done.stdout)
    found = dict(re.findall(r"^\s+(50|99)%\s+(\S+)\s*$", done.stdout, re.MULTILINE))
    (per_s,) = re.findall(r"^Requests/sec:\s+(\S+)$", done.stdout, re.MULTILINE)
    return {"per_s": float(per_s), "p50_ms": _ms(found["50"]), "p99_ms": _ms(found["99"])}


def _ms(said: str) -> float:
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s)", said).groups()  # type: ignore[union-attr]
    return round(float(number) * {"us": 1e-3, "ms": 1, "s": 1e3}[unit], 2)


def _peer(script: Path) -> float | None:
    """Return the requests a second of a pipeline behind FastAPI; None without torch."""
    if find_spec("torch") is None:
        return None
    url = f"http://127.0.0.1:{PEER_PORT}"
    with _running("benchmarks.pipeline_api", str(PEER_PORT)):
        eventually(lambda: _answers(url), within_s=120, tick_s=0.5)
        _wrk(url, script, CLIENTS, 3)
        return _wrk(url, script, CLIENTS, SECONDS)["per_s"]


def _answers(url: str) -> bool:
    return subprocess.run(["curl", "-s", url], capture_output=True, check=False).returncode == 0  # noqa: S607 - whichever is on the path


@contextmanager
def _running(*module: str) -> Iterator[None]:
    process = subprocess.Popen([sys.executable, "-m", *module], env={"PYTHONPATH": PATH})
    try:
        yield
    finally:
        process.kill()
        process.wait()
