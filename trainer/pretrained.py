"""What transformers loads by folder or name, without running code of a model's."""

import re
from pathlib import Path
from typing import Any, Final

from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from tokenizers import Tokenizer
from transformers import AutoTokenizer
from transformers.utils import logging

from schemas.errors import TrainingError

HUB_NAME: Final = re.compile(r"[\w.-]+(/[\w.-]+)?")

_ERRORS: Final = (
    OSError,
    ValueError,
    KeyError,
    RuntimeError,
    SafetensorError,  # of weights that are damaged
    StrictDataclassError,  # of a config.json with a value of another type
)


def pretrained(auto: Any, reference: str, called: str, give: str, **settings: Any) -> Any:
    """Load a configuration, model or tokeniser.

    Args:
        auto: the class of transformers that loads it.
        reference: a folder, or a name on the hub.
        called: what it is called in the error.
        give: what is to be given in its place, for the error.
        settings: as `from_pretrained` takes them.

    Raises:
        TrainingError: it cannot be loaded.
    """
    _refuse_no_folder(reference, called, give)
    # it reports a fresh head as if something were missing, and its logging has no types
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        return auto.from_pretrained(reference, trust_remote_code=False, **settings)
    except _ERRORS as error:
        first_line = str(error).strip().split("\n", 1)[0]
        raise TrainingError(f"{called} cannot be loaded: {first_line}", give) from error


def fast_tokenizer(reference: str, called: str, give: str) -> Tokenizer:
    """Load a tokeniser as the tokenizers library has it.

    Raises:
        TrainingError: it cannot be loaded, or is no fast one.
    """
    found = pretrained(AutoTokenizer, reference, called, give)
    tokenizer = getattr(found, "backend_tokenizer", None)
    if not isinstance(tokenizer, Tokenizer):
        raise TrainingError(
            f"{called}: it has no fast tokeniser", "choose one that has tokenizer.json"
        )
    return tokenizer


def _refuse_no_folder(reference: str, called: str, give: str) -> None:
    """Say at once that a folder is missing: the hub would be asked for it, for half a minute."""
    path = Path(reference)
    if path.is_dir():
        return
    lies_somewhere = reference.startswith(".") or (len(path.parts) > 1 and path.parent.is_dir())
    if path.exists() or lies_somewhere or not HUB_NAME.fullmatch(reference):
        what = f"there is no such folder in {path.parent}/, and the hub is not asked for it"
        if path.is_file():
            what = "it is a file"
        raise TrainingError(f"{called} cannot be loaded: {what}", give)
