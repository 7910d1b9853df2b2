"""Rows to batches: tokenised once, then drawn in batches of like length under a token budget."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader, Dataset, Sampler

from schemas.errors import TrainingError
from trainer.data import Rows
from trainer.distributed import ALONE, World

POOL: Final = 64  # batches that are sorted together: like lengths, yet still shuffled
BLANK: Final = -1  # the index of a row of which nothing is known, for a process without a batch
PAD_TOKENS: Final = ("[PAD]", "<pad>")

Indices = npt.NDArray[np.intp]


class Item(NamedTuple):
    """One comment: ids [tokens] int64, labels [labels] float32 (NaN: not known), its weight []."""

    ids: Tensor
    labels: Tensor
    weight: Tensor


class Batch(NamedTuple):
    """Comments padded to the longest.

    Attributes:
        ids: [rows, width] int64.
        mask: [rows, width] int64, 1 where there is a token.
        labels: [rows, labels] float32 in 0..1, NaN where not known.
        weights: [rows] float32 of the rows in the loss.
    """

    ids: Tensor
    mask: Tensor
    labels: Tensor
    weights: Tensor

    @property
    def known(self) -> int:
        """Count the labels that are known."""
        return int(self.labels.isfinite().sum())

    def to(self, device: torch.device) -> "Batch":
        """Return the batch on a device; from pinned memory it is not waited for."""
        return Batch(*(part.to(device, non_blocking=True) for part in self))


class CommentDataset(Dataset[Item]):
    """Tokenised comments, their labels and weights.

    Args:
        rows: the comments.
        tokenizer: as the bundle will carry it; it adds [CLS] and [SEP].
        max_length: tokens in a row at most, [CLS] and [SEP] included; the rest is cut off.
    """

    def __init__(self, rows: Rows, tokenizer: Tokenizer, max_length: int) -> None:
        copy = Tokenizer.from_str(tokenizer.to_str())
        copy.enable_truncation(max_length)
        copy.no_padding()  # some files have it on, and the mask would take it for tokens
        texts = [text.encode(errors="replace").decode() for text in rows.texts]
        self._ids = [torch.tensor(e.ids) for e in copy.encode_batch_fast(texts)]
        self._labels = torch.from_numpy(rows.labels)
        self._weights = torch.from_numpy(rows.weights)
        self.lengths = [len(ids) for ids in self._ids]
        self.pad = next(filter(None, map(copy.token_to_id, PAD_TOKENS)), 0)

    def __len__(self) -> int:
        """Count the comments."""
        return len(self._ids)

    def __getitem__(self, index: int) -> Item:
        """Return one comment; for BLANK the first one, as if nothing were known of it."""
        if index == BLANK:
            first = self[0]
            return Item(first.ids, torch.full_like(first.labels, torch.nan), first.weight)
        return Item(self._ids[index], self._labels[index], self._weights[index])

    def fingerprint(self) -> str:
        """Return 16 hex digits of a hash over the rows as the model sees them, in their order."""
        digest = hashlib.sha256(np.asarray(self.lengths, np.int64).tobytes())
        for tensor in (torch.cat(self._ids or [torch.empty(0)]), self._labels, self._weights):
            digest.update(tensor.contiguous().numpy().tobytes())
        return digest.hexdigest()[:16]


class LikeLengthBatches(Sampler[list[int]]):
    """Batches of indices, each of like length and within a token budget.

    The budget is what the device computes: rows x the longest row. Without a seed the order
    is that of length; with one, every epoch is another order, and the same one every time.

    Args:
        lengths: tokens in each row.
        budget: padded tokens in a batch at most.
        seed: of the order; None to sort only.

    Attributes:
        epoch: which pass is drawn next; set it before each.

    Raises:
        TrainingError: a row alone is over the budget.
    """

    def __init__(self, lengths: Sequence[int], budget: int, seed: int | None = None) -> None:
        _must_fit(lengths, budget)
        self._lengths = np.asarray(lengths)
        self._budget = budget
        self._seed = seed
        self.epoch = 0

    def __iter__(self) -> Iterator[list[int]]:
        """Draw one pass over all rows."""
        if self._seed is None:
            yield from self._cut(np.argsort(self._lengths, kind="stable")[::-1])
            return
        random = np.random.default_rng([self._seed, self.epoch])
        order = random.permutation(len(self._lengths))
        pool = max(1, POOL * self._budget // max(1, int(self._lengths.mean())))
        batches: list[list[int]] = []
        for start in range(0, len(order), pool):
            part = order[start : start + pool]
            batches += self._cut(part[np.argsort(self._lengths[part], kind="stable")[::-1]])
        for i in random.permutation(len(batches)):
            yield batches[i]

    def computed(self, drawn: list[list[int]]) -> list[list[int]]:
        """Return the batches that the device computes for those of a step: the same."""
        return drawn

    def _cut(self, longest_first: Indices) -> list[list[int]]:
        return _cut(longest_first, self._lengths, self._budget)


class ShuffledBatches(Sampler[list[int]]):
    """Batches of so many rows, whatever their length: the way of the published recipe.

    Which rows make a step is what a recipe says; how they are padded changes no gradient. So
    they are computed in batches of like length, which costs a fraction.

    Args:
        lengths: tokens in each row.
        rows: in a batch.
        budget: padded tokens at most in a batch that is computed.
        seed: of the order.

    Attributes:
        epoch: which pass is drawn next; set it before each.

    Raises:
        TrainingError: a row alone is over the budget.
    """

    def __init__(self, lengths: Sequence[int], rows: int, budget: int, seed: int) -> None:
        _must_fit(lengths, budget)
        self._lengths = np.asarray(lengths)
        self._rows = rows
        self._budget = budget
        self._seed = seed
        self.epoch = 0

    def __iter__(self) -> Iterator[list[int]]:
        """Draw one pass over all rows."""
        order = np.random.default_rng([self._seed, self.epoch]).permutation(len(self._lengths))
        for start in range(0, len(order), self._rows):
            yield order[start : start + self._rows].tolist()

    def computed(self, drawn: list[list[int]]) -> list[list[int]]:
        """Return the batches that the device computes for those of a step: of like length."""
        rows = np.concatenate(drawn)
        longest_first = rows[np.argsort(self._lengths[rows], kind="stable")[::-1]]
        return _cut(longest_first, self._lengths, self._budget)


def _must_fit(lengths: Sequence[int], budget: int) -> None:
    if lengths and max(lengths) > budget:
        raise TrainingError(
            f"the longest comment has {max(lengths)} tokens, the budget is {budget}",
            "raise --token-budget or lower --max-length",
        )


def _cut(longest_first: Indices, lengths: Indices, budget: int) -> list[list[int]]:
    """Return batches of rows, each within the budget."""
    batches, start = [], 0
    while start < len(longest_first):
        rows = budget // int(lengths[longest_first[start]])
        batches.append(longest_first[start : start + rows].tolist())
        start += rows
    return batches


@dataclass(frozen=True, slots=True)
class Steps:
    """Which batches make which step, in every epoch and for every process.

    A step takes `world.size x accumulate` batches of the epoch, less at its end; a process
    takes every `world.size`-th of those that they are computed in. One that finds none left
    takes BLANK in its place, so that all take as many: no gradient of theirs is waited for in
    vain. Where a run stands is said by the number of its steps alone, whatever had been drawn
    before.
    """

    dataset: CommentDataset
    batches: LikeLengthBatches | ShuffledBatches
    accumulate: int = 1
    world: World = ALONE

    def in_epoch(self, epoch: int) -> list[list[list[int]]]:
        """Return the steps of an epoch for this process: for each its batches of indices."""
        self.batches.epoch = epoch
        every, size = list(self.batches), self.world.size
        steps = [
            self.batches.computed(every[start : start + size * self.accumulate])
            for start in range(0, len(every), size * self.accumulate)
        ]
        return [(step + [[BLANK]] * (-len(step) % size))[self.world.rank :: size] for step in steps]

    def after(self, done: int) -> Iterator[list[Batch]]:
        """Yield the batches of each step after the first `done`, epoch upon epoch, for ever."""
        epoch = 0
        while True:
            steps = self.in_epoch(epoch)
            left = steps[done:]
            done, epoch = max(0, done - len(steps)), epoch + 1
            batches = iter(_loader(self.dataset, [batch for step in left for batch in step]))
            for step in left:
                yield list(islice(batches, len(step)))


def collate(items: Sequence[Item], pad: int = 0) -> Batch:
    """Pad items with an id to the longest."""
    ids, labels, weights = zip(*items, strict=True)
    padded = pad_sequence(list(ids), batch_first=True, padding_value=pad)
    mask = pad_sequence([torch.ones_like(row) for row in ids], batch_first=True)
    return Batch(padded, mask, torch.stack(list(labels)), torch.stack(list(weights)))


def loader(dataset: CommentDataset, budget: int) -> DataLoader[Batch]:
    """Return a loader of all rows in padded batches, longest first."""
    return _loader(dataset, LikeLengthBatches(dataset.lengths, budget))


def _loader(
    dataset: CommentDataset, batches: Sampler[list[int]] | Sequence[list[int]]
) -> DataLoader[Batch]:
    return DataLoader(
        dataset,  # type: ignore[arg-type]  # torch types it by the item
        batch_sampler=batches,
        collate_fn=partial(collate, pad=dataset.pad),
        pin_memory=torch.cuda.is_available(),
        # Or every pass would draw from the generator that dropout draws from.
        generator=torch.Generator(),
    )
