# SPDX-License-Identifier: Apache-2.0
"""K and the tiling for each block: how they are given, what is refused, and what `swap` and `build` make of them."""

import json
import types

import numpy as np
import onnx
import pytest

from tests.helpers.onnx_images import HEIGHT, WIDTH, network_and_images
from tests.helpers.onnx_networks import CHANNELS
from tests.helpers.onnx_runs import run
from tests.unit.network.test_build import Unbuilt
from tiled_se.golden.reference import descriptors, excite
from tiled_se.hdl.config import Context, Order, Tiling
from tiled_se.network.calibration.feature_maps import with_priors
from tiled_se.network.calibration.images import find_images
from tiled_se.network.commands import block_runs
from tiled_se.network.commands.options import BuildOptions, ImageOptions, SwapOptions
from tiled_se.network.network import open_network
from tiled_se.network.plan import BlockRows, Plan, block_rows, entry

SIZE = f"3x{HEIGHT}x{WIDTH}"
TILINGS = (Tiling(k=3), Tiling(k=1, tile_width=4, order=Order.COLUMNS),
           Tiling(k=2, context=Context.CUMULATIVE, prior_rows=0, max_rows=9),
           Tiling(k=2, context=Context.CUMULATIVE, prior_rows=1), Tiling(k=1, context=Context.CAUSAL, prior_rows=2),
           Tiling(k=7, context=Context.WINDOW, window=(2, 5)))


@pytest.fixture
def files(tmp_path):
    """Paths of a network of two blocks and of images, and the names of its blocks."""
    path, images = network_and_images(tmp_path)
    return path, images, [block.name for block in open_network(path).blocks]


def blocks(*names):
    return [types.SimpleNamespace(name=name) for name in names]


def plan(blocks, **more):
    with open("plan.json", "w", encoding="utf-8") as file:
        json.dump({"version": 1, "blocks": blocks} | more, file)


def scaled(tiling, x, form):
    """One map (H, W, C) with its gates, in float64."""
    means, tiles = descriptors(x, form.prior, tiling)
    return x * (excite(means, form.w1, form.b1, form.w2, form.b2, form.mid, form.gate)[1][tiles] + form.residual)


def rows(text, *names):
    chosen = Plan.of(BuildOptions(k=block_rows(text))).choices(blocks(*names))
    return [tiling.k for tiling in chosen.tilings(blocks(*names)).values()]


def test_rows_by_name():
    assert rows("5", "a", "b") == [5, 5]
    assert rows("b=2", "a", "b") == [7, 2]
    assert rows("3,/se/1=4,a==65536", "a=", "b", "/se/1") == [65536, 3, 4]
    assert (str(block_rows("3,a=2")), block_rows("5"), block_rows("p.json")) == ("3,a=2", 5, BlockRows(plan="p.json"))


@pytest.mark.parametrize("text", ["0", "a=0", "a", "a=", "=3", "7,", "3,4", "a=3,4", "65537", "a= 3", ","])
def test_other_rows_are_refused(tiled_se, text):
    tiled_se.refuses(f"K={text} (--k): must be an integer from 1 to 65536, with NAME=ROWS for some blocks after a "
                     "comma, NAME=ROWS,NAME=ROWS, or a plan.json", "swap", "net.onnx", "--k", text)


def test_rows_of_no_block(tiled_se, files):
    """Also where it is a block that is skipped, that is one of the network's."""
    path, _, (one, two) = files
    names = f"must have a block's name; there are {one}, {two}"
    tiled_se.refuses(f"K=se=3 (--k): {names}", "swap", path, "--k", f"2,{one}=1,se=3")
    tiled_se.refuses("K=a=3,a=4 (--k): names a twice", "swap", path, "--k", "a=3,a=4")
    assert "1 blocks tiled" in tiled_se.passes("swap", path, "--k", f"{one}=1", "--skip", one, "-o", "o.onnx").out


@pytest.mark.parametrize("tiling", TILINGS, ids=lambda tiling: tiling.context.value)
@pytest.mark.parametrize("prior", [False, True])
def test_an_entry_gives_its_tiling_again(tiled_se, tiling, prior):
    plan({"a": entry(tiling)})
    options = BuildOptions(k=9, plan="plan.json", context=Context.CAUSAL)
    assert Plan.of(options).choices(blocks("a")).tilings(blocks("a"), prior) == {"a": tiling}


def test_an_entry_gives_its_outputs_again(tiled_se):
    """To the last bit of the scale."""
    outputs = {"y_dtype": "uint5", "y_scale": 1 / 3e7, "y_zero_point": 31}
    plan({"a": entry(TILINGS[0], outputs)})
    values = Plan.of(BuildOptions(plan="plan.json")).choices(blocks("a")).values["a"]
    assert {name: values[name] for name in outputs} == outputs
    assert "y_scale" not in entry(TILINGS[0])


def test_a_plan_beside_other_options(tiled_se):
    """Blocks that it lacks have what these say; those that it has have nothing of them but the K in their own name."""
    plan({"a": {"K": 2}, "b": {"K": "4", "CONTEXT": "cumulative", "MAX_ROWS": None, "WINDOW": None}}, about=[1, {}])
    names = blocks("a", "b", "c", "d")
    for k, path in ((block_rows("3,b=5,c=6"), "plan.json"), (block_rows("plan.json"), None)):
        by_name = path is not None
        chosen = Plan.of(SwapOptions(k=k, plan=path, context=Context.CAUSAL, prior_rows=3)).choices(names)
        assert list(chosen.tilings(names, prior=True).values()) == [
            Tiling(k=2), Tiling(k=5 if by_name else 4, context=Context.CUMULATIVE, prior_rows=1),
            *(Tiling(k=k, context=Context.CAUSAL, prior_rows=3) for k in ((6, 3) if by_name else (7, 7)))]
        assert chosen.notes == ["not in the plan, and so as the options say: c, d"]
    assert Plan.of(SwapOptions(plan="plan.json")).choices(names[:2]).notes == []


HOLDS = 'must hold {"version": 1, "blocks": {NAME: {"K": 3, "CONTEXT": "tile", ...}, ...}}, and perhaps "about"'
KEYS = "K, CONTEXT, TILE_W, PRIOR, MAX_ROWS, WINDOW, ORDER"


@pytest.mark.parametrize(("text", "why"), [
    ("[]", HOLDS), ("{}", HOLDS), ('{"version": 1, "blocks": []}', HOLDS), ("", "is no JSON: Expecting value"),
    ('{"version": 2, "blocks": {}}', "has version 2; must be 1"),
    ('{"version": true, "blocks": {}}', "has version true; must be 1"), ('{"blocks": {}}', "has version null; must be"),
    ('{"version": 1, "blocks": {}, "k": 3}', f"has k, which is unknown; {HOLDS}"),
    ('{"version": 1, "blocks": {"a": {}, "a": {}}}', "has a twice in one object"),
    ('{"version": 1, "blocks": {"a": {"K": 1, "K": 1}}}', "has K twice in one object"),
    ('{"version": 1, "blocks": {"a": {"K": NaN}}}', "is no JSON: NaN is no number"),
    ('{"version": 1, "blocks": {"a": 3}}', f"blocks.a is no object; {HOLDS}"),
    ('{"version": 1, "blocks": {"a": {"k": 3}}}', f"blocks.a.k is unknown; must be {KEYS}"),
    ('{"version": 1, "blocks": {"a": {"W": 3}}}', "blocks.a.W is unknown; must be "),
    ('{"version": 1, "blocks": {"a": {"K": 0}}}', "blocks.a.K is 0; must be an integer from 1 to 65536"),
    ('{"version": 1, "blocks": {"a": {"K": 1.5}}}', "blocks.a.K is 1.5; must be an integer from 1 to 65536"),
    ('{"version": 1, "blocks": {"a": {"K": true}}}', "blocks.a.K is true; must be a number or a text"),
    ('{"version": 1, "blocks": {"a": {"K": [1]}}}', "blocks.a.K is [1]; must be a number or a text"),
    ('{"version": 1, "blocks": {"a": {"CONTEXT": "all"}}}', 'blocks.a.CONTEXT is "all"; must be tile, cumulative, '),
    ('{"version": 1, "blocks": {"a": {"WINDOW": "3"}}}', 'blocks.a.WINDOW is "3"; must be FIRST:COUNT'),
    ('{"version": 1, "blocks": {"a": {"CONTEXT": "causal", "PRIOR": 0}}}',
     "blocks.a: PRIOR=0 (--prior-rows): must be at least 1 for context=causal"),
    ('{"version": 1, "blocks": {"a": {"CONTEXT": "window"}}}', "blocks.a: WINDOW= (--window): is needed for "),
    ('{"version": 1, "blocks": {"a": {"CONTEXT": "causal", "TILE_W": 3}}}', "blocks.a: TILE_W=3 (--tile-width): "),
    ('{"version": 1, "blocks": {"a": {"Y_DTYPE": "int1"}}}', 'blocks.a.Y_DTYPE is "int1"; must be '),
    ('{"version": 1, "blocks": {"a": {"Y_SCALE": -1}}}', "blocks.a.Y_SCALE is -1; must be "),
    ("[" * 100_000, "is nested too deeply for a plan"), ('{"version": 1' + "0" * 5000 + "}", "is no JSON: "),
    ('{"version": 1, "blocks": {"a": {"K": ' + "1" * 4000 + "}}}", "blocks.a.K is 111"),
    ("\udcff", "is no UTF-8")], ids=lambda text: text[:60])
def test_wrong_plans(tiled_se, tmp_path, text, why):
    """Before the network is read, which may take long."""
    (tmp_path / "plan.json").write_text(text, errors="surrogateescape")
    for name, variable in (("plan", "PLAN"), ("k", "K")):
        tiled_se.refuses_as(f"{variable}=plan.json (--{name}): {why}", "swap", "net.onnx", f"--{name}", "plan.json")


def test_plans_that_are_not_there(tiled_se):
    tiled_se.refuses_as("PLAN=p.json (--plan): ", "build", "net.onnx", "--plan", "p.json")
    tiled_se.refuses("PLAN=p.json (--plan): must be K's plan or not given; K is q.json", "swap", "net.onnx", "--plan",
                     "p.json", "--k", "q.json")


def test_a_plan_for_other_blocks(tiled_se, files):
    path, images, (one, two) = files
    plan({one: {"K": 2}, "other": {"K": 2}})
    line = f"PLAN=plan.json (--plan): has other, which is no block's name; there are {one}, {two}"
    for command in (("swap",), ("build", "--calibration", images, "--input-shape", SIZE)):
        tiled_se.refuses(line, *command, path, "--plan", "plan.json")


def test_swap(tiled_se, files):
    """Each block has its own tiling: its output is the reference's for its own input, in the swapped network."""
    path, images, (one, two) = files
    plan({two: {"K": 2, "CONTEXT": "cumulative"}})
    finished = tiled_se.passes("swap", path, "--plan", "plan.json", "--k", 3, "--calibration", images, "--input-shape",
                               SIZE)
    assert finished.out.splitlines()[-5:] == [
        f"{one}: tiles of 3 rows of 11",
        f"{two}: cumulative gates for tiles of 2 rows of 11, with 1 row of the prior",
        "the prior of each block is the mean of its maps on 3 images",
        f"not in the plan, and so as the options say: {one}",
        f"wrote {path.removesuffix('.onnx')}_planned.onnx: 2 blocks tiled"]
    model = onnx.load(path.removesuffix(".onnx") + "_planned.onnx")
    network = open_network(path, SIZE)
    first, second = with_priors(network, network.blocks, find_images(ImageOptions(calibration=images), network))
    x = np.random.default_rng(1).normal(size=(1, 3, HEIGHT, WIDTH)).astype(np.float32)
    assert first.y == second.x
    del model.graph.output[:]
    model.graph.output.extend(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)
                              for name in (first.x, first.y, second.y))
    x1, y1, y2 = (map.transpose(0, 2, 3, 1)[0].astype(np.float64) for map in run(model, x))
    np.testing.assert_allclose(y1, scaled(Tiling(k=3), x1, first.float_block), atol=1e-4)
    cumulative = Tiling(k=2, context=Context.CUMULATIVE, prior_rows=1)
    np.testing.assert_allclose(y2, scaled(cumulative, y1, second.float_block), atol=1e-4)


def test_build(tiled_se, files, monkeypatch):
    """The options of each block are its own; only blocks that count rows of a prior have one."""
    path, images, (one, two) = files
    tasks = {}

    class Kept(Unbuilt):
        def __init__(self, given):
            super().__init__(given)
            tasks.update(given)

    monkeypatch.setattr(block_runs, "Campaign", Kept)
    plan({two: {"K": 1, "CONTEXT": "causal", "PRIOR": 2, "Y_DTYPE": "uint4", "Y_SCALE": 0.5, "Y_ZERO_POINT": "3"}})
    assert tiled_se("build", path, "--k", "plan.json", "--calibration", images, "--input-shape", SIZE, "-o",
                    "rtl").status == 1
    found = {name: (task.k, task.context, task.prior_rows) for name, task in tasks.items()}
    assert found == {one: (7, Context.TILE, None), two: (1, Context.CAUSAL, 2)}
    assert [(task.y_dtype, task.y_scale, task.y_zero_point) for task in tasks.values()] == [
        (None, None, None), ("uint4", 0.5, 3)]
    assert ["prior" in np.load(task.weights) for task in tasks.values()] == [False, True]
    with open("rtl/report.json", encoding="utf-8") as file:
        report = json.load(file)
    assert [(block["tiling"]["k"], block["tiling"]["context"], block["tiling"]["prior_rows"], block["tse_elements"])
            for block in report["blocks"]] == [(7, "tile", 0, 7 * 5 * CHANNELS), (1, "causal", 2, 0)]
    assert "context" not in report
