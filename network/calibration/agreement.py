# SPDX-License-Identifier: Apache-2.0
"""How well the tiles of a block stand for its whole feature map, on real maps: the paper's section 3.3 in figures."""

import dataclasses

import numpy as np
import torch

from ...golden.block import DataFormat
from ...golden.integer import IntegerModel
from ...golden.module import TiledSE
from ...golden.quantise import quantise_within_error
from ...hdl.config import GATE_FRAC, Config, ConfigError
from ..match.match import NetworkBlock

__all__ = ["Agreement", "agreement"]


@dataclasses.dataclass(frozen=True, eq=False)
class Agreement:
    """Tiles of `k` rows of one block, over all images.

    ``rows`` (tiles) are those of each tile; the last tile of a map may have fewer than k. All other arrays are float64
    (tiles, C): ``means`` of each tile's channels, ``whole_means`` of the map that it belongs to, and the gates from
    both by the float network. ``quantised_gates`` are from the tile's means by the integer golden model; None if no
    widths keep the error budget. ``output_change`` is the root mean square of the change of the outputs, relative to
    that of the outputs with the whole map's gates.
    """

    k: int
    rows: np.ndarray
    means: np.ndarray
    whole_means: np.ndarray
    gates: np.ndarray
    whole_gates: np.ndarray
    quantised_gates: np.ndarray | None
    output_change: float

    @property
    def figures(self) -> dict:
        """A summary, JSON-serialisable. Correlations over the channels are averaged over the tiles by their rows."""
        quantised = None if self.quantised_gates is None else _differences(self.quantised_gates, self.gates)
        return {"k": self.k, "tiles": len(self.means),
                "mean_correlation": _correlation(self.means, self.whole_means, self.rows),
                "gate_correlation": _correlation(self.gates, self.whole_gates, self.rows),
                "gate_difference": _differences(self.gates, self.whole_gates),
                "output_change": self.output_change, "quantised_gate_error": quantised}


def _differences(a, b):
    difference = np.abs(a - b)
    return {"mean": float(difference.mean()), "p95": float(np.quantile(difference, 0.95)),
            "max": float(difference.max())}


def _correlation(a, b, weights):
    """Weighted mean of Pearson's correlation between each row of `a` and of `b`; None if all rows are constant."""
    a, b = (rows - rows.mean(axis=1, keepdims=True) for rows in (a, b))
    norms = np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))
    varied = norms > 1e-12
    if not varied.any():
        return None
    return float(np.average((a * b).sum(axis=1)[varied] / norms[varied], weights=weights[varied]))


def agreement(block: NetworkBlock, k: int, maps: np.ndarray) -> Agreement:
    """Compare tiles of `k` rows with whole maps in `block`, on `maps`: float32 (N, H, W, C)."""
    tiled, whole = (TiledSE.from_block(block.float_block, rows).double() for rows in (k, maps.shape[1]))
    parts, changed, total = {name: [] for name in ("means", "whole_means", "gates", "whole_gates")}, 0.0, 0.0
    rows = np.array([min(k, maps.shape[1] - row) for row in range(0, maps.shape[1], k)])
    with torch.no_grad():
        for one in maps:
            x = torch.from_numpy(np.array(one, np.float64)).permute(2, 0, 1)[None]
            tiles, gates, whole_gates = (_rows(part) for part in (_means(tiled, x), tiled.scale(x), whole.scale(x)))
            # Sum of squares of each tile's elements.
            energy = _rows(_means(tiled, x**2)) * rows[:, None] * maps.shape[2]
            changed += float((energy * (gates - whole_gates)**2).sum())
            total += float((energy * (whole_gates + block.float_block.residual)**2).sum())
            for name, value in {"means": tiles, "whole_means": _rows(_means(whole, x)), "gates": gates,
                                "whole_gates": whole_gates}.items():
                parts[name].append(np.broadcast_to(value, tiles.shape))
    arrays = {name: np.concatenate(values) for name, values in parts.items()}
    return Agreement(k, np.tile(rows, len(maps)), **arrays, quantised_gates=_quantised_gates(block, k, maps),
                     output_change=(changed / total)**0.5 if total else 0.0)


def _means(module, x):
    return module.descriptors(x)


def _rows(tensor):
    """(1, C, tiles, 1) as (tiles, C)."""
    return tensor[0, :, :, 0].T.numpy()


def _quantised_gates(block, k, maps):
    """Gates of the integer model, in the data format of `maps`; None if no widths keep the error budget."""
    form = block.float_block
    try:
        data_format = DataFormat.calibrate(maps.min(), maps.max())
        config = Config(k=k, width=maps.shape[2], channels=block.channels, squeeze=block.squeeze, lanes=1, macs=1,
                        zero_point=data_format.zero_point, mid=form.mid, gate=form.gate, residual=form.residual,
                        loadable=False)
        config, quantised = quantise_within_error(config, form, data_format.scale)
    except ConfigError:
        return None
    model = IntegerModel(config, quantised.parameters)
    gates = np.concatenate([model.run(data_format.quantise(one)[None]).gates.numpy()[0] for one in maps])
    gates = gates / 2.0**GATE_FRAC
    # The residual form's table has (1 + g) / 2.
    return 2 * gates - 1 if form.residual else gates
