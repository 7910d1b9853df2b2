"""Which parameters learn how fast, and when."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from transformers import PreTrainedModel

from schemas.labels import LABELS
from trainer.model import load_model
from trainer.optimizer import choose_optimizer, parameter_groups, set_rate, share_of_rate
from trainer.recipe import PUBLISHED_RECIPE, FitSettings


@pytest.fixture(scope="module")
def model(tiny_base: Path) -> PreTrainedModel:
    """Two layers and a head."""
    return load_model(str(tiny_base), LABELS)


def rates(model: PreTrainedModel, settings: FitSettings) -> Iterator[tuple[str, float, float]]:
    """Yield each parameter's name, highest rate and decay."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    for group in parameter_groups(model, settings):
        for parameter in group["params"]:
            yield names[id(parameter)], group["lr"], group["weight_decay"]


def test_the_rate_rises_then_falls_to_nothing() -> None:
    """Warm-up and linear decay, never below 0."""
    settings = FitSettings(warmup_ratio=0.1)
    shares = [share_of_rate(step, 100, settings) for step in range(101)]

    assert shares[9] == 1
    assert shares[:10] == sorted(shares[:10])
    assert shares[9:] == sorted(shares[9:], reverse=True)
    assert shares[100] == 0


def test_without_a_schedule_the_rate_is_level() -> None:
    """As in the published recipe."""
    assert {share_of_rate(step, 100, PUBLISHED_RECIPE) for step in range(100)} == {1.0}


def test_each_layer_learns_slower_than_the_one_above_it(model: PreTrainedModel) -> None:
    """Head, upper layer, lower layer, embeddings; every parameter is in one group."""
    settings = FitSettings(learning_rate=1e-3, head_factor=5.0, layer_decay=0.5)
    found = {name: rate for name, rate, _ in rates(model, settings)}

    assert len(found) == len(list(model.named_parameters()))
    assert found["classifier.weight"] == pytest.approx(5e-3)
    assert found["bert.pooler.dense.weight"] == pytest.approx(1e-3)
    assert found["bert.encoder.layer.1.output.dense.weight"] == pytest.approx(1e-3)
    assert found["bert.encoder.layer.0.output.dense.weight"] == pytest.approx(0.5e-3)
    assert found["bert.embeddings.word_embeddings.weight"] == pytest.approx(0.25e-3)


def test_biases_and_norms_do_not_decay(model: PreTrainedModel) -> None:
    """A decay would pull a norm's weight to 0, where it says nothing."""
    found = {name: decay for name, _, decay in rates(model, FitSettings(weight_decay=0.1))}

    assert {decay for name, decay in found.items() if "norm" in name.lower()} == {0}
    assert {decay for name, decay in found.items() if name.endswith("bias")} == {0}
    assert found["bert.encoder.layer.0.output.dense.weight"] == 0.1


def test_a_share_sets_all_rates(model: PreTrainedModel) -> None:
    """Each group keeps its own highest rate; the highest of all is returned."""
    optimizer = choose_optimizer(model, FitSettings(learning_rate=1e-3, head_factor=5.0))

    assert set_rate(optimizer, 0.5) == pytest.approx(2.5e-3)
    assert sorted({group["lr"] for group in optimizer.param_groups}) == pytest.approx(
        [0.5e-3, 2.5e-3]
    )
