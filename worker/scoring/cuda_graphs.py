"""CUDA graphs: a micro-batch launched as one, whatever its size.

Some hundred kernels make a forward pass, and each costs the host microseconds: below a few
thousand tokens these, not the GPU, are what a pass takes. A graph launches all of them at once,
for one shape. So there is a graph for each of a few shapes, and a micro-batch takes the smallest
that holds it. What the shape has beyond it, nothing reads: pieces without tokens, tokens of no
piece (`FlatInputs`).
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, NamedTuple

import numpy as np
import torch
from torch import Tensor

from worker.batching import Flat
from worker.scoring.flat_inputs import Eager, FlatInputs, Forward, copy_to, longest_of

FEWEST_TOKENS: Final = 128  # of the smallest shape
STEPS: Final = 8  # shapes of like distance below the budget: a micro-batch wastes a step at most
# Flash attention starts blocks of this many queries for each slot, also where no piece is. So
# there are shapes for pieces that fit one block and for longer ones, and of the former for few
# pieces and for many: by tokens a piece.
BLOCK: Final = 128
SHORT_PIECES: Final = (48, 12)
LONG_PIECES: Final = (32,)


class Shape(NamedTuple):
    """What a graph has room for."""

    tokens: int
    pieces: int
    longest: int  # tokens of a piece

    def holds(self, flat: Flat, longest: int) -> bool:
        """Say whether a micro-batch fits, its longest piece so long."""
        pieces = len(flat.bounds) - 1
        fits = len(flat.ids) <= self.tokens and pieces <= self.pieces
        return fits and longest <= self.longest


def shapes(budget: int, longest: int) -> list[Shape]:
    """Return the shapes worth a graph, the smallest first; some three dozen.

    Args:
        budget: tokens of the largest micro-batch.
        longest: tokens of the longest piece that the model takes.
    """
    step = -(-budget // STEPS)
    sizes = {min(step * number, budget) for number in range(1, STEPS + 1)}
    size = FEWEST_TOKENS
    while size < step:
        sizes.add(size)
        size *= 2
    kinds = [(min(BLOCK, longest), each) for each in SHORT_PIECES]
    if longest > BLOCK:
        kinds += [(longest, each) for each in LONG_PIECES]
    return [
        Shape(tokens, -(-tokens // each), most) for tokens in sorted(sizes) for most, each in kinds
    ]


class Captured(NamedTuple):
    """A pass over fixed memory: `replay` computes again what lies there, into `logits`."""

    replay: Callable[[], object]
    logits: Tensor


class CudaCapture:
    """Records passes as CUDA graphs that share one pool of memory, on one stream.

    Args:
        stream: on which they are recorded and will be replayed; it must be the current one.
    """

    def __init__(self, stream: torch.cuda.Stream) -> None:
        self._stream = stream
        self._pool = torch.cuda.graph_pool_handle()

    def __call__(self, forward: Callable[[], Tensor]) -> Captured:
        """Record a pass; it runs once before, so that libraries set up what they keep."""
        forward()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool, stream=self._stream):
            logits = forward()
        return Captured(graph.replay, logits)


class Graphs:
    """A forward pass by graphs; by itself where no graph holds a micro-batch.

    Calls must come from one thread, on the stream of the recording. The logits of a call are
    overwritten by a later one: they are to be copied on that stream before.

    Args:
        forward: the pass.
        shapes: each gets a graph; the smallest first.
        device: where the inputs lie.
        capture: records a pass.
    """

    def __init__(
        self,
        forward: Forward,
        shapes: Sequence[Shape],
        device: torch.device,
        capture: Callable[[Callable[[], Tensor]], Captured],
    ) -> None:
        self._eager = Eager(forward, device)
        tokens = max(shape.tokens for shape in shapes)
        pieces = max(shape.pieces for shape in shapes)
        self._ids, self._positions, self._bounds = (
            torch.zeros(length, dtype=torch.int32, device=device)
            for length in (tokens, tokens, pieces + 1)
        )
        self._graphs: dict[Shape, Captured] = {}
        for shape in reversed(shapes):  # the largest first: the others fit into its memory
            self._graphs[shape] = capture(partial(forward, self._inputs(shape)))
        self._shapes = shapes

    def __call__(self, flat: Flat) -> Tensor:
        """Launch a micro-batch: [pieces, labels] logits on the device, perhaps not yet there."""
        longest = longest_of(flat)
        for shape in self._shapes:
            if shape.holds(flat, longest):
                return self._replay(shape, flat)
        return self._eager(flat)

    def _replay(self, shape: Shape, flat: Flat) -> Tensor:
        tokens, pieces = len(flat.ids), len(flat.bounds) - 1
        bounds = np.full(shape.pieces + 1, tokens, dtype=np.int32)
        bounds[: pieces + 1] = flat.bounds
        copy_to(self._ids[:tokens], flat.ids)
        copy_to(self._positions[:tokens], flat.positions)
        copy_to(self._bounds[: len(bounds)], bounds)
        graph = self._graphs[shape]
        graph.replay()
        return graph.logits[:pieces]

    def _inputs(self, shape: Shape) -> FlatInputs:
        """Return the part of the fixed memory that a shape computes."""
        ids, positions = self._ids[: shape.tokens], self._positions[: shape.tokens]
        return FlatInputs(ids, positions, self._bounds[: shape.pieces + 1], shape.longest)
