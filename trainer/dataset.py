"""Rows to batches: tokenised once, then drawn in batches of like length under a token budget."""

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from schemas.errors import TrainingError
from trainer.data import Rows

POOL: Final = 64  # batches that are sorted together: like lengths, yet still shuffled

Item = tuple[Tensor, Tensor]
Batch = tuple[Tensor, Tensor, Tensor]


class CommentDataset(Dataset[Item]):
    """Tokenised comments and their labels.

    An item is (ids [tokens] int64, labels [labels] float32 with NaN where not known).

    Args:
        rows: the comments.
        tokenizer: as the bundle will carry it; it adds [CLS] and [SEP].
        max_length: tokens in a row at most, [CLS] and [SEP] included; the rest is cut off.
    """

    def __init__(self, rows: Rows, tokenizer: Tokenizer, max_length: int) -> None:
        copy = Tokenizer.from_str(tokenizer.to_str())
        copy.enable_truncation(max_length)
        texts = [text.encode(errors="replace").decode() for text in rows.texts]
        self._ids = [torch.tensor(e.ids) for e in copy.encode_batch_fast(texts)]
        self._labels = torch.from_numpy(rows.labels)
        self.lengths = [len(ids) for ids in self._ids]

    def __len__(self) -> int:
        """Count the comments."""
        return len(self._ids)

    def __getitem__(self, index: int) -> Item:
        """Return one comment."""
        return self._ids[index], self._labels[index]


class LikeLengthBatches(Sampler[list[int]]):
    """Batches of indices, each of like length and within a token budget.

    The budget is what the device computes: rows x the longest row. Without a seed the order
    is that of length; with one, every pass draws anew and each row once.

    Args:
        lengths: tokens in each row.
        budget: padded tokens in a batch at most.
        seed: of the order; None to sort only.

    Raises:
        TrainingError: a row alone is over the budget.
    """

    def __init__(self, lengths: Sequence[int], budget: int, seed: int | None = None) -> None:
        if lengths and max(lengths) > budget:
            raise TrainingError(
                f"the longest comment has {max(lengths)} tokens, the budget is {budget}",
                "raise the token budget or lower --max-length",
            )
        self._lengths = np.asarray(lengths)
        self._budget = budget
        self._random = None if seed is None else np.random.default_rng(seed)

    def __iter__(self) -> Iterator[list[int]]:
        """Draw one pass over all rows."""
        if self._random is None:
            yield from self._cut(np.argsort(self._lengths, kind="stable")[::-1])
            return
        order = self._random.permutation(len(self._lengths))
        pool = max(1, POOL * self._budget // max(1, int(self._lengths.mean())))
        batches: list[list[int]] = []
        for start in range(0, len(order), pool):
            part = order[start : start + pool]
            batches += self._cut(part[np.argsort(self._lengths[part], kind="stable")[::-1]])
        for i in self._random.permutation(len(batches)):
            yield batches[i]

    def _cut(self, longest_first: np.typing.NDArray[np.intp]) -> list[list[int]]:
        batches, start = [], 0
        while start < len(longest_first):
            rows = self._budget // int(self._lengths[longest_first[start]])
            batches.append(longest_first[start : start + rows].tolist())
            start += rows
        return batches


def collate(items: Sequence[Item]) -> Batch:
    """Pad items to the longest.

    Returns:
        ids [rows, width] int64 padded with 0, mask [rows, width] int64 (1: a token),
        labels [rows, labels] float32.
    """
    ids, labels = zip(*items, strict=True)
    padded = torch.nn.utils.rnn.pad_sequence(list(ids), batch_first=True)
    mask = torch.nn.utils.rnn.pad_sequence([torch.ones_like(row) for row in ids], batch_first=True)
    return padded, mask, torch.stack(list(labels))


def loader(dataset: CommentDataset, budget: int, seed: int | None = None) -> DataLoader[Batch]:
    """Return a loader of padded batches; with a seed every pass is shuffled anew."""
    batches = LikeLengthBatches(dataset.lengths, budget, seed)
    return DataLoader(dataset, batch_sampler=batches, collate_fn=collate)  # type: ignore[arg-type]  # torch types it by the item
