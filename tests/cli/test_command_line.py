"""The command line, run as a person runs it: a process, its output and its exit status."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.cli import COMMANDS, SUMMARIES
from worker.settings import SHIPPED_BUNDLE

ROOT = Path(__file__).parent.parent.parent


def tidegate(
    *arguments: str, stdin: bytes = b"", **environment: str
) -> subprocess.CompletedProcess[bytes]:
    """Run `tidegate` in a process of its own, without settings but those given."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TIDEGATE_")}
    return subprocess.run(
        [sys.executable, "-m", "deploy.cli", *arguments],
        input=stdin,
        capture_output=True,
        check=False,
        cwd=ROOT,
        env=clean | environment,
    )


def test_every_command_is_listed_without_importing_any() -> None:
    """`tidegate --help` names each command and what it does."""
    shown = tidegate("--help").stdout.decode()

    assert COMMANDS.keys() == SUMMARIES.keys()
    assert all(f"{name}  " in shown for name in COMMANDS)


@pytest.mark.parametrize("name", [*COMMANDS, "topics create", "topics check"])
def test_every_command_has_help_with_an_example(name: str) -> None:
    """`--help` of each command ends well and shows one thing to type."""
    done = tidegate(*name.split(), "--help")

    assert done.returncode == 0
    assert b"Example: " in done.stdout


def test_an_unknown_command_is_refused() -> None:
    """A misspelt command says so, on stderr, with a non-zero exit."""
    done = tidegate("worke")

    assert done.returncode != 0
    assert b"No such command" in done.stderr
    assert done.stdout == b""


@pytest.mark.parametrize("arguments", [("score", "hello"), ("worker",)])
def test_where_a_key_is_set_no_command_opens_an_unsigned_bundle(
    arguments: tuple[str, ...], tmp_path: Path
) -> None:
    """The shipped bundle has no signature; the worker says so before it looks for a broker."""
    key = tmp_path / "public.pem"
    key.touch()

    done = tidegate(*arguments, TIDEGATE_BUNDLE_KEY=str(key))

    assert done.returncode == 1
    assert b"bundle.json.sig is not there" in done.stderr


def test_scores_come_in_order_as_json_lines() -> None:
    """Lines from standard input give a JSON object each, in their order."""
    done = tidegate(
        "score", "--json", stdin=b"Thank you, this helped me.\nYou are a stupid idiot.\n"
    )

    first, second = (json.loads(line) for line in done.stdout.splitlines())
    assert {"scores", "labels", "action"} == first.keys()
    assert first["labels"] == []
    assert first["action"] == "allow"
    assert {"toxic", "insult"} <= set(second["labels"])


def test_comment_events_are_scored_as_a_worker_would() -> None:
    """With --jsonl each line is a CommentEvent; half an emoji is repaired and judged."""
    event = b'{"id": "1", "text": "You are a stupid idiot \\ud83d", "community": "c"}\n'

    done = tidegate("score", "--jsonl", "--json", stdin=event)

    assert done.returncode == 0
    assert "toxic" in json.loads(done.stdout)["labels"]


def test_a_broken_event_is_named_by_its_line_and_earlier_ones_are_kept() -> None:
    """What was judged before a broken line is printed; the error shows no text."""
    good, bad = b'{"id": "1", "text": "hello"}\n', b'{"id": "2", "txet": "my secret"}\n'

    done = tidegate("score", "--jsonl", "--json", stdin=good + bad)

    assert done.returncode != 0
    assert len(done.stdout.splitlines()) == 1
    assert b"line 2: schema: text: Field required" in done.stderr
    assert b"secret" not in done.stderr


def test_a_line_that_is_no_utf8_is_named() -> None:
    """A text file in another encoding is refused with the line, the byte and a way out."""
    done = tidegate("score", stdin=b"fine\ncaf\xe9\n")

    assert done.returncode != 0
    assert b"line 2, byte 4: no UTF-8" in done.stderr
    assert b"hint: " in done.stderr


def test_scoring_imports_no_torch() -> None:
    """A CPU worker's rooms run without torch, even where it is installed."""
    program = (
        "import sys; from deploy.score import Rooms, Line; from worker.settings import Settings;"
        "list(Rooms(Settings()).verdicts([Line(1, b'hello')], events=False));"
        "sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    )

    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False)

    assert done.returncode == 0


def bundle_copy(folder: Path, without: str) -> Path:
    """Make a bundle of links to the shipped one, without one of its files."""
    for path in SHIPPED_BUNDLE.iterdir():
        if path.name != without:
            (folder / path.name).symlink_to(path)
    return folder


FILES = ["tokenizer.json", "model.int8.onnx", "golden.json", "config.json"]


@pytest.mark.parametrize("file", FILES)
def test_a_changed_file_of_the_bundle_is_named(tmp_path: Path, file: str) -> None:
    """One byte more in a file of the bundle stops the start, with the file and both hashes."""
    folder = bundle_copy(tmp_path, without=file)
    (folder / file).write_bytes((SHIPPED_BUNDLE / file).read_bytes() + b" ")

    done = tidegate("score", "hello", "--bundle", str(folder))

    assert done.returncode != 0
    assert f"{file} has sha256".encode() in done.stderr
    assert b"bundle.json says" in done.stderr


@pytest.mark.parametrize("file", FILES)
def test_a_missing_file_of_the_bundle_is_named(tmp_path: Path, file: str) -> None:
    """A bundle that lacks a file says which."""
    folder = bundle_copy(tmp_path, without=file)

    done = tidegate("score", "hello", "--bundle", str(folder), TIDEGATE_SCORING__ENGINE="openvino")

    assert done.returncode != 0
    assert f"{file} is needed".encode() in done.stderr


def test_a_changed_manifest_is_refused(tmp_path: Path) -> None:
    """A threshold that was edited in bundle.json no longer fits the version."""
    folder = bundle_copy(tmp_path, without="bundle.json")
    manifest = json.loads((SHIPPED_BUNDLE / "bundle.json").read_text())
    manifest["thresholds"]["threat"] = 0.999
    (folder / "bundle.json").write_text(json.dumps(manifest))

    done = tidegate("score", "hello", "--bundle", str(folder))

    assert done.returncode != 0
    assert b"bundle.json says version" in done.stderr


def test_an_unknown_setting_is_refused_with_the_nearest_name() -> None:
    """A misspelt TIDEGATE_ name stops the start before anything is opened."""
    done = tidegate("worker", TIDEGATE_KAFKA__BOOTSTRAP_SERVER="127.0.0.1:9092")

    assert done.returncode != 0
    assert b"TIDEGATE_KAFKA__BOOTSTRAP_SERVER is no setting" in done.stderr
    assert b"TIDEGATE_KAFKA__BOOTSTRAP_SERVERS" in done.stderr


def test_a_broker_that_is_not_there_is_named() -> None:
    """A worker without a broker says where it looked, and ends."""
    done = tidegate("topics", "check", TIDEGATE_KAFKA__BOOTSTRAP_SERVERS="127.0.0.1:1")

    assert done.returncode != 0
    assert b"no broker answered at 127.0.0.1:1" in done.stderr
    assert b"tidegate broker" in done.stderr


def test_the_schemas_in_the_tree_are_current(tmp_path: Path) -> None:
    """`tidegate schemas` writes what is kept in schemas/generated, byte for byte."""
    done = tidegate("schemas", "--out", str(tmp_path))

    kept = {path.name: path.read_text() for path in (ROOT / "schemas" / "generated").iterdir()}
    written = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert done.returncode == 0
    assert kept == written, "run `make schemas`"
