# SPDX-License-Identifier: Apache-2.0
"""A PyTorch network, trained a little with quantised blocks, to RTL whose outputs are the modules' own integers."""

import json
import pathlib

import numpy as np
import torch
from torch import nn

from tiled_se.golden import BlockFormats, QuantisedTiledSE, calibrate_blocks
from tiled_se.hdl.config import Context, DataType, Gate, GateKind, Mid, Order, Tiling
from tiled_se.network import export_blocks

CAUSAL = Tiling(k=1, context=Context.CAUSAL, prior_rows=1, order=Order.COLUMNS)
UNSIGNED = BlockFormats(DataType(4, signed=False), 4, outputs=DataType(6))


def test_build_exported(tiled_se, tmp_path):
    """8 bits by tiles, and 4 bits with outputs of their own by causal columns."""
    network = nn.Sequential(
        nn.Conv2d(2, 4, 3), QuantisedTiledSE(4, 2, 3, mid=Mid.SILU, residual=True), nn.ReLU(), nn.Conv2d(4, 6, 1),
        QuantisedTiledSE(6, 3, CAUSAL, formats=UNSIGNED, gate=Gate(GateKind.HARDSIGMOID), prior=np.full(6, 0.1)))
    x = torch.randn(4, 2, 9, 7)
    calibrate_blocks(network, [x])
    optimiser = torch.optim.SGD(network.parameters(), 0.05)
    for _ in range(5):
        optimiser.zero_grad()
        network(x).square().mean().backward()
        optimiser.step()
    export_blocks(network, [x], "net")
    finished = tiled_se.passes("build", "net", "-o", "rtl", "--stall", 0.2)
    total = 2 * 7 * 5 * (4 + 6)
    assert f"integers of the PyTorch modules: {total} of {total} outputs are equal" in finished.out.splitlines()
    report = json.loads(pathlib.Path("rtl/report.json").read_text())
    assert report["bit_exact"]
    assert [block["report"]["config"]["context"] for block in report["blocks"]] == ["tile", "causal"]
    network.eval()
    for name, maps in (("1", network[0](x)), ("4", network[:4](x))):
        y_q = np.load(pathlib.Path("rtl", name, "output.npz"))["y_q"]
        assert np.array_equal(y_q.transpose(0, 3, 1, 2), network[int(name)].codes(maps[:2]))
    # The same in a line.
    tiled_se.refuses_as("K=2 (--k): must not be given, as MODEL=net has it", "build", "net", "--k", 2, "-o", "rtl2")
