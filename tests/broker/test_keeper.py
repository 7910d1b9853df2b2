"""The keeper: a command lives no longer than its asker, and what it ended with is known."""

import sys
from pathlib import Path

import pytest

from deploy.keeper import Kept

PATIENCE_S = 30.0
WAITS_FOR_SIGTERM = """
import signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
print("ready", flush=True)
signal.sigwait({signal.SIGTERM})
sys.exit(7)
"""


def python(code: str, log: Path, remove: Path | None = None) -> Kept:
    """Start Python with `code` in the hands of a keeper."""
    return Kept([sys.executable, "-c", code], log, remove=remove)


@pytest.mark.parametrize("status", [0, 3])
def test_a_command_that_ends_by_itself_passes_its_status_on(tmp_path: Path, status: int) -> None:
    """Whoever waits sees the status that the command ended with."""
    kept = python(f"raise SystemExit({status})", tmp_path / "log")

    assert kept.ended(PATIENCE_S) == status
    assert kept.stop() == status


def test_a_command_that_is_stopped_may_end_in_its_own_way(tmp_path: Path) -> None:
    """It gets SIGTERM, and its status says whether it ended well."""
    kept = python(WAITS_FOR_SIGTERM, tmp_path / "log")
    while "ready" not in kept.last_words():
        assert kept.ended(within_s=0.05) is None

    assert kept.stop() == 7


def test_a_command_without_a_handler_is_stopped_well(tmp_path: Path) -> None:
    """Dying of the SIGTERM that we asked for is no failure."""
    kept = python("import signal; signal.pause()", tmp_path / "log")

    assert kept.stop() == 0


def test_the_last_words_are_the_end_of_the_log(tmp_path: Path) -> None:
    """Both streams go to the log; a person is shown the last lines of it."""
    code = "import sys; print(*range(50), sep='\\n', flush=True); sys.exit('no such thing')"
    kept = python(code, tmp_path / "log")
    kept.ended(PATIENCE_S)
    kept.stop()

    last = kept.last_words().split()

    assert last[-3:] == ["no", "such", "thing"]
    assert "41" not in last


def test_the_temporary_folder_goes_when_the_command_has_gone(tmp_path: Path) -> None:
    """The keeper removes what the asker may no longer be there to remove."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    kept = python("import signal; signal.pause()", folder / "log", remove=folder)

    kept.stop()

    assert not folder.exists()
