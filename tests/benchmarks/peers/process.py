"""A contestant's turn: a fresh process, with what is laid over the full install for it."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from time import time
from typing import Final

from benchmarks.cluster import TESTS
from benchmarks.peers.contestants import Contestant
from benchmarks.peers.job import Answer, Job
from benchmarks.peers.overlay import last_line, overlay

LIMIT_S: Final = 900.0


class NotMeasuredError(Exception):
    """A contestant could not be run; the text says why."""


def take_turn(contestant: Contestant, folder: Path, job: Job) -> Answer:
    """Let a contestant do a job in a process of its own.

    Raises:
        NotInstalledError: its packages cannot be installed.
        NotMeasuredError: its process failed, or took too long.
    """
    if contestant.lacking is not None:
        raise NotMeasuredError(contestant.lacking)
    what = [contestant.module, str(folder), json.dumps(contestant.options)]
    environment = environment_of(contestant.overlay)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.peers.child", *what, str(time())],
            input=json.dumps(job),
            env=environment,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise NotMeasuredError(f"it took more than {LIMIT_S:g} s") from error
    if done.returncode != 0:
        raise NotMeasuredError(last_line(done.stderr))
    answer: Answer = json.loads(done.stdout)
    return answer


def environment_of(name: str | None) -> Mapping[str, str]:
    """Return the environment of a peer's process.

    Raises:
        NotInstalledError: its packages cannot be installed.
    """
    path = [str(TESTS), str(TESTS.parent)]
    if name is not None:
        path.insert(0, str(overlay(name)))
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(path),
        "HF_HUB_OFFLINE": "1",  # all that is loaded lies in a folder
        # CPUs are compared, also on a machine with a GPU
        "CUDA_VISIBLE_DEVICES": "",
    }
