"""A run that is ended, however rudely, goes on to the weights it would have come to."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from rig.small_run import small_run
from schemas.errors import TrainingError
from trainer.recipe import FitSettings

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "tests" / "rig" / "small_run.py"
# Dropout is on, rows are drawn anew in each epoch, two batches make a step.
SETTINGS = FitSettings(
    epochs=4,
    token_budget=128,
    gradient_accumulation_steps=2,
    ema_decay=0.9,
    learning_rate=3e-3,
    checkpoint_every_s=0,
)


def started(base: Path, file: Path, folder: Path, *rest: str) -> subprocess.Popen[str]:
    """Start a small run in a process of its own."""
    return subprocess.Popen(
        [sys.executable, SCRIPT, base, file, folder, SETTINGS.model_dump_json(), *rest],
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
    )


def end_at(line: str, number: int, run: subprocess.Popen[str]) -> str:
    """Send a run a signal when it says a line, and return all that it said."""
    assert run.stderr is not None
    said = ""
    for found in run.stderr:
        said += found
        if line in found:
            run.send_signal(number)
            break
    said += run.stderr.read()
    run.wait()
    run.stderr.close()
    return said


def weights(folder: Path) -> bytes:
    """Return the weights that a small run has come to."""
    return (folder / "weights-0.safetensors").read_bytes()


@pytest.fixture(scope="module")
def whole(tiny_base: Path, made_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a run that nobody ended."""
    folder = tmp_path_factory.mktemp("whole")
    small_run(str(tiny_base), made_file, folder, SETTINGS)
    return folder


@pytest.fixture(scope="module")
def killed(tiny_base: Path, made_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a run that `kill -9` ended on its way."""
    folder = tmp_path_factory.mktemp("killed")
    run = started(tiny_base, made_file, folder)
    said = end_at("checkpoint: step 7 ", signal.SIGKILL, run)
    assert run.returncode == -signal.SIGKILL, said
    return folder


@pytest.fixture
def folder(killed: Path, tmp_path: Path) -> Path:
    """Return a copy of it."""
    return shutil.copytree(killed, tmp_path / "run")


def test_a_run_that_was_killed_ends_with_the_same_bytes(
    tiny_base: Path, made_file: Path, folder: Path, whole: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Order of rows, dropout, optimiser, running mean and best weights go on where they were."""
    small_run(str(tiny_base), made_file, folder, SETTINGS)

    assert "going on from step" in capfd.readouterr().err
    assert weights(folder) == weights(whole)


def test_a_run_that_is_told_to_stop_says_how_to_go_on(
    tiny_base: Path, made_file: Path, tmp_path: Path, whole: Path
) -> None:
    """It ends after the step, with a checkpoint and the shell's status for SIGTERM."""
    run = started(tiny_base, made_file, tmp_path)

    said = end_at("held-out loss", signal.SIGTERM, run)

    assert run.returncode == 128 + signal.SIGTERM, said
    assert "the same command goes on" in said
    small_run(str(tiny_base), made_file, tmp_path, SETTINGS)
    assert weights(tmp_path) == weights(whole)


def test_a_broken_checkpoint_gives_way_to_the_one_before(
    tiny_base: Path, made_file: Path, folder: Path, whole: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Cut short by a crash of the machine, it is named, and the steps are done again."""
    *_, last = sorted((folder / "checkpoints").glob("*.json"))
    (folder / "checkpoints" / ".tmpQ7x2aB").write_text("what safetensors was writing")
    tensors = last.with_suffix(".safetensors")
    os.truncate(tensors, tensors.stat().st_size // 2)

    small_run(str(tiny_base), made_file, folder, SETTINGS)

    assert f"{last}: broken, the one before it is taken" in capfd.readouterr().err
    assert weights(folder) == weights(whole)
    assert not list((folder / "checkpoints").glob(".tmp*"))


def test_a_checkpoint_of_another_configuration_is_refused_with_what_differs(
    tiny_base: Path, made_file: Path, folder: Path
) -> None:
    """Nothing is trained, and the checkpoints stay as they were."""
    before = sorted((folder / "checkpoints").iterdir())
    fewer = folder / "fewer.csv"
    fewer.write_text("".join(made_file.read_text().splitlines(keepends=True)[:-5]))
    other = SETTINGS.model_copy(update={"learning_rate": 1e-3})

    with pytest.raises(TrainingError, match="is of another run") as refused:
        small_run(str(tiny_base), fewer, folder, other)

    assert "learning_rate is 0.003 there, 0.001 here" in refused.value.what
    assert "rows to learn from is" in refused.value.what
    assert "epochs" not in refused.value.what
    assert sorted((folder / "checkpoints").iterdir()) == before


def test_a_disk_that_fills_leaves_the_checkpoint_before_whole(
    tiny_base: Path, made_file: Path, folder: Path, whole: Path
) -> None:
    """The file that could not be written is named, and nothing of it is left."""
    run = started(tiny_base, made_file, folder, "20000")

    said = end_at("never said", signal.SIGKILL, run)

    assert run.returncode == 1, said
    assert ".safetensors cannot be written: " in said
    left = [path.suffix for path in sorted((folder / "checkpoints").iterdir())]
    assert set(left) == {".json", ".safetensors"}
    small_run(str(tiny_base), made_file, folder, SETTINGS)
    assert weights(folder) == weights(whole)


def test_two_checkpoints_are_kept(whole: Path) -> None:
    """More would fill the disk; one alone could be lost while the next is written."""
    names = [path.name for path in sorted((whole / "checkpoints").iterdir())]

    facts, tensors, *_ = names
    assert len(names) == 4
    assert Path(facts).stem == Path(tensors).stem
    history = json.loads((whole / "checkpoints" / names[-2]).read_bytes())["history"]
    assert names[-2] == f"step-{history['steps']:08}.json"
