# SPDX-License-Identifier: Apache-2.0
"""Blocks of quantised networks have the networks' own numbers, and give their integers but for what these round inside.
"""

import dataclasses
import json

import numpy as np
import onnx
import pytest

from tests.helpers import onnx_networks
from tests.helpers.nightly import seldom
from tests.helpers.onnx_quantised import NETWORKS, WAYS, brevitas, four_bits, images, quantised
from tiled_se.gen.block_spec import prepare
from tiled_se.gen.options import BlockOptions
from tiled_se.golden.reference import GATES
from tiled_se.hdl.config import ConfigError, Order, Tiling
from tiled_se.network.calibration.agreement import agreement
from tiled_se.network.calibration.clips import clip_warning, clipped
from tiled_se.network.calibration.own_numbers import differences, own_block, own_options, requantised
from tiled_se.network.commands import block_runs, build
from tiled_se.network.commands.build_tables import code_table
from tiled_se.network.network import find_blocks
from tiled_se.network.read.model import load_model
from tiled_se.network.read.shapes import open_session


def blocks_and_maps(path, x, averaged=False):
    """The blocks of the file, and their maps and integers of the network's run on `x`, as `own_maps` gives them; with
    `averaged` the maps that are averaged, too."""
    graph = load_model(path)
    blocks = find_blocks(graph.model, check=False)
    taps = {key: tensor for block in blocks for key, tensor in (
        (block.name, block.x), ((block.name,), block.numbers.y_codes),
        *([((block.name, "mean"), block.mean.map)] if averaged else []))}
    session = open_session(graph.model, taps.values(), threads=1, optimise=False)
    runs = [session.run([*taps.values()], {"x": one[None]}) for one in x]
    arrays = (np.concatenate(arrays).transpose(0, 2, 3, 1) for arrays in zip(*runs, strict=True))
    return blocks, dict(zip(taps, map(np.ascontiguousarray, arrays), strict=True))


def options_of(block, loadable=False, **more):
    return BlockOptions(**own_options(block, more), loadable=loadable)


@pytest.mark.parametrize(("name", "way", "operators"), seldom(
    [*((name, way, False) for name in NETWORKS for way in WAYS), (NETWORKS[0], "u8", True),
     (NETWORKS[0], "s8-channel", True)],
    *((name, way, False) for name, way in zip(2 * NETWORKS, WAYS, strict=True)), (NETWORKS[0], "s8-channel", True)))
def test_networks_of_onnxruntime(tmp_path, name, way, operators):
    """All outputs are within a step of the float block; almost all are the network's with its own roundings."""
    # Some maps of the second ones are beyond the ranges that the network was calibrated with.
    x = np.concatenate([images(2, seed=5), images(2, seed=11) * np.float32(1.5)])
    blocks, maps = blocks_and_maps(quantised(name, way, str(tmp_path), operators), x, averaged=operators)
    shares, moved = [], []
    for block in blocks:
        assert requantised(block) == {}
        found = differences(block, options_of(block), maps)
        assert found["elements"] == maps[block.name].size
        loaded = differences(block, options_of(block, loadable=True), maps)
        for error in (found["float"], loaded["float"]):
            assert error["max"] <= error["bound"] <= 1
        # See `test_float32_sums_decide_the_rest` on 16 bits.
        assert found["rounded"]["equal_share"] >= (0.99 if way == "u16" else 0.9999)
        assert found["rounded"]["stages"][:2] == ["mean", "hidden"]
        shares.append(found["equal_share"])
        if shares[-1] < 0.99:
            assert found["share_of_clips"] + found["share_of_roundings"] > 0.8
        # Without clips, what is left are roundings.
        assert found["clipped"]["max"] <= 3
        moved.append(found["clipped"]["moved"])
        assert abs(found["max"] - moved[-1]) <= 3
    assert max(moved) > (100 if way == "u16" else 0)
    # Coarse roundings of the network are worth telling.
    assert min(shares) < 0.99


@pytest.mark.parametrize("way", ["u8", "u16"])
@pytest.mark.parametrize("name", NETWORKS)
def test_float32_sums_decide_the_rest(tmp_path, name, way):
    """Each stage is imitated exactly, but for the float32 arithmetic of the network's operators.

    Of the network's numbers the imitated rounding makes its integers, all of them. And from its integers of the stage
    before, the numbers are the network's within the error of float32 sums. With 16 bits that turns a rounding in over
    a thousand, which many outputs of a block may show.
    """
    graph = load_model(quantised(name, way, str(tmp_path)))
    blocks, nodes = find_blocks(graph.model, check=False), list(graph.model.graph.node)
    makers = {output: number for number, node in enumerate(nodes) for output in node.output}
    quantisers = {block.name: [node for node in nodes[makers[block.x]:makers[block.numbers.y_codes]]
                               if node.op_type == "QuantizeLinear"] for block in blocks}
    taps = [block.x for block in blocks]
    taps += [tap for own in quantisers.values() for node in own for tap in (node.input[0], node.output[0])]
    session, turned, count = open_session(graph.model, taps, threads=1, optimise=False), 0, 0
    for image in images(3, seed=22):
        tensors = dict(zip(taps, session.run(taps, {"x": image[None]}), strict=True))
        for block in blocks:
            x = tensors[block.x][0].astype(np.float64).reshape(block.channels, -1)
            exact, sizes = x.mean(axis=1), x.shape[1] * abs(x).mean(axis=1)
            form = own_block(block)
            for stage, node in zip(("mean", "hidden", "logits", "gates"), quantisers[block.name], strict=True):
                real, codes = (tensors[tap].reshape(-1) for tap in (node.input[0], node.output[0]))
                (rounding,) = block.ranges.roundings[stage]
                np.testing.assert_array_equal(rounding.integers(real), codes)
                # The quantiser may be the relu.
                assert (abs((np.maximum(real, 0) if stage == "hidden" else real) - exact) <= 2.0**-24 * sizes).all()
                off = abs(rounding.integers(exact) - codes)
                assert off.max() <= 1
                turned, count = turned + off.sum(), count + off.size
                before = rounding(real)
                if stage == "logits":
                    exact, sizes = GATES[form.gate.kind](before) if form.gate.table else np.clip(
                        form.gate.slope * before + form.gate.offset, 0, 1), 8
                elif stage != "gates":
                    w, b = (form.w1, form.b1) if stage == "mean" else (form.w2, form.b2)
                    exact, sizes = w @ before + b, (len(before) + 2) * (abs(w) @ abs(before) + abs(b))
                    exact = np.maximum(exact, 0) if stage == "mean" else exact
    assert turned / count < 1e-3 if way == "u16" else turned == 0


@pytest.mark.parametrize(("weight_zero", "weights"), [(128, False), (150, True)])
def test_weights_are_no_roundings(tmp_path, weight_zero, weights):
    """A share of their own is that of weights that are quantised anew, beside which 16 bits round next to nothing."""
    path = brevitas(str(tmp_path / "net.onnx"), bits=16, inside=16, weight_bits=8, weight_zero=weight_zero,
                    ends=(3, 20, 1))
    (block,), maps = blocks_and_maps(path, images(4, seed=5, size=16))
    assert bool(requantised(block)) == weights
    found = differences(block, options_of(block), maps)
    shares = [found[f"share_of_{name}"] for name in ("clips", "roundings", "weights")]
    assert shares[0] == 0
    assert shares[2] > 0.9 if weights else shares[2] == 0 < shares[1]
    row = {"name": "a", "codes": found, "requantised": requantised(block)}
    titles, line = code_table([row])
    assert ("of weights" in titles) == weights
    assert line.count("%") == 5 + weights
    assert not weights or f"{100 * shares[2]:.1f} %" in line


def test_what_is_rounded_matters(tmp_path):
    """The figures see whether a stage is rounded, and a change of the weights' integers."""
    (block,), maps = blocks_and_maps(brevitas(str(tmp_path / "net.onnx"), inside=4), images(4, seed=5, size=16))
    found = differences(block, options_of(block), maps)
    assert (found["rounded"]["equal_share"], found["share_of_roundings"]) == (1, 1)
    assert found["equal_share"] < 0.95
    assert found["equal"] == round(found["equal_share"] * found["elements"])
    assert 0 < found["mean"] < found["max"] <= 15
    fewer = dataclasses.replace(block.ranges, roundings={
        stage: items for stage, items in block.ranges.roundings.items() if stage != "gates"})
    left = differences(dataclasses.replace(block, ranges=fewer), options_of(block), maps)
    assert left["rounded"]["equal_share"] < 0.99
    assert left["share_of_roundings"] < 1
    other = dataclasses.replace(block.float_block, w2=-block.float_block.w2)
    turned = differences(dataclasses.replace(block, float_block=other), options_of(block), maps)
    assert turned["equal_share"] < found["equal_share"]


@pytest.mark.parametrize("bits", [8, 12, 16])
@pytest.mark.parametrize(("ends", "stages"), [
    ((0.4, 4, 1), ["mean"]), ((3, 0.5, 1), ["hidden"]), ((3, 4, 0.7), ["gates"]), ((0.4, 0.4, 0.6), [
        "mean", "hidden", "gates"]), ((3, 4, 1), [])], ids=str)
def test_clips_are_no_roundings(tmp_path, bits, ends, stages):
    """Shares are those of numpy: of the numbers that a range clips, and of what clips and roundings explain."""
    (block,), maps = blocks_and_maps(
        brevitas(str(tmp_path / "net.onnx"), bits=bits, inside=bits, weight_bits=8, ends=ends), images(
            4, seed=5, size=16))
    found = differences(block, options_of(block), maps)
    form, x, shares = block.float_block, maps[block.name].astype(float), {}

    def plain(stage, numbers, end):
        return numbers

    def cut(stage, numbers, end):
        beyond = (numbers > end + end / (2**bits - 1) / 2).mean()
        shares.update({stage: beyond} if beyond else {})
        return np.minimum(numbers, end)

    def rounded(stage, numbers, end):
        step = end / (2**bits - 1)
        return np.rint(np.minimum(numbers, end) / step) * step

    def gates(made):
        means = made("mean", x.mean(axis=(1, 2)), ends[0])
        hidden = made("hidden", np.maximum(means @ form.w1.T + form.b1, 0), ends[1])
        return made("gates", 1 / (1 + np.exp(-hidden @ form.w2.T - form.b2)), ends[2])

    codes = [np.rint(np.minimum(x * gates(made)[:, None, None] / block.numbers.y.scale, 2**bits - 1))
             for made in (cut, plain, rounded)]
    assert found["clipped"]["stages"] == pytest.approx(shares)
    assert list(shares) == stages
    of_clips, of_none, of_both = (abs(one - maps[block.name,]).mean() / found["mean"] for one in codes)
    assert found["share_of_clips"] == pytest.approx(of_none - of_clips, abs=0.01)
    assert found["share_of_clips"] + found["share_of_roundings"] == pytest.approx(1 - of_both, abs=0.01)
    # Products just between two integers may go either way.
    assert abs(found["clipped"]["moved"] - abs(codes[1] - codes[0]).max()) <= 1
    assert found["rounded"]["equal_share"] >= 0.999
    line = clip_warning("a", found["clipped"])
    if not stages:
        assert (found["clipped"]["moved"], found["share_of_clips"], line) == (0, 0, [])
        assert found["share_of_roundings"] > 0.8
        return
    # A step of 16 bits is so small that next to all is due to the clips.
    assert found["share_of_clips"] > (0.999 if bits == 16 else 0.95)
    assert found["share_of_clips"] + found["share_of_roundings"] <= 1
    assert abs(found["max"] - found["clipped"]["moved"]) <= 2
    assert found["clipped"]["max"] <= 2
    assert len(line) == 1


def test_warning_of_clips():
    """It names every stage; a step or less is no reason for one."""
    stages = {"mean": 0.25, "sums": 0.002, "gates": 1.0}
    assert clip_warning("s/b", {"stages": stages, "moved": 4217}) == [
        "s/b: the network's quantisers clip 25 % of the mean, 0.2 % of the sums of the first layer and 100 % of the "
        "gates, and the hardware clips none of them: its outputs are up to 4,217 steps from the network's, and nearer "
        "to the float network's"]
    assert "clip 25 % of the mean, and the hardware" in clip_warning("a", {"stages": {"mean": 0.25}, "moved": 2})[0]
    assert clip_warning("a", {"stages": stages, "moved": 1}) == []


@pytest.mark.parametrize("tiling", [Tiling(k=3), Tiling(k=4, tile_width=4), Tiling(k=2, order=Order.COLUMNS)], ids=str)
def test_clips_of_tiles(tmp_path, tiling):
    """Each tile's mean counts."""
    (block,), maps = blocks_and_maps(brevitas(str(tmp_path / "net.onnx"), inside=8, ends=(0.4, 4, 1)),
                                     images(2, seed=5, size=16))
    x = maps[block.name].astype(float)
    if tiling.order is Order.COLUMNS:
        x = x.swapaxes(1, 2)
    wide = tiling.tile_width or 16
    means = np.array([one[top:top + tiling.k, left:left + wide].mean(axis=(0, 1)) for one in x
                      for top in range(0, 16, tiling.k) for left in range(0, 16, wide)])
    found = clipped(block, maps[block.name], tiling, block.numbers.y)
    assert found["stages"] == {"mean": pytest.approx((means > 0.4 * (1 + 0.5 / 255)).mean())}
    assert found["moved"] > 1


def block_of(tmp_path, **arguments):
    (block,) = find_blocks(load_model(brevitas(str(tmp_path / "net.onnx"), **arguments)).model)
    return block


def test_options(tmp_path):
    """Those of the network; options that say the same are no contradiction."""
    block = block_of(tmp_path, bits=4, weight_bits=3)
    own = {"dtype": "uint4", "y_dtype": "uint4", "weight_bits": 3}
    assert own_options(block, {}) == own
    agreeing = {"y_scale": round(block.numbers.y.scale, 9), "y_zero_point": 0, "dtype": "uint4", "y_dtype": None}
    assert own_options(block, agreeing) == own
    assert own_options(block, {"weight_bits": 8}) == own | {"weight_bits": 8}
    held = own_block(block)
    for weight, step in ((held.w1, held.w1_step), (held.w2, held.w2_step)):
        integers = weight / step[:, None]
        np.testing.assert_allclose(integers, np.rint(integers), atol=1e-5)
        assert abs(integers).max() <= 3.001


@pytest.mark.parametrize(("option", "value", "message"), [
    ("dtype", "uint8", "dtype=uint8: must be uint4, as the network has it for block node_mul_15"),
    ("y_dtype", "int4", "y_dtype=int4: must be uint4, as the network has it for block node_mul_15"),
    ("y_scale", 0.5, "y_scale=0.5: must be 0.13333334028720856, as the network has it for block node_mul_15"),
    ("y_scale", "auto", "y_scale=auto: must be 0.13333334028720856, as the network has it for block node_mul_15"),
    ("y_zero_point", 3, "y_zero_point=3: must be 0, as the network has it for block node_mul_15"),
    ("weight_bits", 3, "weight_bits=3: must be at least 4, as the network has them for block node_mul_15")])
def test_options_that_contradict_the_network(tmp_path, option, value, message):
    with pytest.raises(ConfigError) as caught:
        own_options(block_of(tmp_path), {option: value})
    assert str(caught.value) == message


def test_weights_of_more_bits_get_steps_of_the_quantiser(tmp_path):
    """Those of another layer keep theirs."""
    block = block_of(tmp_path)
    first, second = block.numbers.layers
    wide = dataclasses.replace(first, integers=first.integers * 40)
    changed = dataclasses.replace(block, numbers=dataclasses.replace(block.numbers, layers=(wide, second)))
    assert own_block(changed).w1_step is None
    np.testing.assert_array_equal(own_block(changed).w2_step, second.steps)
    assert own_options(changed, {})["weight_bits"] == 8
    low, high = int(wide.integers.min()), int(wide.integers.max())
    assert requantised(changed) == {"w1": f"{low} to {high} take 10 bits, and 8 are the most"}


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("loadable", [False, True], ids=["baked", "loadable"])
def test_weights_of_all_integers_are_kept(tmp_path, bits, loadable):
    """Those of a zero point in the middle are from -2**(bits - 1) on, and the block has them all."""
    path = brevitas(str(tmp_path / "net.onnx"), weight_bits=bits, weight_zero=2 ** (bits - 1))
    (block,), maps = blocks_and_maps(path, images(3, seed=5, size=16))
    assert [stored.bits for stored in block.numbers.layers] == [bits, bits]
    assert [str(stored.type) for stored in block.numbers.layers] == [f"uint{bits}"] * 2
    assert [stored.ends[0] for stored in block.numbers.layers] == [-(2 ** (bits - 1))] * 2
    assert requantised(block) == {}
    assert own_options(block, {})["weight_bits"] == bits
    found = differences(block, options_of(block, loadable=loadable), maps)
    assert found["float"]["max"] <= found["float"]["bound"] <= 1
    assert found["rounded"]["equal_share"] == 1


@pytest.mark.parametrize("dead", [(1,), range(3), range(6)], ids=["a row", "all of one layer", "both layers"])
@pytest.mark.parametrize("loadable", [False, True], ids=["baked", "loadable"])
def test_rows_of_zeros(tmp_path, dead, loadable):
    """Pruned or dead channels are quantised and measured like others, without a warning."""
    path = brevitas(str(tmp_path / "net.onnx"), dead=dead)
    (block,), maps = blocks_and_maps(path, images(3, seed=5, size=16))
    for weight, stored in zip((block.float_block.w1, block.float_block.w2), block.numbers.layers, strict=True):
        assert not weight[[row for row in dead if row < len(weight)]].any()
        np.testing.assert_allclose(stored.integers * stored.steps[:, None], weight, rtol=1e-6)
    assert requantised(block) == {}
    found = differences(block, options_of(block, loadable=loadable), maps)
    assert found["float"]["max"] <= found["float"]["bound"] <= 1
    assert found["rounded"]["equal_share"] == 1
    measured = agreement(block, 4, maps[block.name], block.numbers.x, 4)
    assert abs(measured.quantised_gates - measured.gates).max() < 2**-5


def test_weights_with_another_zero_point(tiled_se, tmp_path, monkeypatch):
    """They are kept if 8 bits hold them without it; else `build` says that they are not."""
    (block,) = find_blocks(load_model(brevitas(str(tmp_path / "few.onnx"), weight_bits=6, weight_zero=50)).model)
    assert ([stored.bits for stored in block.numbers.layers], requantised(block)) == ([7, 7], {})
    monkeypatch.setattr(block_runs, "Campaign", Unbuilt)
    path = brevitas(str(tmp_path / "net.onnx"), weight_bits=8, weight_zero=150)
    (tmp_path / "images").mkdir()
    np.save(tmp_path / "images" / "x.npy", images(1, size=16))
    finished = tiled_se("build", path, "--calibration", str(tmp_path / "images"), "-o", "rtl")
    (row,) = json.loads((tmp_path / "rtl" / build.REPORT).read_text())["blocks"]
    (block,) = find_blocks(load_model(path).model)
    high = [stored.ends[1] for stored in block.numbers.layers]
    assert row["requantised"] == {name: f"-150 to {end} take 9 bits, and 8 are the most"
                                  for name, end in zip(("w1", "w2"), high, strict=True)}
    assert (f"{block.name}: weights are quantised anew: w1, as -150 to {high[0]} take 9 bits, and 8 are the most; w2, "
            f"as -150 to {high[1]} take 9 bits, and 8 are the most") in finished.out.splitlines()
    assert row["codes"]["float"]["bound"] is None
    float_weights = dataclasses.replace(block, numbers=dataclasses.replace(block.numbers, layers=(
        None, block.numbers.layers[1])))
    assert requantised(float_weights)["w1"] == "the network does not have them as integers times a step for each output"


class Unbuilt:
    """A campaign that builds no block."""

    def __init__(self, tasks):
        self.tasks = tasks
        self.failures, self.results = dict.fromkeys(tasks, "not built"), {}
        Unbuilt.last = self

    def run(self, *_, **__):
        """Nothing."""


def test_build(tiled_se, tmp_path, monkeypatch):
    """Its files have the network's integers; its report and its table have the differences."""
    monkeypatch.setattr(block_runs, "Campaign", Unbuilt)
    path, x = brevitas(str(tmp_path / "net.onnx")), images(3, seed=5, size=16)
    (tmp_path / "images").mkdir()
    np.save(tmp_path / "images" / "x.npy", x)
    finished = tiled_se("build", path, "--calibration", str(tmp_path / "images"), "--k", 16, "-o", "rtl")
    assert finished.status == 1
    (block,), maps = blocks_and_maps(path, x)
    (folder,) = [found.parent for found in tmp_path.glob(f"rtl/*/{block_runs.INPUT}")]
    stored = np.load(folder / block_runs.INPUT)
    # One tile of the whole map: what reaches the block is the same with tiles and without.
    np.testing.assert_array_equal(stored["x_q"], np.rint(maps[block.name][:2] / block.numbers.x.scale))
    assert (stored["x_bits"], stored["x_scale"], stored["x_zero_point"]) == (4, block.numbers.x.scale, 0)
    (task,) = Unbuilt.last.tasks.values()
    spec = prepare(task)
    assert (str(spec.config.data), str(spec.config.outputs), spec.config.weight_bits) == ("uint4", "uint4", 4)
    assert spec.quantised.y_scale == pytest.approx(block.numbers.y.scale, rel=1e-9)
    for layer, own in zip((spec.quantised.parameters.layer1, spec.quantised.parameters.layer2), block.numbers.layers,
                          strict=True):
        np.testing.assert_array_equal(layer.weight, own.integers)
    (row,) = json.loads((tmp_path / "rtl" / build.REPORT).read_text())["blocks"]
    expected = differences(block, task, maps)
    assert row["codes"] == expected
    assert row["formats"]["w1"]["dtype"] == "int4"
    line = next(line for line in finished.out.splitlines() if "%" in line and line.startswith(block.name))
    assert line.split()[1:] == [f"{expected['elements']:,}", f"{100 * expected['equal_share']:.2f}", "%", "1",
                                f"{expected['mean']:.4f}", f"{100 * expected['clipped']['equal_share']:.2f}", "%",
                                "100.00", "%", "0.0", "%", "100.0", "%", f"{expected['float']['max']:.3f}"]
    assert row["requantised"] == {}
    assert "quantised anew" not in finished.out
    assert finished.err == ""


@pytest.mark.parametrize("signed", [False, True], ids=["uint4", "int4"])
def test_build_with_types_of_4_bits(tiled_se, tmp_path, monkeypatch, signed):
    """onnxruntime gives no tensors of these types to Python; the differences are from the network's integers."""
    monkeypatch.setattr(block_runs, "Campaign", Unbuilt)
    path, x = four_bits(str(tmp_path / "net.onnx"), signed), images(3, seed=5, size=16)
    (tmp_path / "images").mkdir()
    np.save(tmp_path / "images" / "x.npy", x)
    finished = tiled_se("build", path, "--calibration", str(tmp_path / "images"), "--k", 16, "-o", "rtl")
    assert finished.status == 1, finished.err
    (row,) = json.loads((tmp_path / "rtl" / build.REPORT).read_text())["blocks"]
    (block,), (task,) = find_blocks(load_model(path).model), Unbuilt.last.tasks.values()
    spec, y, kind = prepare(task), block.numbers.y, "int4" if signed else "uint4"
    assert (str(spec.config.data), str(spec.config.outputs)) == (kind, kind)
    assert (block.numbers.x.zero_point, y.zero_point) == ((-3, -3) if signed else (5, 5))
    # The network's integers, from what it makes of them.
    (read,) = [node.output[0] for node in load_model(path).nodes if node.op_type == "DequantizeLinear"
               and node.input[0] == block.numbers.y_codes]
    taps = [block.x, read]
    runs = [open_session(load_model(path).model, taps, 1, optimise=False).run(taps, {"x": one[None]}) for one in x]
    maps, own = (np.concatenate(arrays).transpose(0, 2, 3, 1) for arrays in zip(*runs, strict=True))
    codes = np.rint(own.astype(float) / y.scale + y.zero_point).astype(int)
    assert {codes.min(), codes.max()} == {y.data.low, y.data.high}
    assert row["codes"] == differences(block, task, {block.name: np.ascontiguousarray(maps), (block.name,): codes})
    assert row["codes"]["rounded"]["equal_share"] == 1
    assert row["codes"]["equal_share"] > 0.9


def test_build_where_the_map_is_averaged_before_it_is_rounded(tiled_se, tmp_path, monkeypatch):
    """The network's integers are those of its own mean. The block has that of the rounded map: its roundings are told.
    """
    monkeypatch.setattr(block_runs, "Campaign", Unbuilt)
    path, x = brevitas(str(tmp_path / "net.onnx"), 8, 8, ends=(3, 4, 1), mean_of_float=True), images(3, seed=5, size=16)
    (tmp_path / "images").mkdir()
    np.save(tmp_path / "images" / "x.npy", x)
    tiled_se("build", path, "--calibration", str(tmp_path / "images"), "--k", 4, "-o", "rtl")
    (row,) = json.loads((tmp_path / "rtl" / build.REPORT).read_text())["blocks"]
    (block,), maps = blocks_and_maps(path, x, averaged=True)
    assert abs(maps[block.name].mean(axis=(1, 2)) - maps[block.name, "mean"].mean(axis=(1, 2))).max() > 0.005
    assert row["codes"] == differences(block, options_of(block), maps)
    assert row["codes"]["rounded"]["equal_share"] == 1
    assert (row["codes"]["share_of_clips"], row["codes"]["share_of_roundings"]) == (0, 1)
    del maps[block.name, "mean"]
    without = differences(block, options_of(block), maps)
    assert without["rounded"]["equal_share"] < 1
    assert without["clipped"] == row["codes"]["clipped"]


def test_build_warns_of_clips(tiled_se, tmp_path, monkeypatch):
    """A line on standard error, whatever becomes of the RTL."""
    monkeypatch.setattr(block_runs, "Campaign", Unbuilt)
    path = brevitas(str(tmp_path / "net.onnx"), bits=8, inside=8, ends=(3, 0.5, 1))
    (tmp_path / "images").mkdir()
    np.save(tmp_path / "images" / "x.npy", images(3, seed=5, size=16))
    finished = tiled_se("build", path, "--calibration", str(tmp_path / "images"), "--k", 4, "-o", "rtl")
    (row,) = json.loads((tmp_path / "rtl" / build.REPORT).read_text())["blocks"]
    (text,) = clip_warning(row["name"], row["codes"]["clipped"])
    assert finished.err == f"tiled-se: warning: {text}\n"


def test_build_refuses_what_contradicts_the_network(tiled_se, tmp_path):
    path = brevitas(str(tmp_path / "net.onnx"))
    (tmp_path / "images").mkdir()
    np.save(tmp_path / "images" / "x.npy", images(1, size=16))
    tiled_se.refuses("DTYPE=int8 (--dtype): must be uint4, as the network has it for block node_mul_15", "build", path,
                     "--calibration", str(tmp_path / "images"), "--dtype", "int8", "-o", "rtl")


def test_a_block_that_cannot_be_quantised(tiled_se, tmp_path, monkeypatch):
    """With one tile of the whole map, unlike with the tiles that it has: the report says so."""
    monkeypatch.setattr(block_runs, "Campaign", Unbuilt)
    path = brevitas(str(tmp_path / "net.onnx"), bits=16, inside=16, weight_bits=8)
    (tmp_path / "images").mkdir()
    np.save(tmp_path / "images" / "x.npy", images(1, size=16))
    finished = tiled_se("build", path, "--calibration", str(tmp_path / "images"), "--k", 1,
                        "--operand-bits", 20, "-o", "rtl")
    (row,) = json.loads((tmp_path / "rtl" / build.REPORT).read_text())["blocks"]
    assert row["codes"]["failure"].startswith("OPERAND_BITS=20 (--operand-bits): must be at least")
    assert f"FAILED: {row['codes']['failure'][:30]}" in finished.out


def test_plain_networks_have_no_such_figures(tiled_se, tmp_path, monkeypatch):
    monkeypatch.setattr(block_runs, "Campaign", Unbuilt)
    onnx.save(onnx_networks.network(), tmp_path / "net.onnx")
    (tmp_path / "images").mkdir()
    np.save(tmp_path / "images" / "x.npy", np.random.default_rng(1).normal(size=onnx_networks.SHAPE).astype(np.float32))
    finished = tiled_se("build", str(tmp_path / "net.onnx"), "--calibration", str(tmp_path / "images"), "-o", "rtl")
    blocks = json.loads((tmp_path / "rtl" / build.REPORT).read_text())["blocks"]
    assert [(row["codes"], row["formats"], row["requantised"]) for row in blocks] == [(None, None, {})]
    assert "integers" not in finished.out
