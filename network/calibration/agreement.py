# SPDX-License-Identifier: Apache-2.0
"""How well the tiles of a block stand for its whole feature map, on real maps: the paper's section 3.3, in figures."""

import dataclasses

import numpy as np
import torch

from ...golden.block import DataFormat
from ...golden.integer import IntegerModel
from ...golden.module import TiledSE
from ...golden.quantise import quantise_within_error
from ...hdl.config import GATE_FRAC, Config, ConfigError

__all__ = ["Agreement", "agreement"]


@dataclasses.dataclass(frozen=True, eq=False)
class Agreement:
    """Tiles of `k` rows of one block, over all images.

    Attributes
    ----------
    k : int
    rows : int64 array (tiles)
        Of each tile; a map's last one may have fewer.
    means, whole_means : float64 array (tiles, C)
        Of each tile, and of the map that it is of.
    gates, whole_gates, quantised_gates : float64 array (tiles, C)
        From the tile's means and from the map's, by the float network; from the tile by the integer golden model.
        The last is None where no widths keep the contract.
    output_change : float
        Root mean square of what the outputs change by, over that of the outputs with the map's gates.
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
    def figures(self):
        """All of it in a dict, JSON-serialisable. A correlation is the tiles' mean by rows, each over its channels."""
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
    """Pearson's correlation of each row of `a` with that of `b`, their weighted mean; None if all rows are constant."""
    a, b = (rows - rows.mean(axis=1, keepdims=True) for rows in (a, b))
    norms = np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))
    varied = norms > 1e-12
    if not varied.any():
        return None
    return float(np.average((a * b).sum(axis=1)[varied] / norms[varied], weights=weights[varied]))


def agreement(block, k, maps):
    """The :class:`Agreement` of a Block with tiles of `k` rows on `maps`, float32 (N, H, W, C)."""
    tiled, whole = (TiledSE.from_block(block.float_block, rows).double() for rows in (k, maps.shape[1]))
    parts, changed, total = {name: [] for name in ("means", "whole_means", "gates", "whole_gates")}, 0.0, 0.0
    rows = np.array([min(k, maps.shape[1] - row) for row in range(0, maps.shape[1], k)])
    with torch.no_grad():
        for one in maps:
            x = torch.from_numpy(np.array(one, np.float64)).permute(2, 0, 1)[None]
            tiles, gates, whole_gates = (_rows(part) for part in (_means(tiled, x), tiled.scale(x), whole.scale(x)))
            # Squares of the elements, tile by tile.
            energy = _rows(_means(tiled, x**2)) * rows[:, None] * maps.shape[2]
            changed += float((energy * (gates - whole_gates)**2).sum())
            total += float((energy * (whole_gates + block.float_block.residual)**2).sum())
            for name, value in {"means": tiles, "whole_means": _rows(_means(whole, x)), "gates": gates,
                                "whole_gates": whole_gates}.items():
                parts[name].append(np.broadcast_to(value, tiles.shape))
    arrays = {name: np.concatenate(values) for name, values in parts.items()}
    return Agreement(k, np.tile(rows, len(maps)), **arrays, quantised_gates=_quantised(block, k, maps),
                     output_change=(changed / total)**0.5 if total else 0.0)


def _means(module, x):
    return torch.nn.functional.avg_pool2d(x, module.tile(x), ceil_mode=True)


def _rows(tensor):
    """(1, C, tiles, 1) as (tiles, C)."""
    return tensor[0, :, :, 0].T.numpy()


def _quantised(block, k, maps):
    """Gates of the integer model, for the data's format that the maps themselves give."""
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
