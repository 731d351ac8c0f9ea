# SPDX-License-Identifier: Apache-2.0
"""Which block a command line asks for, after README.md and docs/design.md; what differs from it in what was built.

Nothing here calls what reads options and files or resolves defaults for the command itself.
"""

import json
import re

import numpy as np

from .hostile_golden import RANDOM_SCALE, chosen_macs, format_of, random_frames, random_weights

__all__ = ["TRUE", "arrays_of", "differences", "planned", "said_of", "wanted_fields"]

DEFAULTS = {"k": 7, "mid": "relu", "gate": "sigmoid", "residual": False}
TRUE = ("1", "yes", "true", "on")


def differences(line, work, about, arrays=None, verilog=None):
    """What differs, as a list of texts.

    Parameters
    ----------
    line : Line
        Of `sim`, `verilog` or `synth`, which ended well.
    work : path
        Its working directory.
    about : dict
        ``config`` as report.json and manifest.json have it, perhaps ``error_bound_lsb``, ``name`` and ``shape``.
    arrays : dict of str to array, optional
        As output.npz has them.
    verilog : str, optional
        The block.
    """
    said = said_of(line)
    weights, data = (arrays_of(work, said.get(name)) for name in ("weights", "input"))
    wanted = wanted_fields(said, weights, data)
    config = about["config"]
    found = [f"{name} is {config.get(name)!r}, not {value!r}" for name, value in wanted.items()
             if not _same(name, config.get(name), value)]
    found += _within(said, config, about)
    if "macs" not in wanted and config["macs"] != chosen_macs(said, wanted):
        found.append(f"macs is {config['macs']}, where SRAM_OVERHEAD asks for {chosen_macs(said, wanted)}")
    if arrays is not None:
        random = weights or random_weights(int(said.get("seed", 1)), wanted["channels"], wanted["squeeze"])
        found += _weights_differ(random, arrays, config)
        found += _data_differ(said, data, arrays, wanted)
    if verilog is not None:
        found += _verilog_differs(said, verilog, wanted)
    return found


def said_of(line):
    """Options of a line by field; an empty value is no value."""
    return {name: text for name, text in line.said.items() if text != ""}


def arrays_of(work, path):
    """What an .npz holds as numpy reads it; empty without a path."""
    if path is None:
        return {}
    with np.load(work / path, allow_pickle=False) as archive:
        wanted = ("w1", "b1", "w2", "b2", "mid", "gate", "residual", "x", "x_q", "x_scale", "x_zero_point")
        return {name: archive[name] for name in wanted if name in archive.files}


def wanted_fields(said, weights, data):
    """The fields of the configuration that options, files and defaults fix."""
    x = data.get("x", data.get("x_q"))
    width = x.shape[-2] if x is not None else int(said["width"])
    channels = x.shape[-1] if x is not None else weights["w1"].shape[1] if weights else int(said["channels"])
    squeeze = weights["w1"].shape[0] if weights else int(said.get("squeeze", max(1, channels // 4)))
    wanted = {"k": int(said.get("k", 7)), "width": width, "channels": channels, "squeeze": squeeze,
              "lanes": int(said.get("lanes", max(n for n in range(1, 9) if channels % n == 0)))}
    for name in ("mid", "gate", "residual"):
        wanted[name] = _function(name, said, weights)
    wanted["loadable"] = said["loadable"].lower() in TRUE if "loadable" in said else not weights
    wanted["signed"] = _signed(said, data)
    wanted["zero_point"] = format_of(said, data, wanted["signed"])[1]
    if said.get("macs", "auto") != "auto":
        # More would never have an output to work on.
        wanted["macs"] = min(int(said["macs"]), max(channels, squeeze))
    for name in ("slack", "operand_bits"):
        if said.get(name, "auto") != "auto":
            wanted[name] = int(said[name])
    return wanted


def _function(name, said, weights):
    """What mid, gate or residual must be."""
    if name in said:
        return said[name].lower() in TRUE if name == "residual" else said[name]
    if name not in weights:
        return DEFAULTS[name]
    value = weights[name].reshape(()).item()
    value = value.decode() if isinstance(value, bytes) else value
    return bool(value) if name == "residual" else value


def _signed(said, data):
    """Whether data are int8."""
    if "dtype" in said:
        return said["dtype"] == "int8"
    if "x_q" not in data or data["x_q"].dtype.name == "int8":
        return True
    if data["x_q"].dtype.name == "uint8":
        return False
    # A wider type: the values, or else the zero point, tell.
    x, zero = data["x_q"], float(data["x_zero_point"].reshape(()))
    return not (x.min() >= 0 and zero >= 0 and (x.max() > 127 or zero > 127))


def _same(name, found, wanted):
    if name == "gate":
        return _gate(found) == _gate(wanted)
    if name == "mid":
        return found == {"swish": "silu", "none": "identity"}.get(wanted, wanted)
    return type(found) is type(wanted) and found == wanted


def _gate(text):
    """Kind, slope and offset."""
    kind, _, numbers = text.partition(":")
    if kind == "sigmoid":
        return kind, None
    return kind, tuple(map(float, numbers.split(","))) if numbers else (1 / 6, 0.5)


def _within(said, config, about):
    """What has limits only."""
    found = []
    if not 10 <= config["operand_bits"] <= 40 or config["loadable"] and config["operand_bits"] < 18 and (
            said.get("operand_bits", "auto") == "auto"):
        found.append(f"operand_bits is {config['operand_bits']}")
    if not 1 <= config["macs"] <= max(config["channels"], config["squeeze"]) or config["slack"] < 0:
        found.append(f"macs is {config['macs']}, slack {config['slack']}")
    bound = about.get("error_bound_lsb")
    if bound is not None and not 0 < bound <= float(said.get("error", 1)):
        found.append(f"the error bound is {bound}")
    if "name" in about and about["name"] != said.get("name", "tiled_se"):
        found.append(f"name is {about['name']}")
    return found


def _weights_differ(weights, arrays, config):
    """Real values of the weights against the file's: half a step of a row, whose scale is 0.4 % more at most."""
    found = []
    for name in ("w1", "w2"):
        real, wanted = arrays[name], weights[name].astype(float)
        largest = np.abs(wanted).max(axis=1, keepdims=True)
        off = np.abs(real - wanted)
        # A row that is small beside the largest has fewer bits of a scale, or none.
        small = largest < largest.max() * 2.0**-7
        if real.shape != wanted.shape or (np.where(small, 0, off) > 0.51 * largest / 127 + 1e-300).any():
            found.append(f"{name} differs from the file's by {off.max() if off.shape == wanted.shape else 'its shape'}")
    for name in ("b1", "b2"):
        real, wanted = arrays[name], weights[name].astype(float)
        step = 0.02 * max(np.abs(wanted).max(), np.abs(weights["w" + name[1]].astype(float)).max(), 1e-300)
        if real.shape != wanted.shape or not _flat(config, name) and (np.abs(real - wanted) > step).any():
            found.append(f"{name} differs from the file's")
    return found


def _flat(config, name):
    """Whether a bias may be clipped to where its gate, or relu6, is flat."""
    return name == "b2" or config["mid"] == "relu6"


def _data_differ(said, data, arrays, wanted):
    """Frames against the file's: integers as they are, real ones within a step."""
    found = []
    scale, x = float(arrays["x_scale"]), arrays["x_q"]
    if "x_q" in data:
        if scale != float(data["x_scale"].reshape(())) or not (x.reshape(-1) == data["x_q"].reshape(-1)).all():
            found.append("x_q or its scale differs from the file's")
    elif "x" in data:
        real = (x.astype(float) - int(arrays["x_zero_point"])) * scale
        if (np.abs(real.reshape(-1) - data["x"].astype(float).reshape(-1)) > scale * (1 + 1e-9)).any():
            found.append("x differs from the file's by more than a step")
    else:
        frames, width = int(said.get("frames", 2)), wanted["width"]
        shape = (frames, int(said.get("height", width)), width, wanted["channels"])
        if x.shape != shape or scale != RANDOM_SCALE:
            found.append(f"frames are {x.shape} of scale {scale}, not {shape} of {RANDOM_SCALE}")
        elif (x != random_frames(int(said.get("seed", 1)), shape, wanted["zero_point"], wanted["signed"])).any():
            found.append("frames aren't those of SEED")
    if x.dtype != (np.int8 if wanted["signed"] else np.uint8):
        found.append(f"x_q is {x.dtype}")
    return found


def _verilog_differs(said, verilog, wanted):
    """Ports of the top module, and whether it has those that load parameters."""
    name = said.get("name", "tiled_se")
    module = re.search(rf"^module {name}\s*\((.*?)\);(.*?)^endmodule", verilog, re.M | re.S)
    if not module or verilog.count("endmodule") < len(re.findall(r"^module ", verilog, re.M)):
        return [f"the Verilog has no complete module {name}"]
    found = []
    for port, bits in (("s_axis_tdata", 8 * wanted["lanes"]), ("m_axis_tdata", 8 * wanted["lanes"])):
        if not re.search(rf"^\s*(input|output)\s+(wire\s+|reg\s+)?\[{bits - 1}:0\]\s+{port}\s*;", module[2], re.M):
            found.append(f"{port} hasn't {bits} bits")
    if ("w_axis_tdata" in module[1]) != wanted["loadable"]:
        found.append("w_axis is there in a baked block, or missing in a loadable one")
    return found


def planned(folder):
    """``(about, arrays)`` of a line that ended at the plan."""
    from .hostile_planned import CONFIG, NUMBERS

    about = json.loads((folder / CONFIG).read_text())
    with np.load(folder / NUMBERS, allow_pickle=False) as archive:
        arrays = dict(archive)
    return about, arrays | {"x_scale": about["x_scale"], "x_zero_point": about["x_zero_point"]}
