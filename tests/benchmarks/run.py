"""The benchmarks: `make bench`, or `make bench ARGS="stream latency"` for some of them.

Those against peers have options of their own: `make bench ARGS="peers --rounds 1"` and
`make bench ARGS=peers_stream` (docs/performance-benchmarks.md). Without names all run, these two
first.

Writes the figures of each and the machine to `runs/bench`, and prints the scoreboard of what lies
there, goals beside it. Fails on errors only, never on a time: the machines that run this are
shared.
"""

import json
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from benchmarks.machine import machine
from benchmarks.peers import command
from benchmarks.scoreboard import as_page, draw, scoreboard
from deploy.broker import local_broker

PEERS = {"peers": "scoring", "peers_stream": "stream"}

# What needs torch is measured in the full install only.
ALL = (
    *((*PEERS, "gpu") if find_spec("torch") else ()),
    "tokenising",
    "stream",
    "scored",
    "latency",
    "api",
    "overload",
    *(("training",) if find_spec("torch") else ()),
)

OUT: Final = Path("runs/bench")

# A machine without a network, which has no broker to fetch, can run these.
BROKERLESS = {"gpu", "tokenising"}


def main(arguments: Sequence[str]) -> None:
    """Run benchmarks by name, or all, and show where that leaves tidegate."""
    if PEERS.keys() & set(arguments[1:]):
        sys.exit("peers and peers_stream take options of their own: give one of them, first")
    OUT.mkdir(parents=True, exist_ok=True)
    try:
        if arguments and arguments[0] in PEERS:
            command.main([PEERS[arguments[0]], *arguments[1:]])
        else:
            for name in (name for name in arguments or ALL if name in PEERS):
                command.main([PEERS[name]])
            run([name for name in arguments or ALL if name not in PEERS])
    finally:  # what was measured before an error is worth its hour
        show()


def run(names: Sequence[str]) -> None:
    """Run benchmarks of tidegate alone, on one broker, and write what each found."""
    where = machine()
    with nullcontext() if BROKERLESS.issuperset(names) else local_broker() as broker:
        for name in names:
            print(f"{name} …", file=sys.stderr)
            figures = import_module(f"benchmarks.{name}").measure(broker)
            found = json.dumps({"machine": where, **figures}, indent=2)
            (OUT / f"{name}.json").write_text(f"{found}\n", encoding="utf-8")
            print(json.dumps(figures), file=sys.stderr)


def show() -> None:
    """Print the scoreboard, and draw it where that can be done."""
    rows = scoreboard(OUT)
    page = as_page(rows)
    (OUT / "scoreboard.md").write_text(page, encoding="utf-8")
    if find_spec("matplotlib") is not None:  # the full install
        draw(rows, OUT / "scoreboard.png")
    print(page)


if __name__ == "__main__":
    main(sys.argv[1:])
