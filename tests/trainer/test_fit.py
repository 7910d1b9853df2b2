"""The loop: unknown labels teach nothing, seeds hold, the best weights are the ones that stay."""

from pathlib import Path

import numpy as np
import pytest
import torch

from schemas.errors import TrainingError
from trainer import fit
from trainer.data import Rows, read_files
from trainer.dataset import CommentDataset
from trainer.model import load_model, load_tokenizer
from trainer.normalise import with_cleaning

LABELS = ("toxic", "severe_toxic", "obscene", "threat", "insult", "identity_hate")


def run(
    base: Path, rows: Rows, checkpoint: Path, settings: fit.FitSettings
) -> tuple[torch.nn.Module, fit.History, CommentDataset]:
    """Train the tiny model, a fifth of the rows held out, and return what came of it."""
    torch.manual_seed(settings.seed)
    tokenizer = with_cleaning(load_tokenizer(str(base)))
    cut = len(rows) // 5
    held_out, train = rows.take(list(range(cut))), rows.take(list(range(cut, len(rows))))
    held_out_rows = CommentDataset(held_out, tokenizer, 48)
    model = load_model(str(base), LABELS)
    history = fit.fit(
        model,
        CommentDataset(train, tokenizer, 48),
        held_out_rows,
        weights=fit.positive_weights(train.labels),
        checkpoint=checkpoint,
        settings=settings,
    )
    return model, history, held_out_rows


def test_labels_that_are_not_known_give_no_gradient() -> None:
    """Their logits are not moved, and the loss is the mean over the others."""
    logits = torch.tensor([[0.3, -0.7], [1.2, 0.4]], requires_grad=True)
    labels = torch.tensor([[1.0, float("nan")], [float("nan"), 0.0]])

    loss = fit.masked_loss(logits, labels, torch.ones(2))
    torch.autograd.backward(loss)

    expected = -(torch.sigmoid(logits[0, 0]).log() + torch.sigmoid(-logits[1, 1]).log()) / 2
    assert loss.item() == pytest.approx(expected.item())
    assert logits.grad is not None
    assert logits.grad[0, 1] == 0
    assert logits.grad[1, 0] == 0
    assert (logits.grad[[0, 1], [0, 1]] != 0).all()


def test_rows_of_which_nothing_is_known_give_a_loss_of_nothing() -> None:
    """No division by zero, no NaN in the weights."""
    logits = torch.zeros((2, 3), requires_grad=True)

    loss = fit.masked_loss(logits, torch.full((2, 3), float("nan")), torch.ones(3))

    assert loss.item() == 0


def test_rare_labels_weigh_the_root_of_the_inverse_share() -> None:
    """Unknown ones do not count; a label without positives weighs 1; the weight is bounded."""
    labels = np.zeros((10_000, 4), np.float32)
    labels[:100, 0] = 1
    labels[:50, 1], labels[200:, 1] = 1, np.nan
    labels[0, 3] = 1

    weights = fit.positive_weights(labels)

    assert weights.tolist() == pytest.approx([10.0, 2.0, 1.0, fit.MOST_WEIGHT])


def test_the_rate_rises_then_falls_to_nothing() -> None:
    """Warm-up and linear decay, never below 0."""
    shares = [fit.share_of_rate(step, total=100, warm_up=0.1) for step in range(101)]

    assert shares[9] == 1
    assert shares[:10] == sorted(shares[:10])
    assert shares[9:] == sorted(shares[9:], reverse=True)
    assert shares[100] == 0


def test_training_lowers_the_held_out_loss_and_keeps_the_best_weights(
    made_file: Path, tiny_base: Path, tmp_path: Path
) -> None:
    """What the model is left with has the lowest held-out loss of all that were taken."""
    settings = fit.FitSettings(epochs=12, learning_rate=3e-3, head_factor=1.0)

    model, history, held_out = run(tiny_base, read_files([made_file]), tmp_path / "w", settings)

    losses = list(history.losses.values())
    assert history.best_loss == min(losses) < losses[0]
    labels = torch.stack([held_out[i][1] for i in range(len(held_out))])
    weights = fit.positive_weights(read_files([made_file]).take(range(80, 400)).labels)
    found = fit.masked_loss(torch.from_numpy(fit.predict(model, held_out, 4_096)), labels, weights)
    assert found.item() == pytest.approx(history.best_loss, abs=1e-3)


def test_the_same_seed_gives_the_same_weights(
    made_file: Path, tiny_base: Path, tmp_path: Path
) -> None:
    """A run can be repeated."""
    rows, settings = read_files([made_file]), fit.FitSettings(max_steps=4, seed=3)

    (first, _, _), (second, _, _) = (
        run(tiny_base, rows, tmp_path / name, settings) for name in ("a", "b")
    )

    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        torch.testing.assert_close(a, b)


def test_max_steps_bounds_the_run(made_file: Path, tiny_base: Path, tmp_path: Path) -> None:
    """A smoke run ends after so many steps, and still has weights to give."""
    settings = fit.FitSettings(epochs=50, max_steps=3)

    _, history, _ = run(tiny_base, read_files([made_file]), tmp_path / "w", settings)

    assert (history.steps, history.best_step in history.losses) == (3, True)


def test_a_base_that_is_not_there_is_named_with_a_way_out(tmp_path: Path) -> None:
    """A folder without a config is no base."""
    with pytest.raises(TrainingError, match="cannot be loaded") as refused:
        load_model(str(tmp_path), LABELS)

    assert "config.json" in str(refused.value.hint)
