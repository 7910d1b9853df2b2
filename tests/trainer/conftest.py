"""What the trainer's tests share: the real file, a tiny BERT, and a bundle made from it."""

import csv
import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from schemas.labels import LABELS

NEEDED = (
    "iterstrat",
    "matplotlib",
    "nncf",
    "onnx",
    "onnxruntime",
    "openvino",
    "pyarrow",
    "sklearn",
    "torch",
    "transformers",
)
MISSING = [package for package in NEEDED if importlib.util.find_spec(package) is None]
# In a light install only test_install.py is left, which says what is missing.
collect_ignore_glob = ["test_[!i]*.py"] if MISSING else []

HARMLESS = ("the", "page", "edit", "source", "photo", "thanks", "today", "harbour", "song")
RUDE = {
    "toxic": "rotten",
    "severe_toxic": "vile",
    "obscene": "crap",
    "threat": "hurt",
    "insult": "idiot",
    "identity_hate": "vermin",
}


@pytest.fixture(scope="package", autouse=True)
def _one_thread() -> Iterator[None]:
    """Tiny models are quicker on one thread, on a machine that others use far quicker."""
    if MISSING:
        yield
        return
    import torch  # noqa: PLC0415 - the full install only

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def made_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file of 400 comments of ours: a label is set where its word stands."""
    random = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("data") / "made.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["comment_text", *LABELS])
        for _ in range(400):
            labels = random.random(len(LABELS)) < 0.25
            rude = [RUDE[label] for label, is_set in zip(LABELS, labels, strict=True) if is_set]
            words = [*random.choice(HARMLESS, random.integers(2, 8)), *rude]
            writer.writerow([" ".join(random.permutation(words)), *labels.astype(int)])
    return path


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a BERT with two layers of 32, and a tokeniser of its own."""
    import torch  # noqa: PLC0415 - the full install only
    from tokenizers import Tokenizer, models, pre_tokenizers, processors  # noqa: PLC0415
    from transformers import BertConfig, BertModel  # noqa: PLC0415 - the full install only

    folder = tmp_path_factory.mktemp("tiny")
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    characters = [chr(code) for code in range(33, 127)]
    words = [*special, *HARMLESS, *RUDE.values(), *characters, *(f"##{c}" for c in characters)]
    # Written down, since a trained vocabulary is another in each run.
    vocabulary = {word: number for number, word in enumerate(dict.fromkeys(words))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))  # noqa: S106 - no secret
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "PreTrainedTokenizerFast"}')
    config = BertConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=64,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # the same weights whichever tests ran before, or bounds hold by luck
        BertModel(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def train_tiny(
    made_file: Path, tiny_base: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Path]:
    """Give a maker of bundles by the whole command, by name and by settings of the loop."""
    from trainer.command import train  # noqa: PLC0415 - the full install only
    from trainer.data import LabelledFile  # noqa: PLC0415 - the full install only
    from trainer.recipe import FitSettings  # noqa: PLC0415 - the full install only

    def make(name: str, **settings: Any) -> Path:
        out = tmp_path_factory.mktemp("bundles") / name
        fit = FitSettings(learning_rate=5e-3, **settings)
        files = [LabelledFile(made_file)]
        train(files, out, str(tiny_base), settings=fit, max_length=48, name=name)
        return out

    return make


@pytest.fixture(scope="session")
def bundle(train_tiny: Callable[..., Path]) -> Path:
    """Return a bundle that the whole command made from the two above."""
    return train_tiny("tiny", epochs=80)
