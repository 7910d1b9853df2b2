"""Any encoder by folder: it trains, its graph serves; what is no encoder is refused."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    DistilBertConfig,
    DistilBertModel,
    GPT2Config,
    GPT2Model,
    ModernBertConfig,
    ModernBertModel,
    PreTrainedModel,
    RobertaConfig,
    RobertaModel,
    T5Config,
    T5Model,
)

from rig.small_run import small_run
from schemas.bundle import read_manifest
from schemas.errors import TrainingError
from schemas.labels import LABELS
from trainer import fit, graph
from trainer.data import Rows
from trainer.dataset import CommentDataset
from trainer.model import (
    base_name,
    bundle_at,
    clean_tokenizer,
    load_model,
    longest,
    refuse_more_words,
)
from trainer.quantise import by_openvino, products_of_activations
from trainer.recipe import FitSettings

TEXTS = ("the page edit source photo thanks today", "You are a rotten, vile idiot: crap!", "hurt")
SMALL: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
}


def byte_tokenizer(cls: str, pad: str, sep: str) -> Tokenizer:
    """Return a cased byte-level BPE: ids 0, 1 and 2 begin, pad and end a text."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.train_from_iterator(
        TEXTS * 4,
        trainers.BpeTrainer(
            vocab_size=400,
            special_tokens=[cls, pad, sep],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        ),
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{cls} $A {sep}", special_tokens=[(cls, 0), (sep, 2)]
    )
    return tokenizer


def saved(folder: Path, model: PreTrainedModel, tokenizer: Tokenizer) -> str:
    """Write a base, its tokeniser set to pad as some are, and return its folder."""
    tokenizer.enable_padding(length=96, pad_id=1, pad_token="<pad>")  # noqa: S106 - no secret
    model.save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "PreTrainedTokenizerFast"}')
    return str(folder)


def distilbert(vocabulary: int) -> PreTrainedModel:
    """Return a DistilBERT."""
    return DistilBertModel(
        DistilBertConfig(
            vocab_size=vocabulary,
            max_position_embeddings=48,
            pad_token_id=1,
            dim=32,
            n_layers=2,
            n_heads=4,
            hidden_dim=64,
        )
    )


def roberta(vocabulary: int) -> PreTrainedModel:
    """Return a RoBERTa; its positions begin after the pad id."""
    return RobertaModel(
        RobertaConfig(
            vocab_size=vocabulary,
            max_position_embeddings=50,
            type_vocab_size=1,
            bos_token_id=0,
            pad_token_id=1,
            eos_token_id=2,
            **SMALL,
        )
    )


def modernbert(vocabulary: int) -> PreTrainedModel:
    """Return a ModernBERT; of its two layers the second looks at near tokens only."""
    return ModernBertModel(
        ModernBertConfig(
            vocab_size=vocabulary,
            max_position_embeddings=48,
            bos_token_id=0,
            cls_token_id=0,
            pad_token_id=1,
            eos_token_id=2,
            sep_token_id=2,
            local_attention=16,
            **SMALL,
        )
    )


@pytest.mark.parametrize("make", [distilbert, roberta, modernbert], ids=lambda make: make.__name__)
def test_an_encoder_trains_and_its_graph_gives_the_models_logits(
    make: Callable[[int], PreTrainedModel],
    made_file: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Two steps; then what OpenVINO makes of it on other shapes than the traced one."""
    tokenizer = byte_tokenizer("<s>", "<pad>", "</s>")
    base = saved(tmp_path / "base", make(tokenizer.get_vocab_size()), tokenizer)
    small_run(base, made_file, tmp_path / "run", FitSettings(max_steps=2))

    model, clean = load_model(base, LABELS), clean_tokenizer(base)
    unknown = np.full((len(TEXTS), len(LABELS)), np.nan, np.float32)
    dataset = CommentDataset(Rows(list(TEXTS), unknown), clean, 48)
    model.train(mode=False)
    graph.write_onnx(model, tmp_path / "float.onnx")
    served = by_openvino(tmp_path / "float.onnx").logits(dataset, 1_024)

    assert longest(model) == 48
    assert dataset.pad == 1
    assert "base base is cased" in capfd.readouterr().err
    in_attention = products_of_activations(onnx.load(tmp_path / "float.onnx"))
    assert len(set(in_attention)) == 2 * 2, "in each layer two products have no weights"
    np.testing.assert_allclose(served, fit.predict(model, dataset, 1_024), atol=1e-5)


def test_what_stands_beside_a_text_in_a_batch_does_not_count(tmp_path: Path) -> None:
    """With the pad id of RoBERTa, which is not 0."""
    tokenizer = byte_tokenizer("<s>", "<pad>", "</s>")
    base = saved(tmp_path / "base", roberta(tokenizer.get_vocab_size()), tokenizer)
    unknown = np.full((len(TEXTS), len(LABELS)), np.nan, np.float32)
    dataset = CommentDataset(Rows(list(TEXTS), unknown), clean_tokenizer(base), 48)
    torch.manual_seed(0)
    model = load_model(base, LABELS)

    together = fit.predict(model, dataset, 1_024)
    alone = fit.predict(model, dataset, max(dataset.lengths))

    np.testing.assert_allclose(together, alone, atol=1e-6)


@pytest.mark.parametrize(
    "model",
    [
        GPT2Model(GPT2Config(vocab_size=300, n_embd=32, n_layer=1, n_head=4, eos_token_id=2)),
        T5Model(T5Config(vocab_size=300, d_model=32, d_kv=8, d_ff=64, num_layers=1, num_heads=4)),
    ],
    ids=["gpt2", "t5"],
)
def test_a_base_that_is_no_encoder_is_refused_by_its_name(
    model: PreTrainedModel, tmp_path: Path
) -> None:
    """One reads from left to right, the other answers in words."""
    base = saved(tmp_path / "other", model, byte_tokenizer("<s>", "<pad>", "</s>"))

    with pytest.raises(TrainingError, match="base other is no encoder, but a "):
        load_model(base, LABELS)


@pytest.mark.parametrize(
    ("name", "damaged"),
    [
        ("model.safetensors", lambda raw: raw[:100]),
        ("config.json", lambda raw: raw.replace(b'"hidden_size": 32', b'"hidden_size": "x"')),
    ],
)
def test_a_base_that_is_damaged_is_named(
    name: str, damaged: Callable[[bytes], bytes], tiny_base: Path, tmp_path: Path
) -> None:
    """By an error of ours, whichever library finds it."""
    base = shutil.copytree(tiny_base, tmp_path / "damaged")
    (base / name).write_bytes(damaged((base / name).read_bytes()))

    with pytest.raises(TrainingError, match="base damaged cannot be loaded"):
        load_model(str(base), LABELS)


@pytest.mark.parametrize(
    ("base", "says"),
    [
        ("", "--base is empty"),
        ("no-such", "there is no such folder"),
        ("no/such/folder", "there is no such folder"),
        ("./no-such", "there is no such folder"),
        ("base.zip", "it is a file"),
    ],
)
def test_a_folder_that_is_not_there_is_not_looked_for_on_the_hub(
    base: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That takes half a minute where there is no way to it, and ends in words about tokens."""
    (tmp_path / "base.zip").touch()
    monkeypatch.chdir(tmp_path)
    given = str(tmp_path / base) if base == "no-such" else base

    with pytest.raises(TrainingError, match=says) as refused:
        load_model(given, LABELS)

    assert "a name on the hub" in str(refused.value.hint)


def test_a_tokeniser_of_more_words_than_the_model_has_is_refused(tiny_base: Path) -> None:
    """The first rare word would end the training, hours later."""
    tokenizer, model = clean_tokenizer(str(tiny_base)), load_model(str(tiny_base), LABELS)
    refuse_more_words(tokenizer, model, str(tiny_base))
    tokenizer.add_tokens(["onemore"])

    with pytest.raises(TrainingError, match=r"its tokeniser gives ids up to \d+, its model has"):
        refuse_more_words(tokenizer, model, str(tiny_base))


def test_a_tokeniser_that_the_cleaning_would_break_is_refused(tmp_path: Path) -> None:
    """One that marks words in its normaliser, in whose place the cleaning stands."""
    tokenizer = byte_tokenizer("<s>", "<pad>", "</s>")
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Prepend("_"), normalizers.Replace(" ", "_")]
    )
    base = saved(tmp_path / "other", roberta(tokenizer.get_vocab_size()), tokenizer)

    with pytest.raises(TrainingError, match="base other: its tokeniser does not bear"):
        clean_tokenizer(base)


def test_a_bundle_that_began_at_another_has_the_base_of_that_one(bundle: Path) -> None:
    """The hub's `base_model` names an encoder that everybody can find, not somebody's folder."""
    assert base_name(str(bundle)) == read_manifest(bundle).base_model
    assert bundle_at(str(bundle)) == read_manifest(bundle)
    assert bundle_at(str(bundle.parent)) is None


def test_a_base_that_one_stands_in_has_its_folders_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`.` has none, and no bundle can be written without one; a link keeps its own."""
    (tmp_path / "model").mkdir()
    (tmp_path / "linked").symlink_to(tmp_path / "model")
    monkeypatch.chdir(tmp_path / "model")

    assert base_name(".") == "model"
    assert base_name(str(tmp_path / "linked")) == "linked"
