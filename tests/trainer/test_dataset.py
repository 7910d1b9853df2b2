"""Batches of like length: each row once, none over budget, padded and masked rightly."""

from itertools import chain

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers

from schemas.errors import TrainingError
from trainer.data import Rows
from trainer.dataset import CommentDataset, LikeLengthBatches, collate, loader

LENGTHS = st.lists(st.integers(1, 128), min_size=1, max_size=300)


def words_tokenizer() -> Tokenizer:
    """Return a tokeniser that knows the ten words of `say`."""
    vocabulary = {"[UNK]": 0} | {f"w{i}": i + 1 for i in range(10)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))  # noqa: S106 - no secret
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return tokenizer


def say(count: int) -> str:
    """Return a text of `count` tokens."""
    return " ".join(f"w{i % 10}" for i in range(count))


@settings(deadline=None)
@given(lengths=LENGTHS, budget=st.integers(128, 4_096), seed=st.none() | st.integers(0, 99))
def test_every_row_is_in_exactly_one_batch_within_the_budget(
    lengths: list[int], budget: int, seed: int | None
) -> None:
    """Cutting loses no row, doubles none and never overspends, padding included."""
    batches = list(LikeLengthBatches(lengths, budget, seed))

    assert sorted(chain.from_iterable(batches)) == list(range(len(lengths)))
    assert all(len(b) * max(lengths[i] for i in b) <= budget for b in batches)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 99))
def test_a_batch_has_like_lengths(seed: int) -> None:
    """On many rows less than a twentieth of what is computed is padding."""
    lengths = np.random.default_rng(seed).integers(3, 129, 4_000).tolist()

    batches = list(LikeLengthBatches(lengths, 2_048, seed))

    computed = sum(len(b) * max(lengths[i] for i in b) for b in batches)
    assert computed / sum(lengths) < 1.05


def test_each_pass_is_another_order_and_the_same_seed_gives_the_same_passes() -> None:
    """Training sees the rows anew every epoch, yet a run can be repeated."""
    lengths = list(range(1, 101))
    first, second = (LikeLengthBatches(lengths, 256, seed=5) for _ in range(2))

    passes = [list(first), list(first)]

    assert passes[0] != passes[1]
    assert passes == [list(second), list(second)]


def test_a_row_over_the_budget_is_refused_with_both_numbers() -> None:
    """It would never fit a batch."""
    with pytest.raises(TrainingError, match="longest comment has 300 tokens, the budget is 256"):
        LikeLengthBatches([5, 300], 256)


def test_a_batch_is_padded_to_its_longest_and_masked_there() -> None:
    """Ids are 0 and the mask is 0 where a row has ended; unknown labels stay unknown."""
    labels = np.array([[1, np.nan], [0, 1]], np.float32)
    dataset = CommentDataset(Rows([say(2), say(4)], labels), words_tokenizer(), 16)

    ids, mask, batched = collate([dataset[0], dataset[1]])

    assert ids.tolist() == [[1, 2, 0, 0], [1, 2, 3, 4]]
    assert mask.tolist() == [[1, 1, 0, 0], [1, 1, 1, 1]]
    assert torch.isnan(batched).tolist() == [[False, True], [False, False]]


def test_long_comments_are_cut_and_half_a_surrogate_pair_is_borne() -> None:
    """Neither stops a run."""
    texts = [say(50), "w1 \ud83d w2"]
    dataset = CommentDataset(Rows(texts, np.zeros((2, 1), np.float32)), words_tokenizer(), 8)

    assert dataset.lengths == [8, 3]


def test_the_loader_gives_all_rows() -> None:
    """Rows of all batches together are the rows of the dataset."""
    rows = Rows([say(1 + i % 30) for i in range(97)], np.zeros((97, 1), np.float32))

    batches = list(loader(CommentDataset(rows, words_tokenizer(), 32), 64, seed=0))

    assert sum(len(ids) for ids, _, _ in batches) == 97
