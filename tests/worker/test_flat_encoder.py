"""The encoder without padding: transformers' logits, whatever lies before and behind a piece.

On a CPU, with an attention of the signature of the GPU's; the rest of the code is the same.
"""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as examples
from hypothesis.strategies import integers, lists
from numpy.typing import NDArray
from torch import Tensor

from rig.classifiers import LONGEST, pieces_of, plain_logits, tiny_classifier
from worker.batching import flat
from worker.scoring.cuda_graphs import STEPS, Captured, Graphs, Shape, shapes
from worker.scoring.flat_encoder import FlatEncoder
from worker.scoring.flat_inputs import Eager, longest_of
from worker.scoring.flat_weights import flat_encoder_of
from worker.scoring.varlen import attend_on_cpu, gpu_attention

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")
BOUND = 1e-4  # absolute, of a logit in fp32: the order of sums differs, nothing else
LENGTHS = lists(integers(1, LONGEST), min_size=1, max_size=12)
MOST_LENGTHS = (LONGEST, 1, 2, 3, 3, 17, 40, LONGEST, 8)  # 3: [CLS], one token, [SEP]

plain = cache(tiny_classifier)


@cache
def encoder(model_type: str = "bert", layers: int = 3) -> FlatEncoder:
    """Return the flat encoder with the weights of `plain`."""
    return flat_encoder_of(plain(model_type, layers), attend_on_cpu)


def flat_logits(model: FlatEncoder, pieces: Sequence[Sequence[int]]) -> NDArray[np.float32]:
    """Return the flat encoder's logits: [pieces, labels]."""
    with torch.inference_mode():
        found: NDArray[np.float32] = Eager(model, CPU)(flat(pieces)).numpy()
    return found


def off(left: NDArray[Any], right: NDArray[Any]) -> float:
    """Return the greatest absolute difference."""
    return float(np.abs(left - right).max())


@pytest.mark.parametrize(
    ("model_type", "layers"),
    [("bert", 3), ("bert", 1), ("roberta", 3), ("xlm-roberta", 2), ("distilbert", 3)],
)
def test_the_logits_are_those_of_transformers(model_type: str, layers: int) -> None:
    """Of each architecture, and with a single layer, which is the last one, too."""
    pieces = pieces_of(MOST_LENGTHS)
    expected = plain_logits(plain(model_type, layers), pieces)

    found = flat_logits(encoder(model_type, layers), pieces)

    assert expected.std(axis=0).min() > 0.1, "a model that says the same of all proves nothing"
    assert off(expected, found) < BOUND


@examples(max_examples=40)
@given(lengths=LENGTHS, seed=integers(0, 1_000))
def test_any_lengths_beside_each_other_have_the_logits_of_transformers(
    lengths: list[int], seed: int
) -> None:
    """From a lone token to the longest piece, in any order."""
    pieces = pieces_of(lengths, seed)

    assert off(plain_logits(plain("bert"), pieces), flat_logits(encoder(), pieces)) < BOUND


def test_alone_or_in_company_a_piece_has_the_same_logits() -> None:
    """Within what the order of sums does."""
    pieces = pieces_of(MOST_LENGTHS)
    alone = np.concatenate([flat_logits(encoder(), [piece]) for piece in pieces])

    assert off(alone, flat_logits(encoder(), pieces)) < 1e-5


@pytest.mark.parametrize("changed", range(len(MOST_LENGTHS)))
def test_a_change_in_one_piece_moves_no_other(changed: int) -> None:
    """To the last bit."""
    pieces = pieces_of(MOST_LENGTHS)
    before = flat_logits(encoder(), pieces)
    pieces[changed] = pieces_of([MOST_LENGTHS[changed]], seed=9)[0]

    after = flat_logits(encoder(), pieces)

    others = [place for place in range(len(pieces)) if place != changed]
    assert np.array_equal(before[others], after[others])
    assert off(before[changed], after[changed]) > 1e-3


def test_positions_begin_anew_in_each_piece() -> None:
    """The same piece three times has the same logits; its words in another order have others."""
    (piece,) = pieces_of([20])
    turned = [piece[0], *reversed(piece[1:])]

    first, second, other, third = flat_logits(encoder(), [piece, piece, turned, piece])

    assert off(first, second) < 1e-5
    assert off(first, third) < 1e-5
    assert off(first, other) > 1e-3


def test_the_first_rows_of_the_last_layer_are_those_of_the_whole_layer() -> None:
    """What is left out is what nobody reads."""
    whole = encoder().last
    _, _, numbers = flat(pieces_of(MOST_LENGTHS))
    bounds = torch.from_numpy(numbers)
    hidden = torch.randn(sum(MOST_LENGTHS), 32, generator=torch.Generator().manual_seed(0))

    with torch.inference_mode():
        every = whole(hidden, bounds, LONGEST)
        firsts = whole.first_rows(hidden, bounds, LONGEST)

    assert off(every[bounds[:-1]].numpy(), firsts.numpy()) < 1e-5


def test_the_attention_of_the_gpu_takes_what_the_encoder_gives_it() -> None:
    """Its signature, shapes and number types; the meta device computes nothing."""
    meta = torch.device("meta")
    model = flat_encoder_of(tiny_classifier("bert"), gpu_attention()).to(meta, torch.bfloat16)

    with torch.inference_mode():
        found = Eager(model, meta)(flat(pieces_of(MOST_LENGTHS)))

    assert found.shape == (len(MOST_LENGTHS), 6)
    assert found.dtype == torch.float32


# -- shapes and graphs; on a CPU a recording computes again in place of a replay


def recomputed(forward: Callable[[], Tensor]) -> Captured:
    """Record as a GPU would: over fixed memory, into fixed memory."""
    logits = forward()
    return Captured(lambda: logits.copy_(forward()), logits)


@given(budget=integers(64, 40_000), longest=integers(1, 512))
def test_there_are_few_shapes_and_the_largest_takes_the_whole_budget(
    budget: int, longest: int
) -> None:
    """From small to large; each waits for its own memory, and for its turn at the start."""
    found = shapes(budget, longest)

    assert len(found) <= 3 * (STEPS + 6)
    assert sorted(found, key=lambda shape: shape.tokens) == found
    assert (budget, longest) == (found[-1].tokens, found[-1].longest)


@given(lengths=lists(integers(32, 256), min_size=1, max_size=60))
def test_a_micro_batch_of_comments_wastes_a_step_at_most(lengths: list[int]) -> None:
    """Or, where it is small, as much again."""
    pieces, tokens = flat([[1] * length for length in lengths]), sum(lengths)

    found = next(s for s in shapes(16_384, 256) if s.holds(pieces, longest_of(pieces)))

    assert tokens <= found.tokens <= max(128, 2 * tokens, tokens + 16_384 // STEPS)


@examples(max_examples=20)
@given(windows=lists(LENGTHS, min_size=1, max_size=4), seed=integers(0, 1_000))
def test_a_shape_larger_than_the_micro_batch_changes_nothing(
    windows: list[list[int]], seed: int
) -> None:
    """Not the tokens of the micro-batch before, which lie in the rest, nor the empty pieces."""
    shapes_here = [Shape(64, 8, LONGEST), Shape(200, 8, LONGEST), Shape(800, 16, LONGEST)]
    with torch.inference_mode():
        graphs = Graphs(encoder(), shapes_here, CPU, recomputed)
        for number, lengths in enumerate(windows):
            pieces = pieces_of(lengths, seed + number)
            assert off(flat_logits(encoder(), pieces), graphs(flat(pieces)).numpy()) < 1e-5


@pytest.mark.parametrize("lengths", [[60, 60], [10, 10, 10], [20]])
def test_what_no_shape_holds_is_computed_as_it_is(lengths: list[int]) -> None:
    """Too many tokens, too many pieces, or one that is too long."""
    pieces = pieces_of(lengths)
    with torch.inference_mode():
        graphs = Graphs(encoder(), [Shape(100, 2, 16)], CPU, recomputed)
        found = graphs(flat(pieces)).numpy()

    assert off(plain_logits(plain("bert"), pieces), found) < BOUND


def test_a_piece_without_tokens_disturbs_nobody() -> None:
    """Such are the slots of a graph that are not taken: no keys, and zeros for an answer."""
    rows = torch.randn(3, 2, 8)
    one_each = torch.arange(4, dtype=torch.int32)

    found = attend_on_cpu(rows, rows, rows, one_each, torch.tensor([0, 3, 3, 3]), 1, 3)

    assert torch.all(found[1:] == 0)
    assert torch.all(found[0] != 0)
