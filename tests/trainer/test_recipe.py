"""The settings: bounds, names on the command line, and the published recipe."""

import pytest
from click.testing import CliRunner

from deploy.cli import main
from schemas.errors import SettingsError
from trainer.recipe import PUBLISHED_RECIPE, FitSettings, settings_of


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epochs", 0),
        ("max_steps", 0),
        ("learning_rate", 0.0),
        ("layer_decay", 1.5),
        ("warmup_ratio", 1.0),
        ("max_grad_norm", -1.0),
        ("gradient_accumulation_steps", 0),
        ("ema_decay", 1.0),
        ("balance", 2.0),
        ("checkpoint_every_s", -1.0),
        ("checkpoint_every_s", float("inf")),
        ("max_grad_norm", float("nan")),
        ("seed", 2**32),
    ],
)
def test_a_setting_out_of_bounds_is_refused_by_its_name(name: str, value: float) -> None:
    """Before anything is read, in the words of the command line."""
    with pytest.raises(SettingsError) as refused:
        settings_of("tide", **{name: value})

    assert refused.value.what.startswith(f"--{name.replace('_', '-')} is {value}: ")


@pytest.mark.parametrize("command", ["train", "average", "evaluate"])
@pytest.mark.parametrize("seed", ["-1", str(2**32)])
def test_a_seed_of_no_split_is_refused(command: str, seed: str) -> None:
    """By its name, and not by whoever draws with it."""
    refused = CliRunner().invoke(main, [command, "--split-seed", seed])

    assert refused.exit_code == 2
    assert "--split-seed" in refused.output


@pytest.mark.parametrize("option", ["--precision", "--teacher-share"])
def test_nan_is_no_share(option: str) -> None:
    """It lies between any two bounds, as comparisons go, and showed when the bundle was written."""
    refused = CliRunner().invoke(main, ["train", option, "nan"])

    assert refused.exit_code == 2
    assert "nan is no number" in refused.output


def test_all_wrong_settings_are_named_at_once() -> None:
    """Nobody mends them one run at a time."""
    with pytest.raises(SettingsError) as refused:
        settings_of("tide", epochs=0, balance=3.0)

    assert "--epochs is 0" in refused.value.what
    assert "--balance is 3.0" in refused.value.what


def test_what_is_not_given_is_the_recipes() -> None:
    """None stands for not given; the rest replaces."""
    settings = settings_of("published", epochs=2, learning_rate=None)

    assert settings == PUBLISHED_RECIPE.model_copy(update={"epochs": 2})


def test_every_setting_is_an_option_and_its_bounds_are_kept() -> None:
    """`--help` is made from the settings; a wrong one ends in a line, not in a traceback."""
    said = CliRunner().invoke(main, ["train", "--help"]).output
    wrong = CliRunner().invoke(main, ["train", "--data", "x.csv", "--out", "x", "--ema-decay", "2"])

    for name in FitSettings.model_fields:
        assert f"--{name.replace('_', '-')}" in said
    assert wrong.exit_code == 1
    assert "error: --ema-decay is 2.0" in wrong.stderr
