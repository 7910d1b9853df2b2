"""The loop: seeds hold, the best weights are the ones that stay, settings do what they say."""

import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from rig.one_gradient import ROWS, gradient, model_of, nine_rows
from rig.small_run import small_run
from schemas.errors import TrainingError
from trainer import fit
from trainer.checkpoint import Run
from trainer.data import LabelledFile, read_files
from trainer.dataset import CommentDataset, LikeLengthBatches, ShuffledBatches
from trainer.distributed import ALONE
from trainer.loss import Loss, positive_weights
from trainer.model import load_model, load_tokenizer
from trainer.normalise import with_cleaning
from trainer.progress import Progress
from trainer.recipe import PUBLISHED_RECIPE, FitSettings

LABELS = ("toxic", "severe_toxic", "obscene", "threat", "insult", "identity_hate")


def weights(folder: Path) -> bytes:
    """Return the weights that a small run has come to."""
    return (folder / "weights-0.safetensors").read_bytes()


def test_training_lowers_the_held_out_loss_and_keeps_the_best_weights(
    made_file: Path, tiny_base: Path, tmp_path: Path
) -> None:
    """What the model is left with has the lowest held-out loss of all that were taken."""
    settings = FitSettings(epochs=12, learning_rate=3e-3, head_factor=1.0)

    history = small_run(str(tiny_base), made_file, tmp_path, settings)

    losses = list(history.losses.values())
    assert history.best_loss == min(losses) < losses[0]
    assert history.losses[history.best_step] == history.best_loss
    rows = read_files([LabelledFile(made_file)])
    held_out = CommentDataset(
        rows.take(range(80)), with_cleaning(load_tokenizer(str(tiny_base))), 48
    )
    model = load_model(str(tiny_base), LABELS)
    model.load_state_dict(load_file(tmp_path / "weights-0.safetensors"))
    logits = torch.from_numpy(fit.predict(model, held_out, 4_096))
    labels = torch.stack([held_out[i].labels for i in range(len(held_out))])
    loss = Loss("bce", positive_weights(rows.take(range(80, 400)).labels))
    assert loss.mean(logits, labels).item() == pytest.approx(history.best_loss, abs=5e-3)


def test_the_last_weights_are_kept_if_that_is_wanted(
    made_file: Path, tiny_base: Path, tmp_path: Path
) -> None:
    """As in the published recipe, which has none of our other settings either."""
    settings = PUBLISHED_RECIPE.model_copy(update={"max_steps": 4, "evaluations": 10})

    history = small_run(str(tiny_base), made_file, tmp_path, settings)

    assert (history.steps, history.best_step) == (4, 4)


def test_the_same_seed_gives_the_same_weights(
    made_file: Path, tiny_base: Path, tmp_path: Path
) -> None:
    """A run can be repeated; another seed gives others."""
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        settings = FitSettings(max_steps=4, seed=seed)
        small_run(str(tiny_base), made_file, tmp_path / name, settings)

    assert weights(tmp_path / "a") == weights(tmp_path / "b") != weights(tmp_path / "c")


def test_max_steps_bounds_the_run(made_file: Path, tiny_base: Path, tmp_path: Path) -> None:
    """A smoke run ends after so many steps, and still has weights to give."""
    history = small_run(str(tiny_base), made_file, tmp_path, FitSettings(epochs=50, max_steps=3))

    assert (history.steps, history.best_step in history.losses) == (3, True)


@pytest.mark.parametrize(
    "changes",
    [{"loss": "focal"}, {"loss": "asymmetric"}, {"ema_decay": 0.9}, {"layer_decay": 0.9}],
    ids=str,
)
def test_every_setting_makes_other_weights(
    made_file: Path, tiny_base: Path, tmp_path: Path, changes: dict[str, Any]
) -> None:
    """None of them is read and forgotten."""
    settings = FitSettings(max_steps=2, bf16=False)
    small_run(str(tiny_base), made_file, tmp_path / "plain", settings)

    small_run(str(tiny_base), made_file, tmp_path / "other", settings.model_copy(update=changes))

    assert weights(tmp_path / "plain") != weights(tmp_path / "other")


def test_a_loss_that_is_no_number_ends_the_run_with_a_way_out() -> None:
    """Weights that were lost are neither kept nor trained on."""
    model = torch.nn.Linear(1, 1)
    run = Run(model, torch.optim.AdamW(model.parameters()), ema=None)

    with pytest.raises(TrainingError, match="step 0: the held-out loss is nan") as refused:
        run.keep(float("nan"), lowest=True)

    assert "--learning-rate" in str(refused.value.hint)
    assert not run.best


def test_progress_and_curves_are_there(
    made_file: Path, tiny_base: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Loss, comments and tokens a second, time left; a file for TensorBoard."""
    small_run(str(tiny_base), made_file, tmp_path, FitSettings(max_steps=2))

    said = capfd.readouterr().err
    assert "step 2/2: loss " in said
    for unit in ("comments/s", "tokens/s", "min left", "held-out loss", "device: CPU"):
        assert unit in said
    assert list((tmp_path / "tensorboard").glob("events.*"))


def test_two_batches_a_step_give_the_gradient_of_one_twice_as_large(
    made_file: Path, tiny_base: Path
) -> None:
    """It is divided by the labels that are known in both, and these are not dealt evenly."""
    model, dataset = model_of(str(tiny_base)), nine_rows(str(tiny_base), made_file)
    longest = max(dataset.lengths)

    whole = gradient(model, dataset, LikeLengthBatches(dataset.lengths, ROWS * longest), 1, ALONE)

    assert whole.abs().max() > 1e-3
    for accumulate, budget in ((9, longest), (4, 3 * longest)):
        batches = LikeLengthBatches(dataset.lengths, budget)
        dealt = gradient(model, dataset, batches, accumulate, ALONE)
        torch.testing.assert_close(dealt, whole, atol=1e-6, rtol=0)


def test_the_published_recipes_gradient_is_that_of_rows_padded_as_they_were_drawn(
    made_file: Path, tiny_base: Path
) -> None:
    """They are computed in batches of like length, which costs less and changes nothing."""
    model, dataset = model_of(str(tiny_base)), nine_rows(str(tiny_base), made_file)
    lengths, longest = dataset.lengths, max(dataset.lengths)
    as_drawn, by_length = (ShuffledBatches(lengths, 3, n * longest, seed=0) for n in (ROWS, 1))
    assert len(as_drawn.computed(list(as_drawn))) == 1
    assert len(by_length.computed(list(by_length))) > 3

    padded = gradient(model, dataset, as_drawn, 3, ALONE)

    torch.testing.assert_close(
        gradient(model, dataset, by_length, 3, ALONE), padded, atol=1e-6, rtol=0
    )


def test_a_wish_to_stop_in_the_last_step_is_heard_too(
    made_file: Path, tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What follows takes minutes; the same command then goes on there, without a step."""

    def judged(*_: object) -> None:
        signal.raise_signal(signal.SIGTERM)

    a_step = FitSettings(max_steps=1)
    monkeypatch.setattr(Progress, "judged", judged)

    with pytest.raises(SystemExit) as ended:
        small_run(str(tiny_base), made_file, tmp_path, a_step)

    assert ended.value.code == 128 + signal.SIGTERM
    assert small_run(str(tiny_base), made_file, tmp_path, a_step).steps == 1


def test_a_base_that_is_not_there_is_named_with_a_way_out(tmp_path: Path) -> None:
    """A folder without a config is no base."""
    with pytest.raises(TrainingError, match="cannot be loaded") as refused:
        load_model(str(tmp_path), LABELS)

    assert "config.json" in str(refused.value.hint)
