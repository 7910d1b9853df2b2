"""The shipped bundle on the engines that serve it: what only the real ones can show."""

import ctypes
import importlib.util
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from threading import Thread, get_native_id
from threading import enumerate as enumerate_threads
from typing import Any

import numpy as np
import openvino
import psutil
import pytest

import deploy.demo
from rig.stream import eventually
from schemas.bundle import INT8_MODEL
from schemas.errors import ScoringError
from schemas.verdict import BORDERLINE
from schemas.wire import WireError, decode_comment
from worker.bundle import open_bundle
from worker.pulse import Pulse
from worker.run import tokeniser
from worker.scoring.cores import usable_cores
from worker.scoring.engine import OverlappingEngine
from worker.scoring.give_way import STEPS, TASKS
from worker.scoring.load import int8_engine, load_for_alone, load_scorer
from worker.scoring.openvino_graph import leave_keys_as_rows, part_products
from worker.scoring.scorer import Scorer
from worker.settings import EngineChoice, ScoringSettings, Settings
from worker.tokenise import Tokeniser

ENGINES = [
    EngineChoice.OPENVINO,
    pytest.param(
        EngineChoice.ONNXRUNTIME,
        marks=pytest.mark.skipif(
            importlib.util.find_spec("onnxruntime") is None, reason="ONNX Runtime is not installed"
        ),
    ),
]


def shipped(engine: EngineChoice, pulse: Pulse) -> tuple[Scorer, Tokeniser]:
    """Load the shipped bundle, as a worker does."""
    settings = Settings(scoring=ScoringSettings(engine=engine))
    bundle = open_bundle(settings.bundle, allow_unsigned=False)
    tokenise = tokeniser(bundle, settings)
    return load_scorer(bundle, settings.scoring, tokenise, pulse), tokenise


def demo_texts(count: int) -> list[str]:
    """Return texts of the demo's comments; some of those are broken on purpose."""
    lines = (Path(deploy.demo.__file__).parent / "comments.jsonl").read_bytes().splitlines()
    texts = []
    for line in lines[:count]:
        with suppress(WireError):
            texts.append(decode_comment(line).text)
    return texts


@pytest.mark.parametrize("engine", ENGINES)
def test_the_engine_beats_for_the_thread_that_asked_it(engine: EngineChoice) -> None:
    """Its own threads come and go; a beat in their name would look like one that hangs."""
    pulse = Pulse()
    scorer, tokenise = shipped(engine, pulse)
    pieces = [
        piece
        for found in tokenise(["one", "two words", "three words here"] * 50)
        for piece in found.ids
    ]

    device = Thread(target=scorer.probabilities, args=(pieces,), name="device")
    device.start()
    device.join()

    assert pulse.stuck(after_s=-1) == ["MainThread", "device"]


@pytest.mark.parametrize("engine", ENGINES)
def test_comments_that_may_end_processes_need_no_other_engine(engine: EngineChoice) -> None:
    """This one is on the CPU already, and a second one would take its memory twice."""
    settings = Settings(scoring=ScoringSettings(engine=engine))
    bundle = open_bundle(settings.bundle, allow_unsigned=False)
    usual, tokenise = shipped(engine, Pulse())

    assert load_for_alone(usual, bundle, settings.scoring, tokenise, Pulse()) is usual


@pytest.mark.parametrize("engine", ENGINES)
def test_a_comment_scores_alone_as_in_any_company(engine: EngineChoice) -> None:
    """Alone, sorted under the budget with others, and seven at a time."""
    scorer, tokenise = shipped(engine, Pulse())
    pieces = [piece for found in tokenise(demo_texts(120)) for piece in found.ids]

    alone = np.concatenate([scorer.probabilities([piece]) for piece in pieces])
    together = scorer.probabilities(pieces)
    in_sevens = np.concatenate(
        [scorer.probabilities(pieces[at : at + 7]) for at in range(0, len(pieces), 7)]
    )

    assert alone.std(axis=0).max() > 0.1, "a model that says the same of all proves nothing"
    assert np.abs(together - alone).max() < BORDERLINE
    assert np.abs(in_sevens - alone).max() < BORDERLINE


def test_openvino_computes_query_key_and_value_apart() -> None:
    """In each layer but the last, whose first row alone is computed; the file has them together."""
    bundle = open_bundle(Settings().bundle, allow_unsigned=False)
    core = openvino.Core()
    graph = core.read_model(bundle.folder / INT8_MODEL)
    comment = {"input_ids": [[101, 2017, 2024, 9643, 102]], "attention_mask": [[1] * 5]}
    settings = {"INFERENCE_PRECISION_HINT": "f32"}
    together = core.compile_model(graph, "CPU", settings)(comment)[0]

    assert part_products(graph) == 5

    apart = core.compile_model(graph, "CPU", settings)(comment)[0]
    np.testing.assert_allclose(apart, together, atol=0.05)  # logits; bytes may round otherwise
    assert part_products(graph) == 0, "they are apart already"


def test_openvino_takes_keys_as_rows_to_the_same_bit() -> None:
    """In each layer but the last, whose first row alone is computed; the file has columns."""
    bundle = open_bundle(Settings().bundle, allow_unsigned=False)
    core = openvino.Core()
    graph = core.read_model(bundle.folder / INT8_MODEL)
    comment = {"input_ids": [[101, 2017, 2024, 9643, 102]], "attention_mask": [[1] * 5]}
    settings = {"INFERENCE_PRECISION_HINT": "f32"}
    as_columns = core.compile_model(graph, "CPU", settings)(comment)[0]

    assert leave_keys_as_rows(graph) == 5

    assert np.array_equal(core.compile_model(graph, "CPU", settings)(comment)[0], as_columns)
    assert leave_keys_as_rows(graph) == 0, "they are rows already"


def test_openvino_keeps_kernels_for_few_shapes_whatever_windows_have() -> None:
    """Else a worker grows for an hour, to 900 MB: the more shapes windows have, the more."""
    settings = Settings()
    bundle = open_bundle(settings.bundle, allow_unsigned=False)
    model = bundle.folder / INT8_MODEL
    engine = int8_engine(EngineChoice.OPENVINO, model, 2, Pulse())
    shapes = [
        [[[101] * width]] * rows
        for width in range(8, bundle.manifest.max_length + 1, 8)
        for rows in range(1, engine.budget // width + 1)
    ]
    process = psutil.Process()
    engine.logits([shapes[-1]] * 4)  # the memory of its largest tensors
    before = process.memory_info().rss

    engine.logits(shapes)

    assert len(shapes) > 200
    # 151; 450 where rows were as many as pieces, and as wide as they are on a grid of 8
    assert (process.memory_info().rss - before) / 2**20 < 400


@pytest.mark.parametrize("engine", ENGINES)
def test_a_file_that_is_no_graph_is_named(engine: EngineChoice, tmp_path: Path) -> None:
    """With what the engine has to say about it."""
    (tmp_path / INT8_MODEL).write_bytes(b"no graph")

    with pytest.raises(ScoringError, match=INT8_MODEL):
        int8_engine(engine, tmp_path / INT8_MODEL, threads=1, pulse=Pulse())


@pytest.mark.parametrize("engine", ENGINES[1:])
def test_a_failure_within_the_engine_ends_the_process(engine: EngineChoice) -> None:
    """Here by an id that the vocabulary has not, which OpenVINO takes for a row of zeros."""
    broken: Sequence[int] = [101, 10_000_000, 102]
    model = open_bundle(Settings().bundle, allow_unsigned=False).folder / INT8_MODEL

    with pytest.raises(ScoringError, match=f"{engine} int8"):
        int8_engine(engine, model, threads=1, pulse=Pulse()).logits([[[broken]]])


@pytest.mark.parametrize("engine", ENGINES)
def test_a_library_that_cannot_be_loaded_is_said_with_the_way_out(
    engine: EngineChoice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is installed, and something below it is missing."""
    library = "openvino" if engine is EngineChoice.OPENVINO else "onnxruntime"
    monkeypatch.delitem(sys.modules, f"worker.scoring.{library}_int8", raising=False)
    monkeypatch.setitem(sys.modules, library, None)

    with pytest.raises(ScoringError, match=f"{engine} is installed and cannot be") as caught:
        int8_engine(engine, Path(INT8_MODEL), threads=1, pulse=Pulse())

    assert "TIDEGATE_SCORING__ENGINE" in (caught.value.hint or "")


@pytest.mark.parametrize("lone_first", [True, False])
@pytest.mark.parametrize("engine", ENGINES[1:])
def test_a_micro_batch_that_is_alone_has_all_cores_and_several_have_one_each(
    engine: EngineChoice, monkeypatch: pytest.MonkeyPatch, *, lone_first: bool
) -> None:
    """Two sessions of the same file; the threads that run them never keep a process from ending.

    The threads wait for each other awake only where that was asked for: else they would keep a
    broker from the same cores.
    """
    asked: list[tuple[int, str]] = []

    class Session:
        def __init__(self, _: object, options: Any, *__: object, **___: object) -> None:
            awake = options.get_session_config_entry("session.intra_op.allow_spinning")
            self.threads = options.intra_op_num_threads, awake

        def run(self, _: object, inputs: Any) -> list[Any]:
            asked.append(self.threads)
            return [np.zeros((len(inputs["input_ids"]), 6), np.float32)]

    monkeypatch.setattr("onnxruntime.InferenceSession", Session)
    before = set(enumerate_threads())
    loaded = int8_engine(engine, Path(INT8_MODEL), threads=3, pulse=Pulse(), lone_first=lone_first)

    loaded.logits([[[[1, 2]]]])
    loaded.logits([[[[1, 2]]], [[[3]]]])

    assert asked == [(3, "1" if lone_first else "0"), (1, "0"), (1, "0")]
    assert all(thread.daemon for thread in set(enumerate_threads()) - before)


@pytest.mark.parametrize("lone_first", [True, False])
def test_openvino_has_a_micro_batch_that_is_alone_computed_by_all_cores_where_that_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, *, lone_first: bool
) -> None:
    """A second model in memory, for whom a lone comment's time matters: an API."""
    asked: list[int] = []
    started = openvino.InferRequest.start_async

    def start(request: Any, *arguments: Any) -> None:
        asked.append(request.get_compiled_model().get_property("NUM_STREAMS"))
        started(request, *arguments)

    monkeypatch.setattr("openvino.InferRequest.start_async", start)
    model = open_bundle(Settings().bundle, allow_unsigned=False).folder / INT8_MODEL
    loaded = int8_engine(EngineChoice.OPENVINO, model, 2, Pulse(), lone_first=lone_first)
    comment = [101, 2017, 2024, 9643, 102]

    (alone,) = loaded.logits([[[comment]]])
    in_company = loaded.logits([[[comment]], [[comment]]])

    assert asked == [1 if lone_first else 2, 2, 2]
    np.testing.assert_allclose([*in_company], [alone, alone], atol=0.05)

    (in_one_row,) = loaded.logits([[[comment, comment]]])
    assert asked[3:] == [2], "two comments, though a micro-batch of one row"
    np.testing.assert_allclose(in_one_row, [alone[0]] * 2, atol=0.05)
    asked.clear()

    assert isinstance(loaded, OverlappingEngine)
    window, lone = loaded.begin([[[comment]], [[comment]]]), loaded.begin([[[comment]]])
    assert asked == [2, 2, 2], "while a window is computed all cores have work"
    assert not loaded.is_idle
    np.testing.assert_allclose([*window.result(), *lone.result()], [alone] * 3, atol=0.05)


@pytest.mark.parametrize("engine", ENGINES)
def test_windows_that_are_computed_at_once_get_each_its_own_logits(engine: EngineChoice) -> None:
    """Whichever is asked for first, and with more micro-batches than there are places in line."""
    model = open_bundle(Settings().bundle, allow_unsigned=False).folder / INT8_MODEL
    loaded = int8_engine(engine, model, 2, Pulse(), lone_first=True)
    assert isinstance(loaded, OverlappingEngine)
    words = range(2_000, 2_060)
    windows = [[[[[101, word, 102]]] for word in words[start::3]] for start in range(3)]
    alone = [np.concatenate(loaded.logits(window)) for window in windows]

    first, second, third = map(loaded.begin, windows)
    found = [third.result(), first.result(), second.result()]
    assert loaded.is_idle
    assert all(window.is_ready() for window in (first, second, third))

    for logits, expected in zip(found, [alone[2], alone[0], alone[1]], strict=True):
        np.testing.assert_allclose(np.concatenate(logits), expected, atol=1e-5)
    assert len(np.unique(np.concatenate(alone)[:, 0].round(4))) > 20, "they differ"


def test_openvino_beats_while_a_window_is_begun_that_is_longer_than_its_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Most of it is computed by then, and a device at work must not look like one that hangs."""
    beats: list[str] = []
    monkeypatch.setattr(Pulse, "beat", lambda *_: beats.append("beat"))
    model = open_bundle(Settings().bundle, allow_unsigned=False).folder / INT8_MODEL
    loaded = int8_engine(EngineChoice.OPENVINO, model, 2, Pulse())
    assert isinstance(loaded, OverlappingEngine)

    begun = loaded.begin([[[[101, 2017, 102]]]] * 40)

    assert len(beats) == 40
    assert len(begun.result()) == 40


@pytest.mark.skipif(
    sys.platform != "linux" or importlib.util.find_spec("onnxruntime") is None,
    reason="threads have no niceness of their own here, or ONNX Runtime is not installed",
)
def test_threads_that_compute_give_way_to_the_one_that_answers() -> None:
    """Else an API over its capacity is late to refuse."""
    shipped(EngineChoice.ONNXRUNTIME, Pulse())
    computing = [t.native_id for t in enumerate_threads() if t.name.startswith("onnxruntime-")]
    least = min(os.getpriority(os.PRIO_PROCESS, get_native_id()) + STEPS, 19)

    assert computing
    eventually(lambda: {os.getpriority(os.PRIO_PROCESS, t or 0) for t in computing} == {least})


@pytest.mark.skipif(sys.platform != "linux", reason="threads have no niceness of their own here")
def test_threads_of_openvino_give_way_too() -> None:
    """It starts them itself, when a model is compiled; others come and go meanwhile."""
    before = {task.name for task in TASKS.iterdir()}
    engine, _ = shipped(EngineChoice.OPENVINO, Pulse())
    engine.probabilities([[101, 2017, 102]] * 40)
    least = min(os.getpriority(os.PRIO_PROCESS, get_native_id()) + STEPS, 19)

    def lowered() -> bool:
        computing = {task.name for task in TASKS.iterdir()} - before
        with suppress(ProcessLookupError):
            found = [os.getpriority(os.PRIO_PROCESS, int(thread)) for thread in computing]
            return found.count(least) >= usable_cores()
        return False

    eventually(lowered)


class SignalStack(ctypes.Structure):
    """Where a thread's signal handlers run, as Linux has it (sigaltstack(2))."""

    _fields_ = (("at", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t))


@pytest.mark.skipif(sys.platform != "linux", reason="the structure is Linux's")
def test_openvino_does_not_change_where_our_signal_handlers_run() -> None:
    """It gives a thread that compiles another stack, which may be gone when a SIGTERM comes."""

    def stack() -> int | None:
        found = SignalStack()
        ctypes.CDLL(None).sigaltstack(None, ctypes.byref(found))
        at: int | None = found.at
        return at

    before = stack()
    engine, _ = shipped(EngineChoice.OPENVINO, Pulse())
    engine.probabilities([[101, 2017, 102]])

    assert stack() == before
