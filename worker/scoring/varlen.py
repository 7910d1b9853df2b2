"""Attention over pieces that lie end to end: the GPU's kernel, and the same for a CPU.

Pieces of different lengths take part with what they have; none sees another's tokens.
"""

import importlib.util
import inspect
from functools import partial
from itertools import pairwise
from typing import Final, Protocol, cast

import torch
from torch import Tensor
from torch.nn import functional

HEAD_SIZES: Final = range(8, 257, 8)  # what flash attention has kernels for


class Attention(Protocol):
    """Softmax attention of each piece to itself."""

    def __call__(  # noqa: PLR0913, PLR0917 - torch's signature
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        query_bounds: Tensor,
        key_bounds: Tensor,
        most_queries: int,
        most_keys: int,
        /,
    ) -> Tensor:
        """Mix the values of each piece.

        Args:
            query: [query tokens, heads, head size].
            key: [tokens, heads, head size].
            value: the same.
            query_bounds: [pieces + 1] int32; piece i asks with tokens bounds[i] to bounds[i + 1].
            key_bounds: [pieces + 1] int32, the same for keys and values.
            most_queries: of one piece; a number of the host's, a CUDA graph keeps it.
            most_keys: of one piece, the same.

        Returns:
            [query tokens, heads, head size]. A piece without keys has zeros; tokens behind the
            last bound have anything.
        """
        ...


def gpu_attention() -> Attention:
    """Return flash attention, in bf16 or fp16.

    It is told not to split pieces: then a piece's sums are taken in the same order whatever its
    company. That leaves out cuDNN, too, which makes a plan for every new shape. Torch that cannot
    be told (2.11) does neither.
    """
    from torch.nn.attention.varlen import varlen_attn  # noqa: PLC0415 - older torch has none

    can_be_told = "num_splits" in inspect.signature(varlen_attn).parameters
    return cast("Attention", partial(varlen_attn, num_splits=1) if can_be_told else varlen_attn)


def attend_on_cpu(  # noqa: PLR0913, PLR0917 - torch's signature
    query: Tensor,
    key: Tensor,
    value: Tensor,
    query_bounds: Tensor,
    key_bounds: Tensor,
    most_queries: int,  # noqa: ARG001 - a kernel's business
    most_keys: int,  # noqa: ARG001 - the same
) -> Tensor:
    """Attend one piece after another, in any number type."""
    mixed = torch.zeros_like(query)
    for asking, asked in zip(
        pairwise(query_bounds.tolist()), pairwise(key_bounds.tolist()), strict=True
    ):
        if asked[0] == asked[1]:
            continue
        q, k, v = (
            tensor[slice(*bounds)].transpose(0, 1)[None]  # [1, heads, tokens, head size]
            for tensor, bounds in ((query, asking), (key, asked), (value, asked))
        )
        found = functional.scaled_dot_product_attention(q, k, v)
        mixed[slice(*asking)] = found[0].transpose(0, 1)
    return mixed


def missing_on_gpu(head_size: int) -> str | None:
    """Return why `gpu_attention` cannot serve here, or None."""
    if torch.version.hip is not None:
        return "it was not tried on an AMD GPU"
    if head_size not in HEAD_SIZES:
        return f"heads of {head_size}: flash attention takes multiples of 8 up to 256"
    if importlib.util.find_spec("torch.nn.attention.varlen") is None:
        return f"torch {torch.__version__} has no varlen_attn"
    return None
