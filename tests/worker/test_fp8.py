"""Products in fp8: what they lose, what they do not, and who cannot have them.

On a CPU, by the same function that a card has.
"""

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
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from rig.classifiers import (
    LONGEST,
    TEXTS,
    VOCABULARY,
    pieces_of,
    plain_logits,
    random_classifier,
    tiny_classifier,
    write_bundle,
)
from schemas.errors import SettingsError
from worker.batching import flat
from worker.bundle import open_bundle
from worker.pulse import Pulse
from worker.scoring.flat_inputs import Eager
from worker.scoring.fp8 import E4M3, MOST, Fp8Product, rounded
from worker.scoring.load import load_for_alone, load_scorer
from worker.scoring.torch_device import CPU_ALONE, Card, Found, choose_device
from worker.scoring.torch_engine import encoder_of, load_torch_engine
from worker.scoring.varlen import attend_on_cpu, gpu_attention
from worker.settings import EngineChoice, NumberType, ScoringSettings
from worker.tokenise import BundleTokeniser

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")
FP8 = ScoringSettings(engine=EngineChoice.TORCH, number_type=NumberType.FP8)
ON_CPU = choose_device(CPU_ALONE, NumberType.FP8)
LENGTHS = (LONGEST, 1, 2, 3, 17, LONGEST, 8)
SPREAD = 0.1  # of weights; with those of other tests three layers make much of any rounding


def logits_of(model: Any, pieces: Sequence[Sequence[int]]) -> NDArray[np.float32]:
    """Return the logits with products in fp8: [pieces, labels]."""
    with torch.inference_mode():
        found: NDArray[np.float32] = Eager(encoder_of(model, ON_CPU, attend_on_cpu), CPU)(
            flat(pieces)
        ).numpy()
    return found


@examples(max_examples=60)
@given(rows=lists(integers(-3, 3), min_size=1, max_size=8), seed=integers(0, 1_000))
def test_each_row_is_rounded_by_a_scale_of_its_own(rows: list[int], seed: int) -> None:
    """By a sixteenth of a number at most, or next to nothing of the row's largest."""
    random = torch.Generator().manual_seed(seed)
    numbers = torch.randn(len(rows), 64, generator=random) * 10.0 ** torch.tensor(rows)[:, None]

    found, scale = rounded(numbers)

    again = found.float() * scale
    largest = numbers.abs().amax(1, keepdim=True)
    assert torch.all((again - numbers).abs() <= numbers.abs() / 16 + largest * 2**-18)
    assert found.dtype == E4M3
    assert found.float().abs().max() == MOST


def test_a_row_of_zeros_stays_one() -> None:
    """Such are rows of a graph that nobody wrote."""
    found, scale = rounded(torch.zeros(2, 16))

    assert torch.all(found.float() * scale == 0)


@pytest.mark.parametrize("of", [slice(None), slice(16), slice(16, None)])
def test_a_product_is_that_of_the_rounded_numbers(of: slice) -> None:
    """All of its columns or some, the bias in fp32."""
    torch.manual_seed(0)
    linear, rows = nn.Linear(32, 48), torch.randn(5, 32)
    product = Fp8Product(linear, CPU, torch.float32)

    with torch.inference_mode():
        found = product.part(rows, of)
        left, right = (
            eighth.float() * scale for eighth, scale in map(rounded, (rows, linear.weight))
        )

        expected = functional.linear(left, right, linear.bias)[:, of]
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("model_type", ["bert", "roberta", "distilbert"])
def test_the_logits_are_near_those_of_fp32(model_type: str) -> None:
    """And not the same: then nothing would have been rounded."""
    model, pieces = tiny_classifier(model_type, spread=SPREAD), pieces_of(LENGTHS)
    expected = plain_logits(model, pieces)

    off = np.abs(expected - logits_of(model, pieces)).max()

    assert 0.001 < off < 0.15 * expected.std()


def test_a_change_in_one_piece_moves_no_other() -> None:
    """To the last bit: a scale for all rows together would not have that."""
    model, pieces = tiny_classifier("bert"), pieces_of(LENGTHS)
    before = logits_of(model, pieces)
    pieces[0] = pieces_of([LENGTHS[0]], seed=9)[0]

    after = logits_of(model, pieces)

    assert np.array_equal(before[1:], after[1:])
    assert np.abs(before[0] - after[0]).max() > 1e-3


def test_a_bundle_is_scored_in_fp8_where_that_is_asked_for_and_the_log_says_so(
    tmp_path: Path,
) -> None:
    """Its golden comments pass."""
    write_bundle(tmp_path, tiny_classifier("bert", spread=SPREAD), tolerance=0.02)
    bundle = open_bundle(str(tmp_path), allow_unsigned=False)
    tokenise = BundleTokeniser(tmp_path / "tokenizer.json", 64, overlap=8, most=4)
    with structlog.testing.capture_logs() as logs:
        in_fp8 = load_scorer(bundle, FP8, tokenise, Pulse())
    in_fp32 = load_scorer(bundle, ScoringSettings(engine=EngineChoice.TORCH), tokenise, Pulse())

    pieces = [found.ids[0] for found in tokenise(TEXTS)]
    off = np.abs(in_fp8.probabilities(pieces) - in_fp32.probabilities(pieces)).max()
    assert 0 < off < 0.02
    (ready,) = [entry for entry in logs if entry["event"] == "engine ready"]
    assert ready["engine"] == "torch float32 with products in fp8 on CPU, no padding"


def test_the_meta_device_has_the_shapes_of_a_cards_pass() -> None:
    """In bf16, with the attention of a card; it computes nothing."""
    device = ON_CPU._replace(torch=torch.device("meta"), dtype=torch.bfloat16)
    encoder = encoder_of(tiny_classifier("bert"), device, gpu_attention())

    with torch.inference_mode():
        found = Eager(encoder, device.torch)(flat(pieces_of(LENGTHS)))

    assert (found.shape, found.dtype) == ((len(LENGTHS), 6), torch.float32)


# -- who cannot have it


@pytest.mark.parametrize(
    ("capability", "has_it"), [((8, 0), False), ((8, 9), True), ((9, 0), True)]
)
def test_a_card_without_fp8_is_named_with_both_numbers(
    capability: tuple[int, int], *, has_it: bool
) -> None:
    """And what to set."""
    card = Found(Card("Some card", capability, 2**34, 2**34), "", driver=True, hidden=False)
    if has_it:
        found = choose_device(card, NumberType.FP8)
        assert found.description == "bfloat16 with products in fp8 on Some card"
        return

    with pytest.raises(SettingsError, match=r"Some card has .* 8\.0; fp8 needs 8\.9") as caught:
        choose_device(card, NumberType.FP8)

    assert "TIDEGATE_SCORING__NUMBER_TYPE=bf16" in (caught.value.hint or "")


def test_an_engine_that_has_no_fp8_is_named() -> None:
    """Whoever set it would take the scores for those of fp8."""
    bundle = open_bundle("deploy/bundle", allow_unsigned=False)
    tokenise = BundleTokeniser(bundle.folder / "tokenizer.json", 128, overlap=8, most=4)
    settings = ScoringSettings(engine=EngineChoice.OPENVINO, number_type=NumberType.FP8)

    with pytest.raises(SettingsError, match=r"NUMBER_TYPE is fp8, .* openvino scores here"):
        load_scorer(bundle, settings, tokenise, Pulse())

    usual = load_scorer(bundle, ScoringSettings(), tokenise, Pulse())
    assert load_for_alone(usual, bundle, settings, tokenise, Pulse()) is usual


@pytest.mark.parametrize(
    ("model_type", "sizes", "said"),
    [
        ("electra", {}, "electra is laid out in rows only"),
        ("bert", {"hidden_size": 24}, "24 to 72: in fp8 both must be multiples of 16"),
        ("bert", {"intermediate_size": 40}, "32 to 40: in fp8 both must be multiples of 16"),
    ],
)
def test_a_model_whose_products_no_card_has_in_fp8_is_refused(
    model_type: str, sizes: dict[str, int], said: str, tmp_path: Path
) -> None:
    """With what is in the way, and what to set."""
    usual = {"hidden_size": 32, "num_attention_heads": 4, "intermediate_size": 64}
    few = {"num_hidden_layers": 1, "vocab_size": VOCABULARY, "max_position_embeddings": LONGEST}
    write_bundle(tmp_path, random_classifier(model_type, **{**usual, **few, **sizes}))

    with pytest.raises(SettingsError, match=said) as caught:
        load_torch_engine(tmp_path, 64, FP8, Pulse(), CPU_ALONE)

    assert "TIDEGATE_SCORING__NUMBER_TYPE=bf16" in (caught.value.hint or "")


def test_a_torch_that_has_no_such_products_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They came with torch 2.10."""
    monkeypatch.delattr(functional, "scaled_mm")
    write_bundle(tmp_path, tiny_classifier("bert"))

    with pytest.raises(SettingsError, match=r"torch .* has no products in fp8"):
        load_torch_engine(tmp_path, 64, FP8, Pulse(), CPU_ALONE)
