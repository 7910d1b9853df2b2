"""A contestant's process: loads its engine, does the job on stdin and answers on stdout.

python -m benchmarks.peers.child MODULE FOLDER OPTIONS STARTED < job.json
"""

import json
import os
import sys
from importlib import import_module
from pathlib import Path
from time import perf_counter, time

from benchmarks.peers.engines.engine import Engine
from benchmarks.peers.job import Answer, Job
from benchmarks.peers.memory import peak_mb

FIRST = "The first comment."


def main(module: str, folder: str, options: str, started: str) -> None:
    """Run with the arguments of the command line; STARTED is the parent's clock, in seconds."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    load = import_module(f"benchmarks.peers.engines.{module}").load
    engine: Engine = load(Path(folder), **json.loads(options))
    engine([FIRST])
    ready_s = time() - float(started)
    answer = do(json.load(sys.stdin), engine, ready_s)
    json.dump(answer, answers)
    answers.flush()
    os._exit(0)  # some peers leave threads behind that never end


def do(job: Job, engine: Engine, ready_s: float) -> Answer:
    """Do a job."""
    engine(job["warm"])
    began = perf_counter()
    scores = engine(job["texts"])
    seconds = perf_counter() - began
    lone_ms = []
    for _ in range(job["repeats"]):
        began = perf_counter()
        engine([job["lone"]])
        lone_ms.append((perf_counter() - began) * 1000)
    alone = [engine([text])[0] for text in job["texts"][: job["alone"]]]
    return Answer(
        ready_s=ready_s,
        seconds=seconds,
        scores=scores,
        alone=alone,
        lone_ms=lone_ms,
        peak_mb=peak_mb(),
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
