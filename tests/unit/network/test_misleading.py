# SPDX-License-Identifier: Apache-2.0
"""Networks that are easily misread are read right, or are left out with a reason."""

import numpy as np
import onnxruntime
import pytest

from tests.helpers.onnx_attentions import ATTENTIONS
from tests.helpers.onnx_misleading import QUANTISERS, STORED
from tests.helpers.onnx_misleading_axes import AXES, UNKNOWN
from tests.helpers.onnx_misleading_factors import FACTORS, HALF_PRECISION, LAYOUTS
from tests.helpers.onnx_net import Net
from tests.helpers.onnx_networks import CHANNELS, Spelling, se, whole
from tests.helpers.onnx_runs import graph_of
from tiled_se.network.check.blocks import differing
from tiled_se.network.match.match import match
from tiled_se.network.tile import tile_blocks

KINDS = QUANTISERS, STORED, AXES, UNKNOWN, HALF_PRECISION, FACTORS, LAYOUTS, ATTENTIONS
MISLEADING = {name: case for kind in KINDS for name, case in kind.items()}
assert len(MISLEADING) == sum(map(len, KINDS))
# More rows than any map has.
WHOLE = 10**6


def outputs(model, arrays):
    """What onnxruntime computes, with its own optimisations off: these could mend or hide a difference."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return [session.run(None, {"x": array})[0].astype(np.float64) for array in arrays]


def largest_difference(results, references):
    """The largest difference, relative to the largest reference of its input; infinite for another shape."""
    if any(result.shape != reference.shape for result, reference in zip(results, references, strict=True)):
        return np.inf
    return max(np.abs(result - reference).max() / np.abs(reference).max()
               for result, reference in zip(results, references, strict=True))


@pytest.mark.parametrize("name", MISLEADING)
def test_tiles_as_high_as_the_map_change_nothing(name):
    case = MISLEADING[name]
    model, arrays = case.model(), case.arrays()
    blocks = match(graph_of(model))[0]
    assert len(blocks) == {"block": 1, "left out": 0, "unsupported": 0}[case.expected]
    if blocks:
        originals = outputs(model, arrays)
        assert largest_difference(outputs(tile_blocks(model, blocks, WHOLE), arrays), originals) <= case.tolerance


@pytest.mark.parametrize("name", MISLEADING)
def test_what_is_read_right_is_not_lost_to_the_check(name):
    graph = graph_of(MISLEADING[name].model())
    assert differing(graph, match(graph)[0])[1] == {}


@pytest.mark.parametrize("name", [name for name, case in MISLEADING.items() if case.expected == "left out"])
def test_what_must_be_left_out_computes_something_else(name):
    """Else its test would not notice a misreading: it differs from the block with the same weights, clearly."""
    case = MISLEADING[name]
    arrays = case.arrays()
    references = outputs(case.model(), arrays)
    assert all(np.isfinite(reference).all() for reference in references)
    if len(arrays[0].shape) == 4 and case.kind == np.float32:
        net = Net()
        block = whole(net, se(net, "x", Spelling(last=arrays[0].shape[1] != CHANNELS)), arrays[0].shape)
        assert largest_difference(outputs(block, arrays), references) > max(0.05, 3 * case.tolerance)


@pytest.mark.parametrize("name", MISLEADING)
def test_none_is_passed_over_in_silence(name):
    """A block, or a reason."""
    blocks, reasons = match(graph_of(MISLEADING[name].model()))
    assert len(blocks) + len(reasons) == (2 if name == "branches-apart" else 1)
