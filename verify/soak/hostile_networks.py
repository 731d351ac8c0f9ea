# SPDX-License-Identifier: Apache-2.0
"""What commands on networks have made of :func:`.hostile_lists.model_bytes` or a list of blocks, against the line."""

import dataclasses
import json
import os
import re

import numpy as np

from ...golden.reference import squeeze_excite
from ...hdl.config import Config
from .hostile_blocks import runs_differ, simulated_differs
from .hostile_builds import arrays_of, said_of
from .hostile_lists import MODEL_SHAPE, NETWORK, model_bytes

__all__ = ["network_differs"]

MOST_LANES = 8
# Images that a line's folder has, and how many are used where nothing is said.
IMAGES, LIMIT, KS = 2, "16", "1,3,5,7,9"
# float32 against float64, relative to the largest output.
CLOSE = 1e-5


def network_differs(line, place, out):
    """What is wrong, as a list of texts; `out` is what it has printed. Damaged files aren't judged."""
    said, work = said_of(line), place.work
    content = line.files.get(said.get("model"))
    whole = content == model_bytes()
    if said.get("skip") or not whole and (line.command != "report" or line.verdict != "right"):
        return []
    if line.command == "build":
        return _build(line, said, place)
    checks = {"swap": _swap, "inspect": _inspect, "sensitivity": _context, "report": _report}
    return checks[line.command](said, work, out) if line.command in checks else []


def _rows(said):
    """Rows of a tile."""
    return int(said.get("k", 7))


def _weights(model):
    """w1, b1, w2, b2 of a network of one block: its constants with so many numbers, in the order of the layers."""
    from onnx import numpy_helper

    _, _, channels, squeeze = MODEL_SHAPE
    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    shapes = ((squeeze, channels), (squeeze,)), ((channels, squeeze), (channels,))
    return {f"{name}{number}": arrays[source].reshape(shape).astype(np.float64)
            for number, (node, both) in enumerate(zip(convolutions, shapes, strict=True), 1)
            for name, source, shape in zip("wb", node.input[1:], both, strict=True)}


def _asked_weights():
    import onnx

    return _weights(onnx.ModelProto.FromString(model_bytes()))


def _swap(said, work, _):
    """Height of the tiles and weights in the graph, and what it computes."""
    import onnx
    from onnx.reference import ReferenceEvaluator

    k = _rows(said)
    path = said.get("out", f"{os.path.splitext(said['model'])[0]}_tse{k}.onnx")
    model = onnx.load(work / path)
    found = []
    heights = [list(attribute.ints) for node in model.graph.node if node.op_type == "AveragePool"
               for attribute in node.attribute if attribute.name == "kernel_shape"]
    if heights != ([] if k == 1 else [[k, 1]]) or any(
            node.op_type == "GlobalAveragePool" for node in model.graph.node):
        found.append(f"tiles are {heights}, not of {k} rows")
    asked, weights = _asked_weights(), _weights(model)
    found += [f"{name} isn't the network's" for name in asked if (weights[name] != asked[name]).any()]
    height, width, channels, squeeze = MODEL_SHAPE
    x = np.random.default_rng(5).normal(0, 4, (1, channels, height, width)).astype(np.float32)
    y, = ReferenceEvaluator(model).run(None, {"x": x})
    wanted = squeeze_excite(x[0].transpose(1, 2, 0).astype(np.float64), **asked, config=Config(
        k=k, width=width, channels=channels, squeeze=squeeze))
    if y.shape != x.shape or np.abs(y[0].transpose(1, 2, 0) - wanted).max() > CLOSE * np.abs(wanted).max():
        found.append(f"the network doesn't compute tiles of {k} rows")
    return found


def _inspect(said, work, out):
    """The table's row, and the JSON."""
    height, width, channels, squeeze = MODEL_SHAPE
    row = width * channels
    numbers = {"H": height, "W": width, "C": channels, "CR": squeeze, "mid": "relu", "gate": "sigmoid",
               "residual": False, "parameters": 2 * channels * squeeze + channels + squeeze,
               "se_elements": height * row, "tse_elements": min(_rows(said), height) * row}
    cells = [{False: "no"}.get(value, str(value)) for value in numbers.values()]
    found = [] if re.search(rf"^\S+\s+{re.escape(' '.join(cells))}$".replace(r"\ ", r"\s+"), out, re.M) else [
        "the table lacks the block"]
    if "json" in said:
        about = json.loads((work / said["json"]).read_text())
        block, = about["blocks"]
        found += [f"{name} is {block.get(name)!r}, not {value!r}" for name, value in numbers.items()
                  if block.get(name) != value]
        if about["k"] != _rows(said) or about["model"] != said["model"]:
            found.append(f"it is of k={about['k']}, {about['model']}")
    return found


def _folder(said, work):
    """Where results are; ValueError where that isn't one folder."""
    if "out" in said:
        return work / said["out"]
    (folder,) = (work / "build").iterdir()
    return folder


def _context(said, work, _):
    about = json.loads((_folder(said, work) / "sensitivity.json").read_text())
    images = min(int(said.get("limit", LIMIT)), IMAGES)
    ks = [int(k) for k in said.get("ks", KS).split(",")]
    height, width, channels, squeeze = MODEL_SHAPE
    wanted = {"images": images, "blocks": [
        {"H": height, "W": width, "C": channels, "CR": squeeze,
         "ks": [{"k": k, "tiles": images * -(-height // k)} for k in ks]}]}
    found = {"images": about["images"], "blocks": [
        {**{name: block[name] for name in ("H", "W", "C", "CR")},
         "ks": [{name: one[name] for name in ("k", "tiles")} for one in block["ks"]]} for block in about["blocks"]]}
    return [] if found == wanted else [f"it is {found}, not {wanted}"]


def _lanes(said, channels):
    """LANES is the most that a beat may carry."""
    most = min(int(said.get("lanes", MOST_LANES)), channels)
    return max(n for n in range(1, most + 1) if channels % n == 0)


def _report(said, work, _):
    """Every block's sizes, and the hardware that is counted."""
    about = json.loads((_folder(said, work) / "report.json").read_text())
    asked = NETWORK["blocks"] if said["model"].endswith(".json") else [[*MODEL_SHAPE, 1]]
    network, = about["networks"]
    found, k = [], _rows(said)
    for block, (height, width, channels, squeeze, count) in zip(network["blocks"], asked, strict=True):
        sizes = [block[name] for name in ("height", "width", "channels", "squeeze", "count")]
        rows, config = min(k, height), block["tse"]["config"]
        wanted = {"width": width, "channels": channels, "squeeze": squeeze, "lanes": _lanes(said, channels)}
        if said.get("macs", "auto") != "auto":
            wanted["macs"] = min(int(said["macs"]), max(channels, squeeze))
        if said.get("slack", "auto") != "auto":
            wanted["slack"] = int(said["slack"])
        if sizes != [height, width, channels, squeeze, count] or block["tse"]["rows"] != rows or (
                block["tse"]["elements"] != rows * width * channels):
            found.append(f"block {sizes} has tiles of {block['tse']['rows']} rows, not {rows}")
        found += [f"{name} of block {sizes} is {config[name]}, not {value}" for name, value in wanted.items()
                  if config[name] != value]
    return found if about["k"] == k else [f"k is {about['k']}, not {k}"]


def _build(line, said, place):
    """Weights, maps, report, outputs and Verilog of the network's block."""
    folder = _folder(said, place.work)
    about = json.loads((folder / "report.json").read_text())
    block, = about["blocks"]
    home = os.path.relpath(folder / block["folder"], place.work)
    files = {name: os.path.join(home, f"{name}.npz") for name in ("weights", "input")}
    weights, maps = (arrays_of(place.work, path) for path in files.values())
    found = [f"{name} isn't the network's" for name, array in _asked_weights().items()
             if (weights[name].astype(np.float64) != array).any()]
    images = arrays_of(place.work, os.path.join(said["calibration"], "a.npz"))["x"].transpose(0, 2, 3, 1)
    scale = float(maps["x_scale"].reshape(()))
    real = (maps["x_q"].astype(np.float64) - int(maps["x_zero_point"].reshape(()))) * scale
    # What the block takes is the network's own input.
    if any(min(np.abs(frame - image).max() for image in images) > scale for frame in real):
        found.append("the maps aren't the images")
    if not about["bit_exact"] or about["k"] != _rows(said):
        found.append(f"bit_exact is {about['bit_exact']}, k is {about['k']}")
    own = {name: said[name] for name in ("k", "macs", "slack", "sram_overhead", "operand_bits", "error", "dtype",
                                         "stall", "seed") if name in said}
    own |= {"loadable": said.get("loadable", "0"), "lanes": str(_lanes(said, MODEL_SHAPE[2])),
            "name": block["module"], **files}
    one = dataclasses.replace(line, command="sim", said=own)
    manifest = json.loads((place.work / home / "manifest.json").read_text())
    found += simulated_differs(one, place, place.work / home)
    return found or runs_differ(one, place, place.work / home, manifest)
