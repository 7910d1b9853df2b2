"""How a model is trained, as settings: the recipe of the shipped bundle, and the published one.

Torch is not imported here, so that `tidegate train --help` can list every setting.
"""

from typing import Any, Final, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    ValidationError,
)

from schemas.errors import SettingsError

MOST_SEED: Final = 2**32 - 1


class FitSettings(BaseModel):
    """The settings of the loop; the defaults are the recipe of the shipped bundle.

    Where transformers' TrainingArguments has a name for a setting, it is that name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    epochs: PositiveInt = Field(default=4, description="Passes over the training rows.")
    max_steps: PositiveInt | None = Field(
        default=None, description="Steps at most, whatever the epochs: for a smoke run."
    )
    learning_rate: float = Field(
        default=2e-4, gt=0, le=1, description="Of the encoder's last layer, at its highest."
    )
    head_factor: PositiveFloat = Field(
        default=10.0, description="How many times faster the fresh head learns."
    )
    layer_decay: float = Field(
        default=1.0, gt=0, le=1, description="A layer learns so much slower than the one above it."
    )
    lr_scheduler_type: Literal["linear", "constant"] = Field(
        default="linear", description="After the warm-up: in a line down to 0, or level."
    )
    warmup_ratio: float = Field(
        default=0.06, ge=0, lt=1, description="Share of the steps in which the rate rises."
    )
    optim: Literal["adamw", "adam_amsgrad"] = Field(
        default="adamw", description="AdamW, or Adam with amsgrad and decay in the gradient."
    )
    weight_decay: NonNegativeFloat = Field(
        default=0.01, description="Of all weights but biases and norms."
    )
    max_grad_norm: NonNegativeFloat = Field(
        default=1.0, description="Gradients are clipped to this norm; 0 for no clipping."
    )
    token_budget: PositiveInt = Field(
        default=2_048, description="Padded tokens in a batch, of rows of like length."
    )
    per_device_train_batch_size: PositiveInt | None = Field(
        default=None, description="Rows in a batch, drawn whatever their length, in its place."
    )
    gradient_accumulation_steps: PositiveInt = Field(
        default=1, description="Batches whose gradients make one step."
    )
    bf16: bool | None = Field(
        default=None, description="bf16 autocast; by itself where the device computes in it."
    )
    torch_compile: bool = Field(default=False, description="Compile the model; costs a minute.")
    loss: Literal["bce", "focal", "asymmetric"] = Field(
        default="bce", description="Binary cross-entropy, or one that plays down the easy rows."
    )
    balance: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="A positive weighs (1 / its label's share) to this power; 0: as a negative.",
    )
    disguise: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="Share of the rows that are learnt from once more, disguised.",
    )
    balance_identities: bool = Field(
        default=False,
        description="Add harmless rows that name groups of people mostly named in toxic ones.",
    )
    ema_decay: float = Field(
        default=0.0, ge=0, lt=1, description="Of the running mean of weights that is kept; 0: off."
    )
    evaluations: PositiveInt = Field(
        default=2, description="How many times an epoch the held-out loss is taken."
    )
    load_best_model_at_end: bool = Field(
        default=True, description="Keep the weights of the lowest held-out loss, or the last ones."
    )
    seed: NonNegativeInt = Field(
        default=0,
        le=MOST_SEED,
        description="Of the order of rows, the head and dropout; not of the split.",
    )
    checkpoint_every_s: NonNegativeFloat = Field(
        default=300.0, description="Seconds between checkpoints; 0 for one after every step."
    )


# unitaryai/detoxify, configs/Toxic_comment_classification_BERT.json and train.py: Adam 3e-5 with
# amsgrad and decay 3e-6, ten shuffled rows padded to their longest, three such batches a step,
# plain mean BCE, no schedule, no clipping, fp32, the last checkpoint. It names no number of
# epochs (its default, 100, is stopped by hand); four are as many as ours. It cuts rows at the
# tokeniser's 512, and lets biases and norms decay, too, which 3e-6 makes no matter. The rows of
# a step are computed in batches of like length: the same gradient for a fraction of the price.
PUBLISHED_RECIPE: Final = FitSettings(
    learning_rate=3e-5,
    head_factor=1.0,
    lr_scheduler_type="constant",
    warmup_ratio=0.0,
    optim="adam_amsgrad",
    weight_decay=3e-6,
    max_grad_norm=0.0,
    per_device_train_batch_size=10,
    gradient_accumulation_steps=3,
    bf16=False,
    balance=0.0,
    load_best_model_at_end=False,
)

RECIPES: Final = {"tide": FitSettings(), "published": PUBLISHED_RECIPE}
LENGTHS: Final = {"tide": 128, "published": 512}  # tokens in a row, if the base takes as many
LEAST_LENGTH: Final = 16  # tokens: [CLS], [SEP] and a few words


def settings_of(recipe: str, **given: Any) -> FitSettings:
    """Return a recipe with some of its settings replaced; None stands for not given.

    Raises:
        SettingsError: settings are out of their bounds; each is named.
    """
    replaced = {name: value for name, value in given.items() if value is not None}
    try:
        return FitSettings.model_validate(RECIPES[recipe].model_dump() | replaced)
    except ValidationError as error:
        wrong = [
            f"--{'.'.join(map(str, e['loc'])).replace('_', '-')} is {e['input']}: {e['msg']}"
            for e in error.errors()
        ]
        raise SettingsError("; ".join(wrong), "see `tidegate train --help`") from error
