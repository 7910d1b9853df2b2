"""A BERT classifier over pieces that lie end to end: no token is computed that nobody wrote.

A classifier reads the first row of each piece alone. So the last layer needs keys and values of
all tokens, but its query, its output, its feed-forward part and its norms for that row only:
exact, and 10 of that layer's 12 products less. (Keys and values could be folded away, too, as
`trainer/graph.py` does for a CPU; end to end that would write a row per head for each token,
which costs a GPU more than the products.)
"""

from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from worker.scoring.flat_inputs import FlatInputs
from worker.scoring.varlen import Attention


class InParts(Protocol):
    """A product of which some columns can be had by themselves."""

    def __call__(self, hidden: Tensor, /) -> Tensor:
        """Compute [rows, in] to [rows, out]."""
        ...

    def part(self, hidden: Tensor, of: slice) -> Tensor:
        """Compute some of the columns that come out."""
        ...


class Product(nn.Linear):
    """A product in the encoder's number type."""

    def part(self, hidden: Tensor, of: slice) -> Tensor:
        """Compute some of the columns that come out."""
        return functional.linear(hidden, self.weight[of], self.bias[of])


class Layer(nn.Module):
    """One layer of the encoder, its query, key and value in one product.

    Args:
        qkv: from hidden to [query, key, value].
        output: from the heads back to hidden.
        norms: after the attention, and after the feed-forward part.
        feed_forward: hidden to hidden.
        heads: how many there are.
        attend: on this device.
    """

    def __init__(  # noqa: PLR0913 - a layer has so many parts
        self,
        *,
        qkv: InParts,
        output: nn.Module,
        norms: tuple[nn.Module, nn.Module],
        feed_forward: nn.Module,
        heads: int,
        attend: Attention,
    ) -> None:
        super().__init__()
        self.qkv = qkv
        self.output = output
        self.norm, self.last_norm = norms
        self.feed_forward = feed_forward
        self.heads = heads
        self.attend = attend

    def forward(self, hidden: Tensor, bounds: Tensor, longest: int) -> Tensor:
        """Compute every row: [tokens, hidden] to the same."""
        query, key, value = self._by_head(self.qkv(hidden), of=3)
        mixed = self.attend(query, key, value, bounds, bounds, longest, longest)
        return self._rest(mixed, hidden)

    def first_rows(self, hidden: Tensor, bounds: Tensor, longest: int) -> Tensor:
        """Compute the first row of each piece alone: [tokens, hidden] to [pieces, hidden]."""
        size = hidden.shape[1]
        places = bounds[:-1].clamp(
            max=len(hidden) - 1
        )  # a piece without tokens begins past the end
        firsts = hidden.index_select(0, places)
        (query,) = self._by_head(self.qkv.part(firsts, slice(size)), of=1)
        key, value = self._by_head(self.qkv.part(hidden, slice(size, None)), of=2)
        one_each = torch.arange(len(bounds), dtype=torch.int32, device=bounds.device)
        mixed = self.attend(query, key, value, one_each, bounds, 1, longest)
        return self._rest(mixed, firsts)

    def _by_head(self, found: Tensor, of: int) -> tuple[Tensor, ...]:
        """Cut [rows, of * hidden] into `of` views, each [rows, heads, head size]."""
        return found.view(len(found), of, self.heads, -1).unbind(1)

    def _rest(self, mixed: Tensor, hidden: Tensor) -> Tensor:
        """Compute what follows the attention in a layer."""
        hidden = self.norm(self.output(mixed.reshape(hidden.shape)) + hidden)
        computed: Tensor = self.last_norm(self.feed_forward(hidden) + hidden)
        return computed


class FlatEncoder(nn.Module):
    """The whole classifier.

    Args:
        words: an embedding of each token.
        positions: an embedding of each position, from 0, with all else that every token gets.
        norm: over the sum of both.
        layers: at least one; the last is computed for first rows alone.
        head: from the first row to logits.
    """

    def __init__(
        self,
        *,
        words: nn.Embedding,
        positions: nn.Embedding,
        norm: nn.Module,
        layers: list[Layer],
        head: nn.Module,
    ) -> None:
        super().__init__()
        self.words = words
        self.positions = positions
        self.norm = norm
        self.layers = nn.ModuleList(layers[:-1])
        self.last = layers[-1]
        self.head = head

    def forward(self, inputs: FlatInputs) -> Tensor:
        """Score a micro-batch: [pieces, labels] float32 logits."""
        hidden = self.norm(self.words(inputs.ids) + self.positions(inputs.positions))
        for layer in self.layers:
            hidden = layer(hidden, inputs.bounds, inputs.longest)
        firsts = self.last.first_rows(hidden, inputs.bounds, inputs.longest)
        logits: Tensor = self.head(firsts)
        return logits.float()
