"""Torch's engines: how they serve a bundle, on what device, and what their errors become."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import structlog
import torch
from hypothesis import given
from hypothesis import settings as examples
from hypothesis.strategies import integers, lists
from torch import Tensor

from rig.classifiers import (
    TEXTS,
    VOCABULARY,
    plain_logits,
    random_classifier,
    tiny_classifier,
    write_bundle,
)
from rig.stub import stub_manifest
from schemas.errors import BundleError, ScoringError, SettingsError
from worker.batching import FLAT, Flat
from worker.bundle import open_bundle
from worker.pulse import Pulse
from worker.scoring import torch_device
from worker.scoring.engine import DeviceMemoryError
from worker.scoring.load import load_for_alone, load_scorer
from worker.scoring.scorer import Scorer
from worker.scoring.torch_device import (
    CPU_ALONE,
    SINCE,
    Card,
    Found,
    TorchDevice,
    choose_device,
    look,
    starting,
)
from worker.scoring.torch_engine import flat_engine, load_torch_engine, why_padded
from worker.scoring.torch_flat import TorchFlat
from worker.settings import EngineChoice, NumberType, ScoringSettings
from worker.tokenise import BundleTokeniser

pytestmark = pytest.mark.usefixtures("one_thread")

GIB = 2**30
H100 = Card("NVIDIA H100 80GB HBM3", (9, 0), 80 * GIB, 79 * GIB)
T4 = Card("Tesla T4", (7, 5), 15 * GIB, 15 * GIB)
ON_GPU = TorchDevice(torch.device("cuda"), torch.bfloat16, 16_384, H100.name)


# -- a whole scorer


@pytest.mark.parametrize(
    ("model_type", "layout"),
    [
        ("bert", "bert needs no padding"),
        ("distilbert", "distilbert needs no padding"),
        ("electra", "padded: electra is laid out in rows only"),
    ],
)
def test_a_bundle_is_scored_as_its_model_scores_and_the_log_says_how(
    model_type: str, layout: str, tmp_path: Path
) -> None:
    """Its golden comments pass; texts in a window get what the plain model gives each alone."""
    model = tiny_classifier(model_type)
    bundle = open_bundle(str(write_bundle(tmp_path, model)), allow_unsigned=False)
    tokenise = BundleTokeniser(tmp_path / "tokenizer.json", 64, overlap=8, most=4)
    settings = ScoringSettings(engine=EngineChoice.TORCH)

    with structlog.testing.capture_logs() as logs:
        scorer = load_scorer(bundle, settings, tokenise, Pulse())

    pieces = [found.ids[0] for found in tokenise([*TEXTS, "you and a rotten song " * 9])]
    expected = 1 / (1 + np.exp(-plain_logits(model, pieces)))
    assert np.abs(expected - scorer.probabilities(pieces)).max() < 1e-4
    (ready,) = [entry for entry in logs if entry["event"] == "engine ready"]
    assert ready["why"] == f"set by TIDEGATE_SCORING__ENGINE; {layout}"
    assert ready["golden_difference"] < 0.001


def test_comments_that_may_end_processes_are_scored_on_the_cpu_whatever_else_is_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No GPU is taken: it may be what breaks."""
    bundle = open_bundle(str(write_bundle(tmp_path, tiny_classifier("bert"))), allow_unsigned=False)
    tokenise = BundleTokeniser(tmp_path / "tokenizer.json", 64, overlap=8, most=4)
    settings = ScoringSettings(engine=EngineChoice.TORCH)
    usual = load_scorer(bundle, settings, tokenise, Pulse())

    assert load_for_alone(usual, bundle, settings, tokenise, Pulse()) is usual  # on the CPU already
    monkeypatch.setattr("worker.scoring.load.torch_finds_a_gpu", lambda: True)
    monkeypatch.setattr(torch_device, "look", lambda: pytest.fail("a GPU was looked for"))
    alone = load_for_alone(usual, bundle, settings, tokenise, Pulse())

    assert alone is not usual
    texts = tokenise(["one comment"])[0].ids
    assert np.allclose(alone.probabilities(texts), usual.probabilities(texts))


def test_a_budget_is_never_less_than_a_piece(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine's own grows with the bundle; one that was set is named."""
    bundle = open_bundle(str(write_bundle(tmp_path, tiny_classifier("bert"))), allow_unsigned=False)
    tokenise = BundleTokeniser(tmp_path / "tokenizer.json", 64, overlap=8, most=4)
    monkeypatch.setattr(torch_device, "CPU_BUDGET", 32)

    with structlog.testing.capture_logs() as logs:
        load_scorer(bundle, ScoringSettings(engine=EngineChoice.TORCH), tokenise, Pulse())
    assert logs[-1]["budget"] == 64

    settings = ScoringSettings(engine=EngineChoice.TORCH, budget=63)
    with pytest.raises(SettingsError, match=r"BUDGET is 63 tokens, .* takes 64"):
        load_scorer(bundle, settings, tokenise, Pulse())


def test_a_budget_that_holds_the_longest_piece_is_enough(tmp_path: Path) -> None:
    """Without padding a piece of 63 tokens takes 63, not 64."""
    write_bundle(tmp_path, tiny_classifier("bert", layers=1))

    engine, _ = load_torch_engine(tmp_path, 63, ScoringSettings(budget=63), Pulse(), CPU_ALONE)

    assert (engine.layout, engine.budget) == (FLAT, 63)


@pytest.mark.parametrize("config", ["{", "{}", '{"model_type": "of-mine"}', "[]"])
def test_a_config_that_cannot_be_read_is_named(config: str, tmp_path: Path) -> None:
    """Broken, empty or of a model that nobody knows."""
    (tmp_path / "config.json").write_text(config)

    with pytest.raises(BundleError, match=r"config\.json: transformers cannot read it"):
        load_torch_engine(tmp_path, 64, ScoringSettings(), Pulse(), CPU_ALONE)


# -- errors of the device


def device_of(room: int, kind: type[Exception] = torch.OutOfMemoryError) -> TorchFlat:
    """Return an engine whose device has room for so many tokens."""

    def launch(batch: Flat) -> Tensor:
        if len(batch.ids) > room:
            raise kind("CUDA error")
        firsts = torch.from_numpy(batch.ids[batch.bounds[:-1]])
        return firsts[:, None].repeat(1, 6).float()

    return TorchFlat(launch, budget=4_096, description="fake", pulse=Pulse(), stream=None)


def test_out_of_memory_is_said_so_that_a_smaller_micro_batch_is_tried() -> None:
    """And what was launched before it is given up."""
    with pytest.raises(DeviceMemoryError, match="fake: out of memory"):
        device_of(room=10).logits([[[[1] * 8]], [[[1] * 11]]])


def test_any_other_error_of_the_device_ends_the_worker() -> None:
    """With its cause; an illegal access is found late, so nothing after it can be trusted."""
    with pytest.raises(ScoringError, match="fake: AcceleratorError") as caught:
        device_of(room=10, kind=torch.AcceleratorError).logits([[[[1] * 11]]])

    assert not isinstance(caught.value, DeviceMemoryError)
    assert isinstance(caught.value.__cause__, torch.AcceleratorError)


@examples(max_examples=50)
@given(
    pieces=lists(lists(integers(1, 9), min_size=1, max_size=30), min_size=1, max_size=20),
    room=integers(30, 200),
)
def test_a_window_is_scored_whatever_memory_there_is(pieces: list[list[int]], room: int) -> None:
    """Each piece gets its own logits, in the place where it was."""
    found = Scorer(device_of(room), stub_manifest(), 4_096).probabilities(pieces)

    expected = [1 / (1 + np.exp(-piece[0])) for piece in pieces]
    assert np.allclose(expected, found[:, 0])


# -- the device, from the facts


def test_this_machine_can_be_looked_at() -> None:
    """A card, or CUDA's words on why there is none."""
    found = look()

    assert (found.card is None) == bool(found.trouble)


def test_without_a_gpu_torch_computes_on_the_cpu_in_fp32() -> None:
    """There is nothing to complain of."""
    found = choose_device(Found(None, "Found no NVIDIA driver", driver=False, hidden=False))

    assert found.description == "float32 on CPU"


def test_a_gpu_that_was_hidden_is_not_missed() -> None:
    """CUDA_VISIBLE_DEVICES=-1: somebody meant it."""
    found = choose_device(Found(None, "No CUDA GPUs are available", driver=True, hidden=True))

    assert found.torch.type == "cpu"


def test_a_gpu_that_has_bf16_is_taken() -> None:
    """With micro-batches that fill it."""
    assert choose_device(Found(H100, "", driver=True, hidden=False)) == ON_GPU


def test_a_gpu_that_torch_cannot_start_stops_the_worker() -> None:
    """A driver that is too old: it says so, and what to set to go on without."""
    trouble = "The NVIDIA driver on your system is too old (found version 12020)."

    with pytest.raises(SettingsError, match=r"/dev/nvidiactl.*too old") as caught:
        choose_device(Found(None, trouble, driver=True, hidden=False))

    assert "TIDEGATE_SCORING__ENGINE=openvino" in (caught.value.hint or "")


def test_a_gpu_without_bf16_stops_the_worker() -> None:
    """Emulated it is slower than a CPU; both numbers are said."""
    with pytest.raises(SettingsError, match=r"Tesla T4 has compute capability 7\.5; .* 8\.0"):
        choose_device(Found(T4, "", driver=True, hidden=False))


def test_a_model_that_does_not_fit_says_how_much_was_free() -> None:
    """And which setting makes it smaller."""
    busy = H100._replace(free=2 * GIB)

    with (
        pytest.raises(ScoringError, match=r"16,384 tokens do not fit: 2\.0 of 80\.0 GiB") as caught,
        starting(busy, 16_384),
    ):
        raise torch.OutOfMemoryError

    assert "TIDEGATE_SCORING__BUDGET below 16384" in (caught.value.hint or "")


def test_a_budget_for_which_no_memory_is_taken_yet_is_not_blamed() -> None:
    """Laid out in rows a model takes memory as micro-batches come, and halves them."""
    with (
        pytest.raises(ScoringError, match=r"the model does not fit: 79\.0 of") as caught,
        starting(H100),
    ):
        raise torch.OutOfMemoryError

    assert "BUDGET" not in (caught.value.hint or "")


def test_a_gpu_that_fails_at_the_start_is_named() -> None:
    """With what CUDA said."""
    with (
        pytest.raises(ScoringError, match=r"H100.*: the model does not start: no kernel image"),
        starting(H100, 16_384),
    ):
        raise torch.AcceleratorError("no kernel image")


@pytest.mark.parametrize(
    ("hidden_size", "obstacle"), [(32, None), (48, "heads of 12"), (1056, "264")]
)
def test_heads_that_flash_attention_has_no_kernel_for_are_padded(
    hidden_size: int, obstacle: str | None
) -> None:
    """On a GPU; the log says why."""
    config = tiny_classifier("bert", layers=1).config
    config.hidden_size = hidden_size

    found = why_padded(config, ON_GPU)

    assert (obstacle or "") in (found or "")
    assert (found is None) == (obstacle is None)


# -- on a GPU

# Of a logit whose standard deviation is 0.4; bf16 on a CPU is off by 0.06 on such a model.
BF16_BOUND = 0.15
# Of a logit whose standard deviation is 0.24; on a CPU it is 0.06.
FP8_BOUND = 0.12


def of_base_shape(spread: float = 0.05) -> Any:
    """Return a classifier of BERT-base's shape, few words apart."""
    return random_classifier("bert", vocab_size=VOCABULARY, initializer_range=spread)


def has_fp8() -> bool:
    """Say whether there is a card that computes in fp8."""
    return (
        torch.cuda.is_available() and torch.cuda.get_device_capability() >= SINCE[NumberType.FP8][0]
    )


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize(
    "lengths",
    [(5,), range(3, 90), (256, 200, 3), [256] * 64, [3] * 2_000],
    ids=["alone", "short ones", "long ones", "a full budget", "too many for a graph"],
)
def test_bf16_without_padding_has_the_logits_of_fp32(lengths: Sequence[int]) -> None:
    """By graphs of both kinds and without one; twice, so that the memory was used before."""
    random = np.random.default_rng(0)
    pieces = [random.integers(5, VOCABULARY, length).tolist() for length in lengths]
    expected = plain_logits(of_base_shape(), pieces[:8])
    engine = flat_engine(of_base_shape(), choose_device(look()), longest=256, pulse=Pulse())

    engine.logits([[pieces]])
    (found,) = engine.logits([[pieces]])
    alone = np.concatenate(engine.logits([[[piece]] for piece in pieces[:8]]))

    assert len(pieces) == len(found)
    assert np.abs(expected - found[:8]).max() < BF16_BOUND
    assert np.abs(expected - alone).max() < BF16_BOUND


@pytest.mark.skipif(not has_fp8(), reason="needs a GPU with fp8")
@pytest.mark.parametrize("lengths", [(5,), (256, 200, 3), [3] * 2_001])
def test_products_in_fp8_have_the_logits_of_fp32_in_short(lengths: Sequence[int]) -> None:
    """By graphs and without one, with any number of rows."""
    random = np.random.default_rng(0)
    pieces = [random.integers(5, VOCABULARY, length).tolist() for length in lengths]
    expected = plain_logits(of_base_shape(0.02), pieces[:8])
    device = choose_device(look(), NumberType.FP8)
    engine = flat_engine(of_base_shape(0.02), device, longest=256, pulse=Pulse())

    (found,) = engine.logits([[pieces]])

    assert np.abs(expected - found[:8]).max() < FP8_BOUND
