"""The engine on a GPU: ids in, probabilities out. Skipped where torch finds no GPU.

BERT-base's shape and that of a 6-layer MiniLM, with random weights, on comments of real lengths
cut at 256 tokens. Without padding by graphs, at several budgets; the same without graphs; and
transformers' own model with padding. In turn, each in a process of its own, a lone comment of 40
tokens first. Then two processes at once on the card. No broker is started; `python -m
benchmarks.gpu` runs without what a broker needs, too.

Goals on one H100: 41,000 comments/s of BERT-base in bf16, 143,000 of the MiniLM. The share of the
card's peak counts what the whole model would compute of the tokens that people wrote, in full:
what is left out of the last layer raises it, padding never does.
"""

import json
import os
import re
import subprocess
import sys
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import IO, Any, Final, NamedTuple, Self

from worker.settings import NumberType

ROUNDS: Final = 3
TESTS: Final = Path(__file__).parent.parent
PATH: Final = os.pathsep.join([str(TESTS), str(TESTS.parent)])

# Dense bf16 of NVIDIA's data sheets, by the names that CUDA gives the cards.
PEAK_TFLOPS: Final = {r"H100 80GB HBM3": 989, r"H200": 989, r"A100": 312, r"L4$": 121}


class Model(NamedTuple):
    """What decides the cost of a token, and the goal."""

    layers: int
    hidden: int
    goal_per_s: int  # comments, on one H100

    def flop(self, tokens: float) -> float:
        """Return the operations of a token beside so many: products, and attention to them."""
        return 24 * self.layers * self.hidden**2 + 4 * self.layers * tokens * self.hidden


MODELS: Final = {"bert-base": Model(12, 768, 41_000), "minilm-l6": Model(6, 384, 143_000)}
# With "@", at another budget than the engine's own.
ENGINES: Final = ("graphs", "graphs@4096", "graphs@8192", "graphs@32768", "eager", "padded")
FP8: Final = "fp8"  # the first of them with such products, on a card that has them


def measure(_: object) -> dict[str, Any]:
    """Measure each model by each engine."""
    if (obstacle := _obstacle()) is not None:
        return {"skipped": obstacle}
    return {name: _measured(name, model) for name, model in MODELS.items()}


def _obstacle() -> str | None:
    if find_spec("torch") is None or find_spec("transformers") is None:
        return "torch and transformers are not installed (make full)"
    import torch  # noqa: PLC0415 - only where it is

    return None if torch.cuda.is_available() else "torch finds no GPU here"


def _has_fp8() -> bool:
    import torch  # noqa: PLC0415 - only where it is

    from worker.scoring.torch_device import SINCE  # noqa: PLC0415 - the same

    return torch.cuda.get_device_capability() >= SINCE[NumberType.FP8][0]


def _measured(name: str, model: Model) -> dict[str, Any]:
    engines = (*ENGINES, FP8) if _has_fp8() else ENGINES
    with ExitStack() as running:
        contenders = {e: running.enter_context(Contender(name, e)) for e in engines}
        about = {e: contender.ready() for e, contender in contenders.items()}["graphs"]
        rounds = [{e: c.round() for e, c in contenders.items()} for _ in range(ROUNDS)]
    with Contender(name, "graphs") as one, Contender(name, "graphs") as other:
        both = _together(one, other)
    per_s = {e: median(found[e]["comments_per_s"] for found in rounds) for e in engines}
    tokens_per_s = per_s["graphs"] * about["tokens_a_comment"]
    return {
        **about,
        "comments_per_s": round(per_s["graphs"]),
        "goal_on_an_h100": model.goal_per_s,
        "tokens_per_s": round(tokens_per_s),
        "share_of_peak": _share(about["device"], tokens_per_s * model.flop(about["beside"])),
        "two_processes_per_s": round(both),
        "engines_per_s": {e: round(rate) for e, rate in per_s.items()},
        "lone_comment_ms": {e: median(found[e]["lone_ms"] for found in rounds) for e in engines},
        "rounds": rounds,
    }


def _together(one: "Contender", other: "Contender") -> float:
    """Return the comments a second of two at once."""
    for contender in (one, other):
        contender.ready()
    for contender in (one, other):
        contender.go()
    return sum(contender.result()["comments_per_s"] for contender in (one, other))


def _share(device: str, flop_per_s: float) -> float | None:
    """Return the share of the card's peak; None for a card whose peak is not known here."""
    peaks = [peak for card, peak in PEAK_TFLOPS.items() if re.search(card, device)]
    return round(flop_per_s / (peaks[0] * 1e12), 3) if peaks else None


class Contender:
    """An engine in a process of its own (`benchmarks.gpu_engine`), which waits to be told."""

    def __init__(self, model: str, engine: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.gpu_engine", model, engine],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": PATH},
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    def ready(self) -> dict[str, Any]:
        """Wait until it is loaded; return what it says about itself."""
        return self._said()

    def round(self) -> dict[str, float]:
        """Measure once."""
        self.go()
        return self.result()

    def go(self) -> None:
        """Begin a round."""
        pipe: IO[str] = self._process.stdin  # type: ignore[assignment]  # a pipe was asked for
        pipe.write("go\n")
        pipe.flush()

    def result(self) -> dict[str, float]:
        """Wait for the round's end."""
        return self._said()

    def _said(self) -> dict[str, Any]:
        pipe: IO[str] = self._process.stdout  # type: ignore[assignment]  # a pipe was asked for
        line = pipe.readline()
        if not line:
            raise RuntimeError(f"benchmarks.gpu_engine ended with {self._process.wait()}")
        found: dict[str, Any] = json.loads(line)
        return found


if __name__ == "__main__":
    print(json.dumps(measure(None), indent=2))
