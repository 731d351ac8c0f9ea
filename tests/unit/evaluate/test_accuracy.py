# SPDX-License-Identifier: Apache-2.0
"""`tiled-se evaluate` on small networks: figures that are known, figures computed by hand, and what is refused."""

import csv
import functools
import json
import pathlib
import types

import numpy as np
import onnx
import onnxruntime
import pytest
from PIL import Image

from tests.helpers.onnx_net import Net
from tests.helpers.onnx_networks import CHANNELS, Spelling, se
from tests.helpers.onnx_quantised import brevitas, quantised
from tests.helpers.onnx_quantised import images as quantised_images
from tiled_se.evaluate.accuracy import networks as accuracy_networks
from tiled_se.evaluate.accuracy.data import Data, Sample
from tiled_se.evaluate.integers import hybrid
from tiled_se.evaluate.saturation import saturation_warning
from tiled_se.gen.block_spec import assemble
from tiled_se.gen.data import Input, weights_of
from tiled_se.gen.options import BlockOptions
from tiled_se.golden.block import DataFormat
from tiled_se.golden.integer import IntegerModel
from tiled_se.network.calibration.clips import clip_warning
from tiled_se.network.calibration.images import Images
from tiled_se.network.calibration.own_numbers import own_block, requantised
from tiled_se.network.kept_block import KeptBlock
from tiled_se.network.network import find_blocks, open_network
from tiled_se.network.read.shapes import open_session

HEIGHT, WIDTH = 14, 10
SIZE = f"--input-shape=3x{HEIGHT}x{WIDTH}"
CLASSES = 200
MEAN = """
import numpy as np

def metric(outputs, name, label):
    return float(np.mean(outputs["y"]))
"""


def classifier(path="net.onnx", **about):
    """The model, also in a file."""
    model = network(**about)
    pathlib.Path(path).write_bytes(model.SerializeToString())
    return model


@functools.cache
def network(blocks=1, classes=CLASSES, batch=1):
    """A convolution, `blocks` blocks and a layer, so many classes that some are close to each other."""
    net, rng = Net(13), np.random.default_rng(2)
    x = net("Conv", "x", net.constant(rng.normal(size=(CHANNELS, 3, 3, 3))), pads=[1, 1, 1, 1])
    for block in range(blocks):
        x = se(net, x, Spelling(), seed=block)
    x = net.reshape(net("GlobalAveragePool", net("Abs", x)), -1, CHANNELS)
    session = open_session(net.model({"x": (1, 3, "h", "w")}, {x: None}), threads=1)
    means = np.mean([session.run(None, {"x": image[None]})[0][0] for image in arrays(30)], axis=0)
    # What all images have in common decides nothing.
    layer = rng.normal(size=(CHANNELS, classes))
    layer -= np.outer(means, means @ layer) / (means @ means)
    net("Gemm", x, net.constant(layer), output="y")
    return net.model({"x": (batch, 3, "h", "w")}, {"y": (batch, classes)})


def arrays(count):
    """Maps whose rows differ, so that tiles do."""
    rng = np.random.default_rng(4)
    return rng.normal(size=(count, 3, HEIGHT, WIDTH)).astype("f4") * np.linspace(0.1, 3, HEIGHT, dtype="f4")[:, None]


def labelled(images, labels):
    """DATA of arrays, one in a file, and LABELS."""
    pathlib.Path("data").mkdir()
    for number, image in enumerate(images):
        np.save(f"data/{number}.npy", image)
    pathlib.Path("labels.csv").write_text("file,class\n" + "".join(f"{n}.npy,{label}\n"
                                                                   for n, label in enumerate(labels)))


def networks(metric=0, folder="out"):
    """What evaluate.json has of each network, by network and block."""
    contents = json.loads(pathlib.Path(folder, "evaluate.json").read_text())
    return {(one["network"], one["block"]): one for one in contents["metrics"][metric]["networks"]}


def rows(folder="out"):
    return list(csv.DictReader(pathlib.Path(folder, "evaluate.csv").read_text().splitlines()))


def best(model, images):
    session = open_session(model, threads=1)
    return [int(session.run(["y"], {"x": image[None]})[0].argmax()) for image in images]


def test_labels_that_the_network_itself_gives(tiled_se):
    """SE is always right; so are tiles as high as the maps; integers as often as the golden model by hand."""
    model, images = classifier(), arrays(30)
    truth = best(model, images)
    labelled(images, truth)
    options = ("net.onnx", "--data=data", "--labels=labels.csv", "--metric=top1,top5", SIZE, "--out=out")
    tiled_se.passes("evaluate", *options, f"--k={HEIGHT}", "--limit=30", "--calibrate-by=min-max")
    found, rounds = networks(), rows()
    assert [row["name"] for row in rounds] == [f"{number}.npy" for number in range(30)]
    assert [row["label"] for row in rounds] == list(map(str, truth))
    assert found["se", None]["value"] == 1
    assert found["tiles", None]["value"] == 1
    assert found["tiles", None]["to_se"]["difference"] == 0
    assert found["se", None]["to_se"] is None
    # The network in two parts, and between them the golden model with the format that all maps need.
    (block,) = find_blocks(model)
    head, maps = open_session(model, taps=[block.x], threads=1), []
    maps = [np.moveaxis(head.run([block.x], {"x": image[None]})[0][0], 0, 2) for image in images]
    data_format = DataFormat.calibrate(min(one.min() for one in maps), max(one.max() for one in maps))
    x_q = data_format.quantise(np.stack(maps))
    spec = assemble(BlockOptions(k=HEIGHT), weights_of(block.float_block), Input("", "x_q", x_q[:1], data_format))
    y_q = IntegerModel(spec.config, spec.quantised.parameters).run(x_q).y.numpy()
    y = (y_q - data_format.zero_point) * spec.quantised.y_scale
    tail = np.abs(y).mean((1, 2)) @ onnx.numpy_helper.to_array(next(
        tensor for tensor in model.graph.initializer if tuple(tensor.dims) == (CHANNELS, CLASSES)))
    right = tail.argmax(1) == truth
    assert 3 < right.sum() < 30
    assert [row["top1: integers"] for row in rounds] == ["1" if one else "0" for one in right]
    integers = found["integers", None]
    assert integers["value"] == pytest.approx(right.mean())
    assert integers["to_se"]["difference"] == pytest.approx(right.mean() - 1)
    assert integers["to_se"]["low"] < integers["to_se"]["difference"] < integers["to_se"]["high"] < 0
    assert integers["to_se"] == integers["to_tiles"]
    # The class is among the five best of 200 all the same.
    order = np.argsort(-tail, axis=1)[:, :5]
    assert networks(1)["integers", None]["value"] == pytest.approx(np.mean([
        label in first for label, first in zip(truth, order, strict=True)]))


def test_each_block_alone(tiled_se):
    """A block that is tiled alone changes what it changes; tiles as high as the maps change nothing."""
    classifier(blocks=2)
    labelled(arrays(3), ["a", "b", "c"])
    pathlib.Path("mean.py").write_text(MEAN)
    options = ("net.onnx", "--data=data", "--metric=mean.py", SIZE, "--each", "--out=out")
    tiled_se.passes("evaluate", *options, "--k=3")
    names = [block.name for block in find_blocks(onnx.load("net.onnx"))]
    found = networks()
    assert list(found) == [("se", None), *((form, name) for name in (None, *names) for form in ("tiles", "integers"))]
    for name in names:
        (single,) = (block.name for block in find_blocks(onnx.load("net.onnx")) if block.name != name)
        tiled_se.passes("swap", "net.onnx", "--k=3", f"--skip={single}", "-o", "one.onnx")
        session = open_session(onnx.load("one.onnx"), threads=1)
        expected = np.mean([session.run(["y"], {"x": image[None]})[0].mean() for image in arrays(3)])
        assert found["tiles", name]["value"] == pytest.approx(expected, rel=1e-5)
    changes = [found["tiles", name]["to_se"]["difference"] for name in (None, *names)]
    assert len({round(change, 6) for change in changes}) == 3
    # The same by a K for each block.
    alone = found["tiles", names[1]]["value"]
    tiled_se.passes("evaluate", *options, f"--k={HEIGHT},{names[1]}=3")
    assert networks()["tiles", None]["value"] == pytest.approx(alone, rel=1e-5)
    tiled_se.passes("evaluate", *options, f"--k={HEIGHT}")
    for name in (None, *names):
        assert networks()["tiles", name]["value"] == pytest.approx(networks()["se", None]["value"], abs=1e-5)


@pytest.mark.parametrize("options", [
    ["--k=3"], ["--k=2", "--tile-width=4"], ["--k=1", "--context=cumulative"], ["--k=2", "--context=causal"],
    ["--context=window", "--window=3:4"], ["--k=3", "--order=columns"],
    ["--k=2", "--context=causal", "--order=columns", "--max-rows=5"]], ids=" ".join)
def test_integers_are_those_of_the_context(tiled_se, options):
    """Far nearer to the float form of the same tiling than this is to SE."""
    classifier()
    labelled(arrays(4), [""] * 4)
    pathlib.Path("mean.py").write_text(MEAN)
    tiled_se.passes("evaluate", "net.onnx", "--data=data", "--metric=mean.py", SIZE, "--out=out", *options)
    found = networks()
    assert abs(found["integers", None]["to_tiles"]["difference"]) < 0.25 * abs(
        found["tiles", None]["to_se"]["difference"])


def test_a_metric_of_ones_own(tiled_se):
    """Names, labels and outputs as they are; numbers that make a figure together; a bootstrap of the images."""
    model, images = classifier(), arrays(6)
    pathlib.Path("data").mkdir()
    np.save("data/all.npy", images[:5])
    np.save("data/last.npy", images[5])
    labels = {"all.npy:0": "zero, or so", "all.npy:1": "one", "all.npy:3": "three", "last.npy": "last"}
    pathlib.Path("labels.txt").write_text("".join(f"{name},{label}\n" for name, label in labels.items()))
    pathlib.Path("ratio.py").write_text("""
import numpy as np

def metric(outputs, name, label):
    with open("seen.txt", "a") as file:
        print(name, label, *outputs["y"].shape, sep="|", file=file)
    return outputs["y"].max(), np.abs(outputs["y"]).mean()

def total(scores):
    one, other = scores.sum(axis=0)
    return one / other
""")
    finished = tiled_se.passes("evaluate", "net.onnx", "--data=data", "--labels=labels.txt", "--metric=ratio.py", SIZE,
                               "--k=2", "--seed=9", "--out=out")
    assert pathlib.Path("seen.txt").read_text().splitlines() == 3 * [
        f"{name}|{label}|1|{CLASSES}" for name, label in labels.items()]
    assert "data formats are taken from 4 images of the scored data\n" in finished.out
    found, numbers = networks(), rows()
    assert [(row["name"], row["label"]) for row in numbers] == list(labels.items())
    scores = {form: np.array([[float(row[f"ratio: {form} [{at}]"]) for at in (0, 1)] for row in numbers])
              for form in ("se", "tiles", "integers")}
    session = open_session(model, threads=1)
    outputs = np.array([session.run(["y"], {"x": images[at][None]})[0] for at in (0, 1, 3, 5)])
    np.testing.assert_allclose(scores["se"], np.stack([outputs.max((1, 2)), np.abs(outputs).mean((1, 2))], 1), 1e-5)
    values = {form: one[:, 0].sum() / one[:, 1].sum() for form, one in scores.items()}
    for form in scores:
        assert found[form, None]["value"] == pytest.approx(values[form])
    drawn = np.random.default_rng(1).integers(0, 4, (20_000, 4))
    for form, other, key in (("tiles", "se", "to_se"), ("integers", "tiles", "to_tiles")):
        a, b = (scores[one][drawn].sum(axis=1) for one in (form, other))
        low, high = np.percentile(a[:, 0] / a[:, 1] - b[:, 0] / b[:, 1], [2.5, 97.5])
        difference = found[form, None][key]
        assert difference["difference"] == pytest.approx(values[form] - values[other])
        assert (difference["low"], difference["high"]) == pytest.approx((low, high), abs=0.1 * (high - low))


def test_batches(tiled_se):
    """A network that takes four images at once gives each of six the same numbers."""
    classifier()
    classifier("four.onnx", batch=4)
    labelled(arrays(6), range(6))
    pathlib.Path("mean.py").write_text(MEAN)
    for name in ("net", "four"):
        tiled_se.passes("evaluate", f"{name}.onnx", "--data=data", "--metric=mean.py", SIZE, "--k=3", f"--out={name}")
    for one, other in zip(rows("net"), rows("four"), strict=True):
        for form in ("se", "tiles", "integers"):
            assert float(one[f"mean: {form}"]) == pytest.approx(float(other[f"mean: {form}"]), rel=1e-3)


def means(model, images, **more):
    """The mean of the network's output for each image."""
    session = open_session(model, threads=1, **more)
    return np.array([session.run(["y"], {"x": image[None]})[0].mean() for image in images])


def column(form):
    """The one number of each image."""
    return np.array([float(row[f"mean: {form}"]) for row in rows()])


def test_a_quantised_network_keeps_its_numbers(tiled_se):
    """4-bit codes as Brevitas exports them. Every form is what it is when it is put together by hand, without any
    optimisation: then all sums are of the same numbers in the same order, and only the last digits may differ."""
    brevitas("net.onnx", inside=4, ends=(2, 4, 1))
    images = np.stack(quantised_images(3, seed=5, size=16))
    labelled(images, [""] * 3)
    pathlib.Path("mean.py").write_text(MEAN)
    finished = tiled_se.passes("evaluate", "net.onnx", "--data=data", "--metric=mean.py", "--k=5", "--out=out")
    assert "data formats are the network's own; where it has none, taken from 3 images of the scored data" in (
        finished.out)
    (about,) = json.loads(pathlib.Path("out/evaluate.json").read_text())["blocks"]
    assert about["clipped"] == {"stages": {}, "moved": 0}
    assert [about[f"{end}_type"] for end in "xy"] == ["uint4", "uint4"]
    assert [about["x_scale"], about["y_scale"]] == pytest.approx([3 / 15, 2 / 15])
    network = open_network("net.onnx")
    (block,) = network.blocks
    np.testing.assert_allclose(column("se"), means(network.model, images, optimise=False), rtol=1e-6)
    for form, keep in (("tiles", 0), ("kept", 1)):
        tiled_se.passes("swap", "net.onnx", "--k=5", f"--keep-quantised={keep}", "-o", "tiled.onnx")
        np.testing.assert_allclose(column(form), means(onnx.load("tiled.onnx"), images, optimise=False), rtol=1e-6)
    # The golden model's integers between both parts of the network.
    head = open_session(network.model, taps=[block.x], threads=1, optimise=False)
    network.model.graph.value_info.append(onnx.helper.make_tensor_value_info(block.y, onnx.TensorProto.FLOAT, None))
    tail = open_session(onnx.utils.Extractor(network.model).extract_model([block.y], ["y"]), threads=1, optimise=False)
    task = BlockOptions(k=5, dtype="uint4", y_dtype="uint4", weight_bits=4)
    for image, found in zip(images, column("integers"), strict=True):
        x_q = block.numbers.x.quantise(np.moveaxis(head.run([block.x], {"x": image[None]})[0], 1, 3))
        spec = assemble(task, weights_of(own_block(block), block.numbers.y), Input("", "x_q", x_q, block.numbers.x))
        y_q = IntegerModel(spec.config, spec.quantised.parameters).run(x_q).y.numpy()
        y = np.moveaxis(block.numbers.y.dequantise(y_q), 3, 1).astype(np.float32)
        assert found == pytest.approx(tail.run(["y"], {block.y: y})[0].mean(), rel=1e-6)
    forms = [column(form) for form in ("se", "tiles", "kept", "integers")]
    assert len({tuple(form) for form in forms}) == 4


def test_tiles_with_the_networks_own_quantisers(tiled_se):
    """Tiles as high as the map leave them the network itself, alone and together."""
    brevitas("net.onnx", inside=3)
    labelled(np.stack(quantised_images(2, seed=5, size=16)), [""] * 2)
    pathlib.Path("mean.py").write_text(MEAN)
    command = ("evaluate", "net.onnx", "--data=data", "--metric=mean.py", "--out=out")
    finished = tiled_se(*command, "--k=16", "--each")
    (name,) = (block.name for block in open_network("net.onnx").blocks)
    found = networks()
    assert list(found) == [("se", None), *((form, block) for block in (None, name)
                                           for form in ("tiles", "kept", "integers"))]
    assert found["kept", None]["value"] == found["kept", name]["value"] == found["se", None]["value"]
    assert found["tiles", None]["value"] != found["se", None]["value"]
    assert found["kept", None]["to_tiles"]["difference"] == pytest.approx(
        found["se", None]["value"] - found["tiles", None]["value"])
    assert f"tiles, own quantisers, {name} alone" in finished.out


def test_quantisers_that_cannot_be_kept(tiled_se, monkeypatch):
    """A line says so, and the other forms are scored."""
    brevitas("net.onnx")
    labelled(np.stack(quantised_images(2, seed=5, size=16)), [""] * 2)
    pathlib.Path("mean.py").write_text(MEAN)

    def refused(block):
        raise block._refusal("it has no tiles")

    monkeypatch.setattr(KeptBlock, "replace", refused)
    finished = tiled_se.passes("evaluate", "net.onnx", "--data=data", "--metric=mean.py", "--k=4", "--out=out")
    (name,) = (block.name for block in open_network("net.onnx").blocks)
    assert (f"no tiles with the network's own quantisers: block {name}: it has no tiles; SKIP={name} leaves it as it "
            "is") in finished.out.splitlines()
    assert [form for form, _ in networks()] == ["se", "tiles", "integers"]


@pytest.mark.parametrize("write", [brevitas, lambda path: classifier(path, classes=2)], ids=["quantised", "float"])
def test_quantised_networks_are_run_as_they_are_written(tiled_se, monkeypatch, write):
    """All forms of them: onnxruntime's optimisations compute with the integers, and round in other places."""
    write("net.onnx")
    optimised = []
    for module in (accuracy_networks, hybrid):
        def opened(*arguments, **more):
            session = open_session(*arguments, **more)
            optimised.append(session.get_session_options().graph_optimization_level != (
                onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL))
            return session

        monkeypatch.setattr(module, "open_session", opened)
    labelled(quantised_images(1, size=16), [""])
    pathlib.Path("mean.py").write_text(MEAN)
    tiled_se.passes("evaluate", "net.onnx", "--data=data", "--metric=mean.py", "--k=16", "--input-shape=3x16x16",
                    "--out=out")
    # SE, tiles, perhaps kept ones, and both sides of the integers.
    assert optimised == [False] * 5 if write is brevitas else [True] * 4


def test_a_network_that_is_optimised_to_other_integers(tiled_se):
    """Here one of them is rounded to the other side, and after more layers most outputs differ."""
    path, image = quantised("regnety_002", "s8-symmetric", "."), quantised_images(6, seed=5)[4:5]
    labelled(image, [""])
    pathlib.Path("mean.py").write_text(MEAN)
    assert tiled_se("evaluate", path, "--data=data", "--metric=mean.py", "--k=64", "--check-blocks=0", "--out=out"
                    ).status == 0
    np.testing.assert_allclose(column("se"), means(onnx.load(path), image, optimise=False), rtol=1e-6)
    assert column("kept") == column("se")


def test_images_that_are_not_scored(tiled_se):
    """Formats are taken from them if there are enough, and otherwise from those that are scored."""
    classifier()
    labelled(arrays(6), range(6))
    pathlib.Path("mean.py").write_text(MEAN)
    command = ("evaluate", "net.onnx", "--data=data", "--labels=labels.csv", "--metric=mean.py", SIZE, "--k=3",
               "--images=2", "--calibrate-by=min-max", "--check-blocks=0")

    def scales(*options):
        finished = tiled_se.passes(*command, "--out=out", *options)
        contents = json.loads(pathlib.Path("out/evaluate.json").read_text())
        assert contents["images"] == 2
        line = next(line for line in finished.out.splitlines() if line.startswith("data formats are "))
        return line.removeprefix("data formats are taken from "), [block["x_scale"] for block in contents["blocks"]]

    def of(*numbers):
        pathlib.Path("some").mkdir(exist_ok=True)
        for file in pathlib.Path("some").iterdir():
            file.unlink()
        for number in numbers:
            np.save(f"some/{number}.npy", arrays(6)[number])
        return scales("--calibration=some", "--limit=4")[1]

    # Scored are the first and the last one.
    assert scales("--limit=4") == ("4 images of the same data, which are not scored", of(1, 2, 3, 4))
    assert scales("--limit=3") == ("3 images of the same data, which are not scored", of(1, 2, 4))
    assert scales("--limit=5") == ("2 images of the scored data", of(0, 5))
    assert of(1, 2, 3, 4) != of(0, 5)


def test_clips_of_a_quantised_network(tiled_se):
    """Its quantisers clip in SE and in float tiles, not in the hardware: a line and evaluate.json say so."""
    brevitas("net.onnx", inside=8, ends=(3, 0.5, 1))
    labelled(np.stack(quantised_images(3, seed=5, size=16)), [""] * 3)
    pathlib.Path("mean.py").write_text(MEAN)
    finished = tiled_se("evaluate", "net.onnx", "--data=data", "--metric=mean.py", "--k=4", "--out=out")
    assert finished.status == 0
    (block,) = json.loads(pathlib.Path("out/evaluate.json").read_text())["blocks"]
    assert list(block["clipped"]["stages"]) == ["hidden"]
    assert 0 < block["clipped"]["stages"]["hidden"] < 1
    (text,) = clip_warning(block["name"], block["clipped"])
    assert finished.err == f"tiled-se: warning: {text}\n"


def folders(classes, images=1):
    """DATA with a folder for each class."""
    rng = np.random.default_rng(1)
    for name in classes:
        pathlib.Path("data", name).mkdir(parents=True)
        for number in range(images):
            Image.fromarray(rng.integers(0, 255, (9, 9, 3), np.uint8)).save(f"data/{name}/{number}.png")


def test_what_is_not_as_a_quantised_network_has_it(tiled_se):
    """Weights that are quantised anew, and CALIBRATE_BY, which has no use: `evaluate`, `plan` and `sensitivity` say so.
    """
    brevitas("net.onnx", weight_bits=8, weight_zero=150)
    labelled(np.stack(quantised_images(2, seed=5, size=16)), [""] * 2)
    pathlib.Path("mean.py").write_text(MEAN)
    (block,) = open_network("net.onnx").blocks
    reasons = requantised(block)
    assert reasons.keys() == {"w1", "w2"}
    expected = {f"CALIBRATE_BY=mse is ignored, as the network has the numbers: {block.name}",
                f"{block.name}: weights are quantised anew: w1, as {reasons['w1']}; w2, as {reasons['w2']}"}
    for command, written in (
            (["evaluate", "net.onnx", "--data=data", "--metric=mean.py"], lambda found: found["blocks"][0]),
            (["plan", "net.onnx", "data", "--budget=9", "--ks=4"], lambda found: found["about"]["blocks"][block.name]),
            (["sensitivity", "net.onnx", "data", "--ks=4"], lambda found: found["blocks"][0])):
        out = tiled_se.passes(*command, "--calibrate-by=mse", "--out=out").out.splitlines()
        assert expected <= {*out}
        assert written(json.loads(pathlib.Path("out", f"{command[0]}.json").read_text()))["requantised"] == reasons
        out = tiled_se.passes(*command, "--out=out").out
        assert "quantised anew" in out
        assert "CALIBRATE_BY" not in out


def test_outputs_that_are_clipped(tiled_se):
    """The share of each block is in a table and in evaluate.json; a range that was given and is too small is warned of.
    """
    classifier()
    labelled(arrays(2), range(2))
    pathlib.Path("mean.py").write_text(MEAN)

    def found(*options):
        finished = tiled_se("evaluate", "net.onnx", "--data=data", "--metric=mean.py", SIZE, "--k=3",
                            "--check-blocks=0", "--calibrate-by=percentile:90", "--out=out", *options)
        assert finished.status == 0
        (block,) = json.loads(pathlib.Path("out/evaluate.json").read_text())["blocks"]
        line = next((line for line in finished.out.splitlines() if line.startswith(f"{block['name']} ")), None)
        return block, line, finished.err

    (graph,) = open_network("net.onnx", SIZE.partition("=")[2]).blocks
    session, form = open_session(network(), taps=[graph.x], threads=1), graph.float_block

    def outputs(block):
        """Of strips of three rows, in float."""
        x_format = DataFormat(block["x_scale"], block["x_zero_point"])
        for one in arrays(2):
            x = x_format.dequantise(x_format.quantise(session.run([graph.x], {"x": one[None]})[0][0]))
            for top in range(0, HEIGHT, 3):
                hidden = np.maximum(form.w1 @ x[:, top:top + 3].mean(axis=(1, 2)) + form.b1, 0)
                yield x[:, top:top + 3] / (1 + np.exp(-form.w2 @ hidden - form.b2))[:, None, None]

    def beyond(block, margin):
        """The share of the outputs beyond the ends, and so many steps more."""
        y = np.concatenate([one.reshape(-1) for one in outputs(block)]) / block["y_scale"] + block["y_zero_point"]
        return ((y < -128 - margin) | (y > 127 + margin)).mean(), [
            block["y_scale"] * (end - block["y_zero_point"]) for end in (y.min(), y.max())]

    plain, line, err = found()
    assert (plain["outputs"], line, err) == (None, None, "")
    # A figure only, as the range is one from calibration.
    block, line, err = found("--y-dtype=int8")
    share, ends = beyond(block, 0.5)
    assert 0.01 < share < 0.2
    # The weights are quantised.
    assert block["outputs"] == {"clipped": pytest.approx(share, abs=2e-3), "range": pytest.approx(ends, rel=1e-3)}
    assert line.split()[1:] == ["int8", f"{block['y_scale']:.4g}", str(block["y_zero_point"]),
                                f"{100 * block['outputs']['clipped']:.3g}", "%"]
    assert err == ""
    block, line, err = found("--y-scale=0.002", "--y-zero-point=3")
    share, ends = block["outputs"]["clipped"], block["outputs"]["range"]
    assert share == pytest.approx(beyond(block, 0.5)[0], abs=2e-3) != 0
    assert line.endswith(f" {100 * share:.3g} %")
    assert err == (f"tiled-se: warning: {block['name']}: {100 * share:.3g} % of the outputs were clipped: they go from "
                   f"{ends[0]:.4g} to {ends[1]:.4g}; int8 with Y_SCALE=0.002 and Y_ZERO_POINT=3 holds -0.262 to "
                   "0.248\n")


@pytest.mark.parametrize(("share", "ends", "warned"), [
    (0.002, (-12.9, 12.7), False), (0.002, (-12.91, 12.7), True), (0.002, (-12.8, 12.8), False),
    (0.002, (-12.8, 12.81), True), (0.0009, (-12.8, 99.0), False)], ids=str)
def test_few_outputs_that_are_clipped(share, ends, warned):
    """A warning is for more than a thousandth of them, and for more than a step beyond the range."""
    spec = types.SimpleNamespace(y_format=DataFormat(0.1, 0), options=BlockOptions(y_scale=0.1))
    assert len(saturation_warning(spec, {"clipped": share, "range": [*ends]})) == warned


@pytest.mark.timeout(20)
def test_many_images_are_split_quickly():
    """In time that is proportional to their number."""
    count = 60_000
    images = Images(picked=(("a.npy", tuple(range(count))),), **{name: None for name in Images.__dataclass_fields__
                                                                 if name != "picked"})
    data = Data(images, tuple(Sample(str(number)) for number in range(count)), None, ("labels", "labels.csv"))
    chosen, others = data.split(count // 2)
    assert len(chosen.samples) == len(others.samples) == count // 2
    assert {sample.name for sample in chosen.samples + others.samples} == {str(number) for number in range(count)}
    assert [int(sample.name) for sample in others.samples] == list(others.images.picked[0][1]) == sorted(
        int(sample.name) for sample in others.samples)
    assert sum(len(part.samples) for part in data.parts(4)) == count


@pytest.mark.parametrize(("names", "classes", "numbers"), [
    (("a", "b", "c", "d"), None, [0, 1, 2, 3]),
    # Numbers are not sorted as text.
    (("0", "10", "2"), None, [0, 10, 2]),
    (("cat", "ant"), "dog\ncat\n\nant\nbee\n", [2, 1]),
], ids=["sorted", "numbers", "named"])
def test_folders_are_classes(tiled_se, names, classes, numbers):
    """The number of a class is where the metric looks."""
    classifier(classes=4 if classes is None and "a" in names else 11)
    folders(names)
    options = []
    if classes:
        pathlib.Path("classes.txt").write_text(classes)
        options = ["--classes=classes.txt"]
    tiled_se.passes("evaluate", "net.onnx", "--data=data", SIZE, "--out=out", *options)
    session, right = open_session(onnx.load("net.onnx"), threads=1), []
    for name, number in zip(sorted(names), numbers, strict=True):
        with Image.open(f"data/{name}/0.png") as image:
            pixels = np.asarray(image.resize((WIDTH, HEIGHT), Image.Resampling.BILINEAR)) / 255
        x = ((pixels - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]).astype("f4").transpose(2, 0, 1)[None]
        right.append(session.run(["y"], {"x": x})[0].argmax() == number)
    assert [row["label"] for row in rows()] == sorted(names)
    assert [row["top1: se"] for row in rows()] == [str(int(one)) for one in right]


OPTIONS = ("evaluate", "net.onnx", SIZE, "--out=out", "--check-blocks=0")


@pytest.mark.parametrize(("line", "options", "files"), [
    ("DATA= (--data): is needed; must be", [], {}),
    ("DATA=none (--data): is no folder; must be", ["--data=none"], {}),
    ("DATA=empty (--data): has no images; must be", ["--data=empty", "--metric=mean.py"], {"empty/a.txt": ""}),
    ("LABELS= (--labels): is needed, as the images in DATA=data lie in no folders of their class; ", [
        "--data=data"], {}),
    ("LABELS=l.csv (--labels): names 9.npy, which is no file in DATA=data", ["--labels=l.csv"],
     {"l.csv": "0.npy,1\n9.npy,1\n"}),
    ("LABELS=l.csv (--labels): line 2 has no label; must have a line NAME,LABEL", ["--labels=l.csv"],
     {"l.csv": "0.npy,1\n1.npy\n"}),
    ("LABELS=l.csv (--labels): line 2 has 0.npy again", ["--labels=l.csv"], {"l.csv": "0.npy,1\n0.npy 2\n"}),
    ("LABELS=l.csv (--labels): the label of 0.npy is cat; must be the number of a class", ["--labels=l.csv"],
     {"l.csv": "0.npy,cat\n"}),
    ("LABELS=l.csv (--labels): the label 200 of 1.npy must be from 0 to 199", ["--labels=l.csv"],
     {"l.csv": "0.npy,1\n1.npy,200\n"}),
    ("LABELS=l.csv (--labels): names 0.npy:1, but its file has fewer inputs", ["--labels=l.csv"],
     {"l.csv": "0.npy:1,1\n1.npy,1\n"}),
    ("LABELS=none (--labels): there is no such file; must be a text file", ["--labels=none"], {}),
    ("CLASSES=c (--classes): has no class cat, which is the label of 0.npy", ["--labels=l.csv", "--classes=c"],
     {"l.csv": "0.npy,cat\n", "c": "dog\n"}),
    ("CLASSES=c (--classes): has dog more than once; must have", ["--labels=l.csv", "--classes=c"],
     {"l.csv": "0.npy,dog\n", "c": "dog\ndog\n"}),
    ("DATA=own (--data): has 2 folders of classes, and the network has 200 classes: CLASSES must name these", [
        "--data=own"], {"own/a/0.png": None, "own/b/0.png": None}),
    ("METRIC=f1 (--metric): must be top1, top5, or a .py file with a function metric(", ["--metric=f1"], {}),
    ("METRIC=none.py (--metric): there is no such file; must be a .py file", ["--metric=none.py"], {}),
    ("METRIC=m.py (--metric): has no function metric(outputs, name, label)", ["--metric=m.py"], {"m.py": "x = 1\n"}),
    ("METRIC=m.py (--metric): can't be run: SyntaxError: ", ["--metric=m.py"], {"m.py": "x = = 1\n"}),
    ("METRIC=m.py (--metric): metric() of 0.npy failed: KeyError: 'z'", ["--metric=m.py"],
     {"m.py": "def metric(outputs, name, label):\n    return outputs['z']\n"}),
    ("METRIC=m.py (--metric): metric() of 0.npy returned None; must return finite numbers", ["--metric=m.py"],
     {"m.py": "def metric(outputs, name, label):\n    pass\n"}),
    ("METRIC=m.py (--metric): must have a function total(scores), as metric() returns 2 numbers for an image", [
        "--metric=m.py"], {"m.py": "def metric(outputs, name, label):\n    return 1, 2\n"}),
    ("METRIC=m.py (--metric): metric() must return as many numbers for each image, and returned 1 and 2", [
        "--metric=m.py"], {"m.py": "def metric(outputs, name, label):\n    return [1] * (1 + (name == '1.npy'))\n"}),
    ("SKIP=none (--skip): must be a block's name", ["--skip=none"], {}),
    ("Y_ZERO_POINT=-1 (--y-zero-point): must be from 0 to 15, as the outputs of block node_mul_6 are uint4\n", [
        "--labels=l.csv", "--y-dtype=uint4", "--y-zero-point=-1", "--y-scale=auto"], {"l.csv": "0.npy,1\n1.npy,1\n"}),
    ("Y_SCALE=1e-09 (--y-scale): must be from ", ["--labels=l.csv", "--y-scale=1e-9"], {"l.csv": "0.npy,1\n1.npy,1\n"}),
])
def test_what_is_refused(tiled_se, line, options, files):
    """In one line, and nothing is written."""
    classifier()
    labelled(arrays(2), range(2))
    pathlib.Path("mean.py").write_text(MEAN)
    for name, content in files.items():
        pathlib.Path(name).parent.mkdir(parents=True, exist_ok=True)
        if content is None:
            Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(name)
        else:
            pathlib.Path(name).write_text(content)
    if not options or not options[0].startswith("--data"):
        options = ["--data=data"] * (line[:5] != "DATA=") + options
    finished = tiled_se(*OPTIONS, *options)
    assert (finished.status, finished.err.count("\n")) == (2, 1)
    assert finished.err.startswith(f"tiled-se: error: {line}")
    assert not pathlib.Path("out").exists()


def test_networks_that_cant_be_scored(tiled_se):
    net = Net(13)
    net("Relu", "x", output="y")
    onnx.save(net.model({"x": (1, 3, HEIGHT, WIDTH)}, {"y": None}), "net.onnx")
    labelled(arrays(2), range(2))
    tiled_se.refuses_as("MODEL=net.onnx (--model): has no squeeze-and-excite block", *OPTIONS, "--data=data",
                        "--labels=labels.csv")
    classifier(classes=5)
    tiled_se.refuses_as("METRIC=top5 (--metric): the network must have more than 5 outputs, and has 5", *OPTIONS,
                        "--data=data", "--labels=labels.csv", "--metric=top1,top5")
    classifier()
    swapped = onnx.load("net.onnx")
    swapped.graph.output[0].CopyFrom(onnx.ValueInfoProto(name=find_blocks(swapped)[0].y))
    onnx.save(swapped, "net.onnx")
    name = swapped.graph.output[0].name
    tiled_se.refuses_as(f"METRIC=top1 (--metric): the network's first output, {name}, must have one number for each "
                        "class, and is ", *OPTIONS, "--data=data", "--labels=labels.csv")


def test_the_block_is_named_once(tiled_se):
    """Where its maps don't suit an option."""
    classifier()
    labelled(arrays(2), range(2))
    for about in (["--y-dtype=uint4", "--y-scale=auto", "--y-zero-point=0"], ["--dtype=int12", "--y-zero-point=2048"],
                  ["--operand-bits=11"]):
        finished = tiled_se(*OPTIONS, "--data=data", "--labels=labels.csv", *about)
        assert (finished.status, finished.err.count("\n")) == (2, 1)
        assert finished.err.count("block node_mul_6") == 1, finished
