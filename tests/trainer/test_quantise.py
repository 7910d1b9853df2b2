"""The serving graph is exact; its int8 form is close, and the same alone as in company."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from schemas.bundle import INT8_MODEL
from trainer import fit, graph
from trainer.data import Rows, read_files
from trainer.dataset import CommentDataset
from trainer.model import load_model, load_tokenizer
from trainer.normalise import with_cleaning
from trainer.quantise import by_openvino, difference, engines

LABELS = ("toxic", "severe_toxic", "obscene", "threat", "insult", "identity_hate")


@pytest.fixture
def comments(made_file: Path, tiny_base: Path) -> CommentDataset:
    """Return 60 comments, tokenised as the bundle has it."""
    rows = read_files([made_file]).take(range(60))
    return CommentDataset(rows, with_cleaning(load_tokenizer(str(tiny_base))), 48)


def test_the_last_layer_for_cls_alone_gives_the_same_logits(tiny_base: Path) -> None:
    """It is exact but for rounding, padding or not."""
    torch.manual_seed(0)
    model = load_model(str(tiny_base), LABELS)
    ids = torch.randint(5, 100, (7, 20))
    mask = (torch.arange(20) < torch.tensor([[20], [3], [1], [19], [10], [20], [2]])).long()

    with torch.inference_mode():
        whole = model(input_ids=ids, attention_mask=mask).logits
        first_row = graph.serving_graph(model)(ids, mask)

    torch.testing.assert_close(first_row, whole, atol=1e-5, rtol=0)


def test_int8_probabilities_are_close_to_those_of_the_float_model(
    bundle: Path, comments: CommentDataset
) -> None:
    """By every engine that serves them here, on comments that are not the golden ones."""
    model = load_model(str(bundle), LABELS)
    reference = 1 / (1 + np.exp(-fit.predict(model, comments, 1_024)))

    for name, engine in engines(bundle / INT8_MODEL).items():
        logits = engine.logits(comments, 1_024)
        assert np.abs(1 / (1 + np.exp(-logits)) - reference).max() < 0.1, name


def test_a_comment_alone_scores_as_it_does_in_company(
    bundle: Path, comments: CommentDataset
) -> None:
    """Static scales: neighbours in the batch do not count."""
    for name, engine in engines(bundle / INT8_MODEL).items():
        together = engine.logits(comments, 1_024)
        alone = engine.logits_alone(comments, range(len(comments)))
        assert np.abs(together - alone).max() < 0.02, name


def test_bytes_go_into_products_with_weights_alone(bundle: Path) -> None:
    """Query and key meet in floats: OpenVINO with AMX computes their bytes wrong for some rows."""
    graph = onnx.load(bundle / INT8_MODEL).graph
    quantised = {node.output[0] for node in graph.node if node.op_type == "QuantizeLinear"}
    back = {
        node.output[0]
        for node in graph.node
        if node.op_type == "DequantizeLinear" and node.input[0] in quantised
    }

    readers = {node.op_type for node in graph.node if back.intersection(node.input)}

    assert back
    assert readers == {"MatMul"}


def test_the_difference_counts_decisions_that_flip() -> None:
    """One of four is on the other side of its threshold."""
    reference, found = np.array([[0.1, 0.8], [0.5, 0.2]]), np.array([[0.1, 0.6], [0.45, 0.2]])

    assert difference(reference, found, [0.5, 0.5]) == {
        "max_abs": 0.2,
        "mean_abs": 0.0625,
        "flips": 1,
        "decisions": 4,
    }


def test_an_empty_comment_is_scored_like_any_other(bundle: Path, tiny_base: Path) -> None:
    """[CLS] and [SEP] alone are two tokens."""
    tokenizer = with_cleaning(load_tokenizer(str(tiny_base)))
    empty = CommentDataset(Rows([""], np.full((1, 6), np.nan, np.float32)), tokenizer, 48)

    assert np.isfinite(by_openvino(bundle / INT8_MODEL).logits(empty, 64)).all()
