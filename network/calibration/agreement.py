# SPDX-License-Identifier: Apache-2.0
"""How well the tiles of a block stand for its whole feature map, on real maps: the paper's section 3.3 in figures."""

import dataclasses

import numpy as np

from ...golden.block import DataFormat
from ...golden.integer import IntegerModel
from ...golden.quantise import quantise_within_error
from ...golden.reference import descriptors, excite
from ...hdl.config import Config, ConfigError, Order, Tiling
from ..match.match import NetworkBlock
from .own_numbers import WEIGHT_BITS, own_block

__all__ = ["Agreement", "agreement"]


@dataclasses.dataclass(frozen=True, eq=False)
class Agreement:
    """The tiles of one block, over all images.

    ``pixels`` (tiles) are those of each tile; the last tile of a map may have fewer. All other arrays are float64
    (tiles, C): ``means``, the descriptor of each tile; ``whole_means`` of the map that it belongs to; and the gates
    from both by the float network. ``quantised_gates`` are from the descriptors of the integer golden model; None if
    no widths keep the error budget, or if they were not asked for. ``output_change`` is the root mean square of the
    change of the outputs, relative to that of the outputs with the whole map's gates.

    Figures of gates are over channels and pixels: a tile with fewer pixels counts less.
    """

    tiling: Tiling
    pixels: np.ndarray
    means: np.ndarray
    whole_means: np.ndarray
    gates: np.ndarray
    whole_gates: np.ndarray
    quantised_gates: np.ndarray | None
    output_change: float

    @property
    def k(self) -> int:
        """Rows of a tile."""
        return self.tiling.k

    @property
    def figures(self) -> dict:
        """A summary, JSON-serialisable. Correlations over the channels are averaged over the tiles by their pixels."""
        quantised = None if self.quantised_gates is None else _differences(self.quantised_gates, self.gates,
                                                                           self.pixels)
        return {"k": self.k, "tiles": len(self.means),
                "mean_correlation": _correlation(self.means, self.whole_means, self.pixels),
                "gate_correlation": _correlation(self.gates, self.whole_gates, self.pixels),
                "gate_difference": self.gate_difference, "output_change": self.output_change,
                "quantised_gate_error": quantised}

    @property
    def gate_difference(self) -> dict:
        """How far the gates of tiles are from those of the whole map: ``mean``, ``p95`` and ``max``, magnitudes."""
        return _differences(self.gates, self.whole_gates, self.pixels)


def _differences(a, b, weights):
    """The weighted mean and 95th percentile of the magnitudes of the rows' differences, and the largest."""
    difference = np.abs(a - b)
    order = np.argsort(difference, axis=None)
    below = np.cumsum(np.broadcast_to(weights[:, None], difference.shape).reshape(-1)[order])
    p95 = difference.reshape(-1)[order[np.searchsorted(below, 0.95 * below[-1])]]
    return {"mean": float(np.average(difference.mean(axis=1), weights=weights)), "p95": float(p95),
            "max": float(difference.max())}


def _correlation(a, b, weights):
    """Weighted mean of Pearson's correlation between each row of `a` and of `b`; None if all rows are constant."""
    a, b = (rows - rows.mean(axis=1, keepdims=True) for rows in (a, b))
    norms = np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))
    varied = norms > 1e-12
    if not varied.any():
        return None
    return float(np.average((a * b).sum(axis=1)[varied] / norms[varied], weights=weights[varied]))


def agreement(block: NetworkBlock, k: int | Tiling, maps: np.ndarray, x_format: DataFormat | None = None,
              weight_bits: int = WEIGHT_BITS) -> Agreement:
    """Compare tiles with whole maps in `block`, on `maps`: float32 (N, H, W, C).

    `k` is the tiling, or the number of rows of a tile; its prior is that of the block's ``float_block``. The gates of
    the integer model are those of maps in `x_format` and of weights with so many bits; without the format there are
    none.
    """
    tiling, form = Tiling.of(k), block.float_block
    prior = np.zeros(block.channels) if form.prior is None else form.prior
    parts, changed, total = {name: [] for name in ("means", "whole_means", "gates", "whole_gates")}, 0.0, 0.0
    for one in _streamed(maps, tiling):
        x = one.astype(np.float64)
        means, tiles = descriptors(x, prior, tiling)
        whole = x.mean(axis=(0, 1))[None]
        gates, whole_gates = (excite(z, form.w1, form.b1, form.w2, form.b2, form.mid, form.gate)[1]
                              for z in (means, whole))
        pixels, energy = _energy(x, tiles)
        changed += float((energy * (gates - whole_gates)**2).sum())
        total += float((energy * (whole_gates + form.residual)**2).sum())
        for name, value in {"means": means, "whole_means": whole, "gates": gates, "whole_gates": whole_gates}.items():
            parts[name].append(np.broadcast_to(value, means.shape))
    arrays = {name: np.concatenate(values) for name, values in parts.items()}
    return Agreement(tiling, np.tile(pixels, len(maps)), **arrays,
                     quantised_gates=x_format and _quantised_gates(block, tiling, maps, x_format, weight_bits),
                     output_change=(changed / total)**0.5 if total else 0.0)


def _streamed(maps, tiling):
    """Maps in the order of the stream."""
    return maps.swapaxes(1, 2) if tiling.order is Order.COLUMNS else maps


def _energy(x, tiles):
    """``(pixels, energy)`` of each tile of a map (H, W, C): their number, and the sum (tiles, C) of x squared."""
    pixels = np.bincount(tiles.reshape(-1))
    # All pixels of a tile, one after the other.
    order = np.argsort(tiles, axis=None, kind="stable")
    squares = x.reshape(-1, x.shape[2])[order]**2
    return pixels, np.add.reduceat(squares, np.cumsum(pixels) - pixels, axis=0)


def _quantised_gates(block, tiling, maps, data_format, weight_bits):
    """Gates of the integer model; None if no widths keep the budget."""
    form, maps = own_block(block), _streamed(maps, tiling)
    try:
        config = Config(**vars(tiling), width=maps.shape[2], channels=block.channels, squeeze=block.squeeze, lanes=1,
                        macs=1, data=data_format.data, zero_point=data_format.zero_point, weight_bits=weight_bits,
                        mid=form.mid, gate=form.gate, residual=form.residual, loadable=False)
        config, quantised = quantise_within_error(config, form, data_format.scale)
    except ConfigError:
        return None
    model = IntegerModel(config, quantised.parameters)
    gates = np.concatenate([model.run(data_format.quantise(one)[None]).gates.numpy()[0] for one in maps])
    gates = gates / 2.0**config.gate_frac
    # The residual form's table has (1 + g) / 2.
    return 2 * gates - 1 if form.residual else gates
