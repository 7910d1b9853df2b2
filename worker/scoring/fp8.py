"""Products in fp8 (e4m3): twice bf16's peak on cards that have it, for a little of the scores.

A scale for each row, of what goes in, and one for each of the weight's: so a token's numbers do not
lean on its neighbours, and a large one spoils no more than its own row. Attention, norms and sums
stay as they are.
"""

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from schemas.errors import SettingsError
from worker.scoring.flat_encoder import FlatEncoder

E4M3: Final = torch.float8_e4m3fn
MOST: Final = torch.finfo(E4M3).max  # 448
LEAST: Final = 1e-12  # a row of zeros has a scale, too
MULTIPLE: Final = 16  # of which both sides of a weight must be, for a card's products
BF16: Final = "set TIDEGATE_SCORING__NUMBER_TYPE=bf16"


class Fp8Product(nn.Module):
    """A product with such weights, rounded once, of rows that are rounded as they come.

    Its tensors are no parameters: `Module.to` would turn them into another number type.

    Args:
        linear: in fp32; it has a bias.
        device: where to compute.
        dtype: of the rows that go in, and of those that come out.
    """

    def __init__(self, linear: nn.Linear, device: torch.device, dtype: torch.dtype) -> None:
        super().__init__()
        weight, scale = rounded(linear.weight.detach())
        self._weight = weight.to(device)  # [out, in]
        self._scale = scale.to(device)  # [out, 1]
        self._bias = linear.bias.detach().to(device, dtype)

    def forward(self, hidden: Tensor) -> Tensor:
        """Compute [rows, in] to [rows, out]."""
        return self.part(hidden, slice(None))

    def part(self, hidden: Tensor, of: slice) -> Tensor:
        """Compute some of the columns that come out."""
        rows, scale = rounded(hidden)
        by_row = functional.ScalingType.RowWise
        return functional.scaled_mm(
            rows,
            self._weight[of].t(),
            scale,
            by_row,
            self._scale[of].t(),
            by_row,
            bias=self._bias[of],
            output_dtype=hidden.dtype,
        )


def rounded(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Return rows in fp8, and by how much to multiply each: [rows, columns], [rows, 1] fp32."""
    scale = rows.abs().amax(1, keepdim=True).float().clamp(min=LEAST) / MOST
    return (rows.float() / scale).to(E4M3), scale


def use_fp8(encoder: FlatEncoder, device: torch.device, dtype: torch.dtype) -> None:
    """Have the products of an encoder's layers computed in fp8, in place; the head stays.

    Args:
        encoder: in fp32, on any device.
        device: where its products will be.
        dtype: of all else.

    Raises:
        SettingsError: a product has a side that no card takes, or torch has no such products.
    """
    if not hasattr(functional, "scaled_mm"):
        raise SettingsError(f"torch {torch.__version__} has no products in fp8", BF16)
    for layer in (*encoder.layers, encoder.last):
        for parent in list(layer.modules()):
            for name, child in list(parent.named_children()):
                if isinstance(child, nn.Linear):
                    setattr(parent, name, _in_fp8(child, device, dtype))


def _in_fp8(linear: nn.Linear, device: torch.device, dtype: torch.dtype) -> Fp8Product:
    sides = linear.in_features, linear.out_features
    if any(side % MULTIPLE for side in sides):
        raise SettingsError(
            f"a product of {sides[0]} to {sides[1]}: in fp8 both must be multiples of {MULTIPLE}",
            BF16,
        )
    return Fp8Product(linear, device, dtype)
