# SPDX-License-Identifier: Apache-2.0
"""The integer model: the hardware's arithmetic, bit for bit, with the values of every stage."""

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from ..hdl.config import Config, ConfigError
from ..hdl.parameters import Parameters
from . import activation, stages
from .rounding import require_signed

__all__ = ["STAGES", "IntegerModel", "Stages"]


@dataclasses.dataclass(frozen=True, eq=False)
class Stages:
    """Every stage's values for a batch of frames: int64 tensors.

    All but `y` are [N, tiles, C], tiles from the top, and from the left where several are side by side, as the hardware
    computes them; acc1, pre1 and hidden have CR instead of C. `y` has the shape of the input data and is in the range
    of ``config.outputs``; the other stages are computed from data in the signed range. The gates include the factor of
    a config that ``rescales``.
    """

    sums: torch.Tensor
    means: torch.Tensor
    acc1: torch.Tensor
    pre1: torch.Tensor
    hidden: torch.Tensor
    acc2: torch.Tensor
    logits: torch.Tensor
    gates: torch.Tensor
    y: torch.Tensor


STAGES = tuple(field.name for field in dataclasses.fields(Stages))


def _integers(name: str, value: npt.ArrayLike | torch.Tensor) -> torch.Tensor:
    """`value` (array or tensor) as an int64 tensor; TypeError if it does not hold integers."""
    # A copy, as torch warns about read-only arrays.
    value = value if isinstance(value, torch.Tensor) else torch.tensor(np.asarray(value))
    if value.is_floating_point() or value.is_complex() or value.dtype == torch.bool:
        raise TypeError(f"{name}: must hold integers, not {value.dtype}")
    return value.to(torch.int64)


class IntegerModel:
    """The block as integers; raises ConfigError if the parameters do not fit the config.

    As the hardware, it takes the rows of a stream: those of a map, or its columns where ``config.order`` says so.
    """

    def __init__(self, config: Config, parameters: Parameters) -> None:
        parameters.validate(config)
        self.config, self.parameters = config, parameters
        # Layers of tensors instead of arrays.
        self._layers: list[Any] = [
            dataclasses.replace(layer, **{field.name: torch.tensor(getattr(layer, field.name))
                                          for field in dataclasses.fields(layer)})
            for layer in (parameters.layer1, parameters.layer2)]
        self._prior = torch.tensor(0 if parameters.prior is None else parameters.prior)
        self._mid = torch.tensor(activation.mid_columns(config.mid, config.hidden_frac, config.segment_bits,
                                                          config.mid_range))
        self._gate = torch.tensor(activation.gate_columns(config))

    def _as_signed(self, x: torch.Tensor) -> torch.Tensor:
        """The int64 tensor `x`, checked, as [N, H, W, C] in the signed range."""
        frame = [self.config.width, self.config.channels]
        if x.ndim not in (3, 4) or list(x.shape[-2:]) != frame or not x.numel():
            raise ConfigError("x", list(x.shape),
                              f"must have the shape [N, H, W, C] or [H, W, C] with [W, C] = {frame}")
        return require_signed("x", x.reshape(-1, *x.shape[-3:]) - self.config.data.offset, self.config.data.bits)

    def run(self, x: npt.ArrayLike | torch.Tensor) -> Stages:
        """Compute every stage's values; raises OverflowError if one does not fit its width.

        `x` has integers, [N, H, W, C] or [H, W, C] of any height, in the range of ``config.data``.
        """
        x, config, parameters = _integers("x", x), self.config, self.parameters
        data = self._as_signed(x)
        inner = self.excite(stages.line_sums(data, config))
        zero_point, y_zero_point = parameters.signed_zero_point, parameters.signed_outputs_zero_point
        zero_points = zero_point, zero_point if y_zero_point is None else y_zero_point
        y = stages.outputs(data, inner[-1], config, zero_points) + config.outputs.offset
        return Stages(*(*inner, y.reshape(x.shape)))

    def excite(self, line_sums: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The stages of :class:`Stages` from the sums to the gates, of int64 `line_sums` [N, H, tiles across, C]."""
        config, (layer1, layer2) = self.config, self._layers
        sums = stages.sums(line_sums, self._prior, config)
        means = stages.means(sums, stages.elements(line_sums.shape[1], config), config)
        acc1 = stages.acc("acc1", means, layer1.weight, config)
        pre1 = stages.requantise("pre1", acc1, layer1, config.shifts[0], config)
        hidden = stages.hidden(pre1, config, self._mid)
        acc2 = stages.acc("acc2", hidden, layer2.weight, config)
        logits = stages.logits(stages.requantise("logits", acc2, layer2, config.shifts[1], config), config)
        gates = stages.gates(logits, config, self._gate, self.parameters.factor)
        return sums, means, acc1, pre1, hidden, acc2, logits, gates

    def run_beats(self, beats: npt.ArrayLike | torch.Tensor) -> Stages:
        """Compute a frame that a misplaced ``tlast`` has cut short: any number of beats, not only whole rows.

        The missing beats of the last row add nothing to the sums, but the row counts as a row of its tile. `beats` has
        integers [B, lanes] in their own range, in the order of the stream; so has the result's `y`, in that of the
        outputs. The other stages are as from `run`, for one frame. Of tiles side by side, those without a beat are left
        out.
        """
        beats = _integers("beats", beats)
        if beats.ndim != 2 or beats.shape[1] != self.config.lanes or not beats.numel():
            raise ConfigError("beats", list(beats.shape), f"must have the shape [B, {self.config.lanes}]")
        row = self.config.width * self.config.channels
        rows = -(-beats.numel() // row)
        frame = torch.full((rows * row,), self.config.data.offset, dtype=torch.int64)
        frame[:beats.numel()] = beats.reshape(-1)
        result = self.run(frame.reshape(rows, self.config.width, self.config.channels))
        y = result.y.reshape(-1)[:beats.numel()].reshape(beats.shape)
        reached = result.sums.shape[1]
        if (rows - 1) % self.config.k == 0:
            pixels = -(-(beats.numel() - (rows - 1) * row) // self.config.channels)
            reached -= self.config.tiles_across - -(-pixels // self.config.columns)
        tiles = {name: getattr(result, name)[:, :reached] for name in STAGES if name != "y"}
        return Stages(y=y, **tiles)
