"""The benchmarks: `make bench`, or `make bench ARGS="stream latency"` for some of them.

Those against peers have options of their own: `make bench ARGS="peers --rounds 1"` and
`make bench ARGS=peers_stream` (docs/performance-benchmarks.md).

Prints one JSON object with the figures, their goals and the machine. Fails on errors only,
never on a time: the machines that run this are shared.
"""

import json
import sys
from contextlib import nullcontext
from importlib import import_module
from importlib.util import find_spec

from benchmarks.machine import machine
from benchmarks.peers import command
from deploy.broker import local_broker

# What needs torch is measured in the full install only.
ALL = (
    *(("gpu",) if find_spec("torch") else ()),
    "stream",
    "scored",
    "latency",
    "api",
    "overload",
    *(("training",) if find_spec("torch") else ()),
)
PEERS = {"peers": "scoring", "peers_stream": "stream"}

# Of these alone a machine without a network is asked, which has no broker to fetch.
BROKERLESS = {"gpu"}


def main(names: list[str]) -> None:
    """Run benchmarks by name, on one broker."""
    figures: dict[str, object] = {"machine": machine()}
    without_broker = bool(names) and BROKERLESS.issuperset(names)
    with nullcontext() if without_broker else local_broker() as broker:
        for name in names or ALL:
            print(f"{name} …", file=sys.stderr)
            figures[name] = import_module(f"benchmarks.{name}").measure(broker)
            print(json.dumps(figures[name]), file=sys.stderr)
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    if sys.argv[2:] and PEERS.keys() & set(sys.argv[2:]):
        sys.exit("peers and peers_stream take options of their own: give one of them, first")
    if sys.argv[1:] and sys.argv[1] in PEERS:
        command.main([PEERS[sys.argv[1]], *sys.argv[2:]])
    else:
        main(sys.argv[1:])
