"""Batches of like length: each row once, none over budget, padded and masked rightly."""

from collections.abc import Callable
from functools import partial
from itertools import chain, islice, pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers

from schemas.errors import TrainingError
from trainer.data import Rows
from trainer.dataset import (
    BLANK,
    CommentDataset,
    LikeLengthBatches,
    ShuffledBatches,
    Steps,
    collate,
    loader,
)
from trainer.distributed import World

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


def some_rows(count: int) -> CommentDataset:
    """Return rows of 1 to 30 tokens."""
    rows = Rows([say(1 + i % 30) for i in range(count)], np.zeros((count, 1), np.float32))
    return CommentDataset(rows, words_tokenizer(), 32)


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


@pytest.mark.parametrize(
    "batches",
    [
        LikeLengthBatches(list(range(1, 101)), 256, seed=5),
        ShuffledBatches(list(range(1, 101)), 7, 256, seed=5),
    ],
    ids=["like length", "shuffled"],
)
def test_each_epoch_is_another_order_and_always_the_same_one(
    batches: LikeLengthBatches | ShuffledBatches,
) -> None:
    """Training sees the rows anew every epoch, yet a run can be repeated and gone on with."""
    first = list(batches)
    batches.epoch = 1
    second = list(batches)
    batches.epoch = 0

    assert first != second
    assert list(batches) == first
    assert sorted(chain.from_iterable(second)) == list(range(100))


def test_shuffled_batches_have_so_many_rows_whatever_their_length() -> None:
    """The last one has what is left."""
    assert [len(batch) for batch in ShuffledBatches([8] * 25, 10, 64, seed=0)] == [10, 10, 5]


@given(seed=st.integers(0, 99), accumulate=st.integers(1, 4))
def test_a_step_of_shuffled_batches_is_computed_in_batches_of_like_length(
    seed: int, accumulate: int
) -> None:
    """Its rows are those that were drawn; each batch is within the budget, no two needlessly."""
    lengths = np.random.default_rng(seed).integers(3, 129, 400).tolist()
    batches = ShuffledBatches(lengths, 10, 256, seed)
    drawn = list(batches)[:accumulate]

    computed = batches.computed(drawn)

    assert sorted(chain(*computed)) == sorted(chain(*drawn))
    widths = [max(lengths[i] for i in batch) for batch in computed]
    assert widths == sorted(widths, reverse=True)
    assert all(len(b) * width <= 256 for b, width in zip(computed, widths, strict=True))
    for batch, following in pairwise(computed):
        assert (len(batch) + 1) * max(lengths[i] for i in batch) > 256, following


@pytest.mark.parametrize(
    "batches",
    [partial(LikeLengthBatches, budget=256), partial(ShuffledBatches, rows=1, budget=256, seed=0)],
    ids=["like length", "shuffled"],
)
def test_a_row_over_the_budget_is_refused_with_both_numbers(
    batches: Callable[[list[int]], object],
) -> None:
    """It would never fit a batch."""
    with pytest.raises(TrainingError, match="longest comment has 300 tokens, the budget is 256"):
        batches([5, 300])


@settings(max_examples=30, deadline=None)
@given(count=st.integers(1, 60), size=st.integers(1, 4), accumulate=st.integers(1, 3))
def test_processes_share_every_row_of_an_epoch_and_take_as_many_steps(
    count: int, size: int, accumulate: int
) -> None:
    """No row is doubled or dropped to make shares even: a process without a batch gets a blank."""
    dataset = some_rows(count)
    batches = LikeLengthBatches(dataset.lengths, 64, seed=0)

    shares = [
        Steps(dataset, batches, accumulate, World(rank, size)).in_epoch(0) for rank in range(size)
    ]

    for steps in zip(*shares, strict=True):
        assert len({len(step) for step in steps}) == 1
        assert 1 <= len(steps[0]) <= accumulate
    drawn = [i for share in shares for step in share for batch in step for i in batch]
    assert sorted(i for i in drawn if i != BLANK) == list(range(count))
    assert drawn.count(BLANK) < size


@pytest.mark.parametrize("done", [0, 1, 7, 8, 20])
def test_steps_go_on_as_if_the_first_ones_had_been_drawn(done: int) -> None:
    """Within an epoch, at its end, and in a later one."""
    dataset = some_rows(97)
    steps = Steps(dataset, LikeLengthBatches(dataset.lengths, 128, seed=3), accumulate=2)

    whole = list(islice(steps.after(0), done + 12))

    for expected, found in zip(whole[done:], steps.after(done), strict=False):
        assert [b.ids.tolist() for b in found] == [b.ids.tolist() for b in expected]


def test_a_batch_is_padded_to_its_longest_and_masked_there() -> None:
    """Where a row has ended stands the pad id and the mask is 0; unknown labels stay unknown."""
    labels = np.array([[1, np.nan], [0, 1]], np.float32)
    rows = Rows([say(2), say(4)], labels, weights=np.array([1, 0.5], np.float32))
    dataset = CommentDataset(rows, words_tokenizer(), 16)

    batch = collate([dataset[0], dataset[1]], pad=7)

    assert batch.ids.tolist() == [[1, 2, 7, 7], [1, 2, 3, 4]]
    assert batch.mask.tolist() == [[1, 1, 0, 0], [1, 1, 1, 1]]
    assert torch.isnan(batch.labels).tolist() == [[False, True], [False, False]]
    assert batch.weights.tolist() == [1, 0.5]
    assert batch.known == 3


def test_the_pad_id_is_the_tokenisers_own() -> None:
    """RoBERTa's is 1, and an id of 0 would be the beginning of a text."""
    tokenizer = words_tokenizer()
    tokenizer.add_special_tokens(["<pad>"])

    dataset = CommentDataset(Rows([say(1)], np.zeros((1, 1), np.float32)), tokenizer, max_length=8)

    assert dataset.pad == tokenizer.token_to_id("<pad>") != 0


def test_of_a_blank_row_nothing_is_known() -> None:
    """It moves no weight, whatever stands in it."""
    blank = collate([some_rows(3)[BLANK]])

    assert blank.known == 0


def test_a_tokeniser_that_pads_by_itself_does_not_pass_padding_off_as_tokens() -> None:
    """Many on the hub do, and the model would attend to it."""
    tokenizer = words_tokenizer()
    tokenizer.enable_padding(length=16)

    dataset = CommentDataset(Rows([say(2)], np.zeros((1, 1), np.float32)), tokenizer, 32)

    assert dataset.lengths == [2]


def test_long_comments_are_cut_and_half_a_surrogate_pair_is_borne() -> None:
    """Neither stops a run."""
    texts = [say(50), "w1 \ud83d w2"]
    dataset = CommentDataset(Rows(texts, np.zeros((2, 1), np.float32)), words_tokenizer(), 8)

    assert dataset.lengths == [8, 3]


def test_the_fingerprint_follows_texts_labels_and_weights() -> None:
    """What the model does not see does not count; what it learns from does."""
    labels, weights = np.array([[1.0], [0.0]], np.float32), np.ones(2, np.float32)
    rows = Rows([say(2), say(3)], labels, weights=weights)
    changed = [
        Rows([say(2), say(4)], labels, weights=weights),
        Rows([say(2), say(3)], 1 - labels, weights=weights),
        Rows([say(2), say(3)], labels, weights=weights + weights),
    ]

    first, again, *others = (
        CommentDataset(each, words_tokenizer(), 8).fingerprint() for each in [rows, rows, *changed]
    )

    assert first == again
    assert len({first, *others}) == 4


def test_the_loader_gives_all_rows() -> None:
    """Rows of all batches together are the rows of the dataset."""
    assert sum(len(batch.ids) for batch in loader(some_rows(97), 64)) == 97
