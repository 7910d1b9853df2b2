"""The command: `make bench ARGS=peers` and `make bench ARGS=peers_stream`.

python -m benchmarks.peers.command scoring --rounds 1 --comments 40 --only tidegate,torch
python -m benchmarks.peers.command stream --rounds 1
"""

import json
import subprocess
import sys
from argparse import (
    ArgumentDefaultsHelpFormatter,
    ArgumentParser,
    ArgumentTypeError,
    Namespace,
)
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.machine import has_vnni, machine
from benchmarks.peers import goals, scoring
from benchmarks.peers.contestants import contestants
from benchmarks.peers.overlay import versions
from benchmarks.peers.picture import draw
from benchmarks.peers.process import environment_of
from benchmarks.peers.stream import streaming
from benchmarks.peers.stream.players import PLAYERS
from benchmarks.peers.table import scoring_table, stream_table
from deploy.broker import local_broker
from schemas.bundle import MANIFEST

# The base shape is eight times the work a comment: one round of a twelfth of the comments. No
# goal was set for it.
BASE, BASE_SHARE, BASE_LEAST = "base", 12, 8

MADE = ("mini", BASE, "tiny")  # by the benchmark itself


def main(arguments: Sequence[str]) -> None:
    """Run a benchmark, and write what it found as JSON, Markdown and a picture."""
    options = parser().parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    options.run(options)


def parser() -> ArgumentParser:
    """Return what the command line takes."""
    top = ArgumentParser(prog="benchmarks.peers", description="tidegate beside its peers")
    kinds = top.add_subparsers(required=True, metavar="{scoring,stream}")
    for name, run, count, models in (
        ("scoring", run_scoring, 300, ["mini", BASE]),
        ("stream", run_stream, 2_000, ["mini"]),
    ):
        kind = kinds.add_parser(name, formatter_class=ArgumentDefaultsHelpFormatter)
        kind.set_defaults(run=run)
        kind.add_argument("--rounds", type=_positive, default=3, help="turns of each contestant")
        kind.add_argument("--comments", type=_positive, default=count, help="in a round")
        kind.add_argument("--out", type=Path, default=Path("runs/bench"), help="folder to write to")
        kind.add_argument("--only", type=_parts, default=[], help="contestants, by parts of names")
        kind.add_argument(
            "--models",
            type=_models,
            default=models,
            help="mini, base, tiny, or a folder of a bundle with float weights",
        )
    return top


def run_scoring(options: Namespace) -> None:
    """Score on each of the models."""
    found: dict[str, Any] = {"machine": where(), "models": {}}
    taking_part = [one for one in contestants() if _wanted(one.name, options.only)]
    for name in options.models:
        rounds, count = options.rounds, options.comments
        if name == BASE:
            rounds, count = 1, max(BASE_LEAST, count // BASE_SHARE)
        folder = model_folder(name, options.out)
        what, scores, limits = scoring.measure(taking_part, folder, rounds, count)
        engines = scoring.figures(scores)
        kind = goals.kind(vnni=has_vnni(), base=name == BASE)
        found["models"][name] = {
            "what": what,
            "ratios": goals.ratios(scores, kind) + goals.of_the_limit(scores, limits, kind),
            "own": [] if name == BASE else goals.own_goals(engines),
            "engines": engines,
        }
    panels = {name: model["engines"] for name, model in found["models"].items()}
    write(options.out / "scoring", found, scoring_table(found), panels)


def run_stream(options: Namespace) -> None:
    """Judge what lies in Kafka."""
    taking_part = [one for one in PLAYERS if _wanted(one.name, options.only)]
    folder = model_folder(options.models[0], options.out)
    found: dict[str, Any] = {"machine": where()}
    with local_broker() as broker:
        found["what"], measured = streaming.measure(
            taking_part, broker, folder, options.rounds, options.comments
        )
    found["ratios"] = streaming.ratios(measured)
    found["contestants"] = streaming.figures(measured)
    title = "comments in Kafka to verdicts on a topic"
    write(options.out / "peers_stream", found, stream_table(found), {title: found["contestants"]})


def where() -> dict[str, Any]:
    """Describe the machine, and what runs on it, the peers among it."""
    found = machine()
    return {**found, "libraries": found["libraries"] | versions()}


def model_folder(name: str, out: Path) -> Path:
    """Return a model's folder, and make the model first where it was not made before."""
    if (Path(name) / MANIFEST).is_file():
        return Path(name).resolve()
    folder = (out / "models" / name).resolve()
    if not (folder / MANIFEST).is_file():
        if find_spec("torch") is None:
            sys.exit(f"error: to make the model {name} takes torch\nhint: make full")
        print(f"making the model {name}", file=sys.stderr)
        subprocess.run(
            [sys.executable, "-m", "benchmarks.peers.model", name, str(folder)],
            env=environment_of(None),
            stdout=sys.stderr,
            check=True,
        )
    return folder


def write(stem: Path, found: Any, page: str, panels: Any) -> None:
    """Write the results beside each other, and print the page."""
    stem.with_suffix(".json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    stem.with_suffix(".md").write_text(page, encoding="utf-8")
    written = [".json", ".md"]
    if find_spec("matplotlib") is not None:  # the full install
        draw(panels, stem.with_suffix(".png"))
        written.append(".png")
    print(page)
    print("written:", *(f"{stem}{suffix}" for suffix in written), file=sys.stderr)


def _parts(text: str) -> list[str]:
    return text.split(",")


def _models(text: str) -> list[str]:
    for name in (names := _parts(text)):
        if name not in MADE and not (Path(name) / MANIFEST).is_file():
            raise ArgumentTypeError(f"{name} is none of {', '.join(MADE)}, and no bundle's folder")
    return names


def _positive(text: str) -> int:
    if (number := int(text)) < 1:
        raise ArgumentTypeError(f"{text} is not above 0")
    return number


def _wanted(name: str, parts: Iterable[str]) -> bool:
    return not parts or any(part in name for part in parts)


if __name__ == "__main__":
    main(sys.argv[1:])
