"""The bundle out: a folder that appears whole or not at all."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from safetensors import SafetensorError
from tokenizers import Tokenizer
from transformers import PreTrainedModel

from schemas.bundle import (
    CARD,
    CONFIG,
    FLOAT_MODEL,
    FLOAT_WEIGHTS,
    GOLDEN,
    INT8_MODEL,
    MANIFEST,
    TOKENIZER,
    BundleManifest,
    Calibration,
    GoldenComments,
    content_version,
    file_entry,
)
from schemas.contract import MOST_CHARACTERS_OF_A_NAME
from schemas.errors import TrainingError
from trainer.card import card
from trainer.scratch import BEFORE, scratch_beside
from trainer.stop import ended_as_by_an_error

LISTED: Final = (
    CONFIG,
    FLOAT_WEIGHTS,
    TOKENIZER,
    "tokenizer_config.json",
    FLOAT_MODEL,
    INT8_MODEL,
    GOLDEN,
)
SPECIAL_TOKENS: Final = {  # BERT's names, and RoBERTa's
    "unk_token": ("[UNK]", "<unk>"),
    "sep_token": ("[SEP]", "</s>"),
    "pad_token": ("[PAD]", "<pad>"),
    "cls_token": ("[CLS]", "<s>"),
    "mask_token": ("[MASK]", "<mask>"),
}
LIBRARIES: Final = (
    "nncf",
    "onnx",
    "onnxruntime",
    "openvino",
    "tokenizers",
    "torch",
    "transformers",
)


@dataclass(frozen=True, slots=True)
class Result:
    """What a run made, beside the files: all that the manifest and the card state."""

    name: str
    base_model: str
    max_length: int
    labels: tuple[str, ...]
    thresholds: dict[str, float]
    calibration: dict[str, Calibration]
    metrics: dict[str, Any]
    data_fingerprint: str


def refuse_out(out: Path) -> None:
    """Look whether a bundle can be written to `out`, before hours go into making one.

    Raises:
        TrainingError: at `out` is something that is no bundle, or nothing can be written there.
    """
    with _errors_of(out):
        _refuse_other(out)
        with scratch_beside(out):
            pass


def _refuse_other(out: Path) -> None:
    if not out.name:
        raise TrainingError(f"{out} is no name for a bundle", "give --out a new folder")
    if out.exists() and not (out / MANIFEST).is_file() and not (out.is_dir() and _is_empty(out)):
        raise TrainingError(f"{out} is there and is no bundle", "give --out a new folder")


def _is_empty(folder: Path) -> bool:
    return next(folder.iterdir(), None) is None


def refuse_name(name: str) -> None:
    """Look whether a bundle may be called so, before hours go into making one.

    Raises:
        TrainingError: it is empty, or too long.
    """
    if not 0 < len(name) <= MOST_CHARACTERS_OF_A_NAME:
        raise TrainingError(
            f"--name has {len(name)} characters", f"give 1 to {MOST_CHARACTERS_OF_A_NAME}"
        )


@contextmanager
def unfinished(out: Path) -> Iterator[Path]:
    """Give a folder to work in; its `bundle` becomes `out` if the block ends well.

    It lies beside `out`, so that the last step is a rename. A bundle that stands at `out` is
    replaced; anything else that stands there is left alone. SIGTERM leaves no scraps either, and
    those of `kill -9` go when the next one begins.

    Raises:
        TrainingError: at `out` is something that is no bundle, or it cannot be written.
    """
    out = out.resolve()
    _refuse_other(out)
    with _errors_of(out), ended_as_by_an_error(out), scratch_beside(out) as scratch:
        bundle = scratch / "bundle"
        bundle.mkdir()
        yield scratch
        _swap(bundle, out, scratch / BEFORE)


def _swap(bundle: Path, out: Path, before: Path) -> None:
    """Put a bundle at `out`; whatever comes between the two renames takes the first one back."""
    try:
        if out.exists():
            out.rename(before)
        bundle.rename(out)
    except BaseException:
        if before.exists() and not out.exists():
            before.rename(out)
        raise


@contextmanager
def _errors_of(out: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, SafetensorError) as error:  # the latter, too, of a disk that is full
        why = error.strerror if isinstance(error, OSError) else error
        raise TrainingError(
            f"{out} cannot be written: {why}", "look at its rights and the free space"
        ) from error


def write_model(folder: Path, model: PreTrainedModel, tokenizer: Tokenizer, length: int) -> None:
    """Write the Hugging Face part: config, float weights and tokeniser."""
    model.config._name_or_path = ""  # noqa: SLF001 - it would be a path of this machine
    model.save_pretrained(folder)
    (folder / FLOAT_WEIGHTS).chmod(0o644)  # it comes readable by its owner alone
    tokenizer.save(str(folder / TOKENIZER))
    settings: dict[str, Any] = {
        # the class that takes tokenizer.json as it is; BertTokenizer would make its own cleaning
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": length,
    }
    for role, names in SPECIAL_TOKENS.items():
        for name in names:
            if tokenizer.token_to_id(name) is not None:
                settings[role] = name
    _write_json(folder / "tokenizer_config.json", settings)


def finish(folder: Path, golden: GoldenComments, result: Result) -> BundleManifest:
    """Write what speaks of the other files: golden comments, manifest and card."""
    manifest = write_manifest(folder, golden, result)
    (folder / CARD).write_text(card(manifest), encoding="utf-8")
    return manifest


def write_manifest(folder: Path, golden: GoldenComments, result: Result) -> BundleManifest:
    """Write golden comments and manifest: all that a worker needs beside the model."""
    _write_json(folder / GOLDEN, golden.model_dump(mode="json"))
    contents: dict[str, Any] = {
        "format": 1,
        "name": result.name,
        "base_model": result.base_model,
        "max_length": result.max_length,
        "labels": list(result.labels),
        "thresholds": result.thresholds,
        "calibration": {label: c.model_dump() for label, c in result.calibration.items()},
        "metrics": result.metrics,
        "data_fingerprint": result.data_fingerprint,
        "libraries": {name: version(name) for name in LIBRARIES},
        "files": {name: file_entry(folder / name).model_dump() for name in LISTED},
    }
    contents["version"] = content_version(contents)
    manifest = BundleManifest.model_validate(contents)
    _write_json(folder / MANIFEST, contents)
    return manifest


def ship(bundle: Path, out: Path) -> None:
    """Copy a bundle without what is in float; the manifest goes on listing it.

    Raises:
        TrainingError: at `out` is something that is no bundle, or it cannot be written.
    """
    with unfinished(out) as scratch:
        without = shutil.ignore_patterns(FLOAT_WEIGHTS, FLOAT_MODEL)
        shutil.copytree(bundle, scratch / "bundle", ignore=without, dirs_exist_ok=True)


def _write_json(path: Path, contents: Any) -> None:
    with path.open("w", encoding="utf-8") as file:
        json.dump(contents, file, indent=2, ensure_ascii=False, allow_nan=False)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
