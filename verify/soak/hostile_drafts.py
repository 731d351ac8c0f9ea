# SPDX-License-Identifier: Apache-2.0
"""Right command lines, small enough to end soon, with the files that they name."""

import dataclasses

from .hostile_files import good_input, good_weights, pack
from .hostile_lists import good_networks, model_bytes
from .hostile_sweeps import failing_sweep, working_sweep
from .hostile_values import OF, right_text

__all__ = ["BLOCK", "Draft", "loadable", "right"]

BLOCK = ("sim", "verilog", "synth", "simspeed")
# Options that stand without their flags, in order.
STANDING = {"inspect": ("model",), "swap": ("model",), "build": ("model",), "report": ("model",),
            "sensitivity": ("model", "calibration")}
# Folders that exist or can be made.
FOLDERS = ("out", "out", "out", "new/sub/out", "with space", "\u00fc\u4e16", "there", "-dash", "a'b", "line\nbreak",
           "\udcff", "x" * 200, "./out/../out", "out.v", "%d")
# Loadable blocks, whose simulations are built once for all lines.
LOADABLE = ({"k": "2", "width": "3", "channels": "4", "squeeze": "2", "lanes": "2", "macs": "1"},
            {"k": "3", "width": "2", "channels": "6", "squeeze": "5", "mid": "silu", "slack": "0", "dtype": "uint8"},
            {"k": "1", "width": "5", "channels": "3", "squeeze": "1", "gate": "hardsigmoid", "residual": "1"})
# Lists of simulations that are right, each of which takes some seconds.
WORKING = 0.3
# Of the hardware and the network, which every command on a block takes.
LOOSE = ("macs", "sram_overhead", "slack", "loadable", "mid", "gate", "residual", "seed", "stall", "waves", "target",
         "seeds", "name", "k", "sim")


@dataclasses.dataclass
class Draft:
    """A command line in the making: see :class:`~.hostile_lines.Line`; `tail` and then `cut` come last on the line."""

    command: str
    values: dict = dataclasses.field(default_factory=dict)
    files: dict = dataclasses.field(default_factory=dict)
    verdict: str = "right"
    blames: set = dataclasses.field(default_factory=set)
    tail: list = dataclasses.field(default_factory=list)
    cut: list = dataclasses.field(default_factory=list)
    # Arrays of the files that are npz, by option.
    arrays: dict = dataclasses.field(default_factory=dict)

    @property
    def standing(self):
        return STANDING.get(self.command, ())

    @property
    def takes(self):
        """Options of the command."""
        return OF[self.command]

    def doubt(self, *blames):
        """What decides isn't known here; if it is refused, it is for one of `blames`."""
        self.blames |= set(blames)
        if self.verdict == "right":
            self.verdict = "either"

    def condemn(self, *blames):
        """It must be refused, with one of `blames` in the message."""
        self.verdict = "wrong"
        self.blames |= set(blames)


def right(rng, draft):
    """Fill the new Draft with what is right."""
    if draft.command in BLOCK:
        _block(rng, draft)
    elif draft.command in ("bench", "sweep", "demo", "prove", "mutate", "crosscheck", "soak"):
        _many(rng, draft)
    else:
        _network(rng, draft)
    if "out" in draft.takes and rng.random() < 0.9:
        draft.values["out"] = rng.choice(FOLDERS) if draft.command != "swap" else rng.choice(
            ("tiled.onnx", "new/tiled.onnx", "\u00fc.onnx"))
        if draft.values["out"] == "there":
            draft.files |= {"there": "folder"} | {
                f"there/{name}": b"{" for name in ("notes.txt", "manifest.json", "report.json")}
    if rng.random() < 0.05:
        # An empty value is no value.
        name = rng.choice(draft.takes)
        draft.values.setdefault(name, "")


def loadable(rng, draft):
    """Fill the new Draft of `verilog` with one of a few loadable blocks: what differs are the parameters."""
    draft.values |= rng.choice(LOADABLE)
    draft.values["out"] = rng.choice(FOLDERS[:5])
    for name in ("seed", "stall", "height", "frames", "waves", "target"):
        if rng.random() < 0.4:
            draft.values[name] = right_text(rng, name)
    if rng.random() < 0.4:
        draft.values["zero_point"] = str(rng.choice((0, 5, 127)))
    if rng.random() < 0.5:
        sizes = (int(draft.values[name]) for name in ("channels", "squeeze"))
        draft.values |= {"loadable": "1", "weights": "w.npz"}
        draft.files["w.npz"] = pack(good_weights(rng, *sizes, {}))


def _block(rng, draft):
    values = draft.values
    channels = int(right_text(rng, "channels"))
    squeeze, frames, height, width = (int(right_text(rng, name)) for name in ("squeeze", "frames", "height", "width"))
    for name in LOOSE:
        if name in draft.takes and rng.random() < 0.3:
            values[name] = right_text(rng, name)
    form = {}
    if rng.random() < 0.35:
        _weights(rng, draft, channels, squeeze, form)
    elif rng.random() < 0.5:
        values["squeeze"] = str(squeeze)
    if rng.random() < 0.35:
        _input(rng, draft, (frames, height, width, channels))
    else:
        _random_data(rng, draft, (frames, height, width))
    if not ({"weights", "input"} & set(values)) or rng.random() < 0.3:
        values["channels"] = str(channels)
    if rng.random() < 0.4:
        values["lanes"] = str(rng.choice([n for n in range(1, 65) if channels % n == 0]))
    for name in ("operand_bits", "error"):
        if rng.random() < 0.12:
            values[name] = right_text(rng, name)
            # What widths do depends on the weights; more error is always possible.
            if name == "operand_bits" and values[name] != "auto":
                draft.doubt()


def _weights(rng, draft, channels, squeeze, form):
    for name in ("mid", "gate", "residual"):
        if rng.random() < 0.3:
            text = right_text(rng, name)
            form[name] = text.lower() in ("1", "yes", "true", "on") if name == "residual" else text
            if draft.values.get(name):
                draft.values[name] = str(int(form[name])) if name == "residual" else text
    draft.arrays["weights"] = good_weights(rng, channels, squeeze, form)
    draft.values["weights"] = rng.choice(("w.npz", "data/w.npz", "\u00e9.npz", "w"))
    draft.files[draft.values["weights"]] = pack(draft.arrays["weights"], rng.random() < 0.2)
    if rng.random() < 0.2:
        draft.values["squeeze"] = str(squeeze)


def _input(rng, draft, shape):
    integer = rng.choice((None, None, "int8", "uint8"))
    if rng.random() < 0.3:
        shape = (1, *shape[1:])
    arrays = good_input(rng, shape[1:] if shape[0] == 1 and rng.random() < 0.5 else shape, integer)
    draft.arrays["input"] = arrays
    draft.values["input"] = "x.npz"
    draft.files["x.npz"] = pack(arrays)
    for name, value in zip(("frames", "height", "width"), shape, strict=False):
        if rng.random() < 0.2:
            draft.values[name] = str(value)
    if rng.random() < 0.3:
        draft.values["dtype"] = integer or right_text(rng, "dtype")
    if integer and rng.random() < 0.3:
        draft.values["zero_point"] = str(int(arrays["x_zero_point"]))
    elif rng.random() < 0.2:
        draft.values["zero_point"] = str(rng.choice((1, 50, 100) if draft.values.get("dtype") == "uint8" else (-9, 0)))
        if integer:
            draft.values["zero_point"] = str(int(arrays["x_zero_point"]))


def _random_data(rng, draft, shape):
    for name, value in zip(("frames", "height", "width"), shape, strict=True):
        if name == "width" or rng.random() < 0.4:
            draft.values[name] = str(value)
    if rng.random() < 0.3:
        draft.values["dtype"] = right_text(rng, "dtype")
    if rng.random() < 0.2:
        low, high = (0, 255) if draft.values.get("dtype") == "uint8" else (-128, 127)
        draft.values["zero_point"] = str(rng.choice((low, high, low + 9, 5)))


def _many(rng, draft):
    values = draft.values
    if draft.command == "demo":
        values |= {"pages": "2", "k": "7"}
    elif draft.command == "sweep":
        values |= {"configs": "list.toml", "jobs": "1"}
        draft.files["list.toml"] = working_sweep() if rng.random() < WORKING else failing_sweep()
    elif draft.command == "bench":
        values |= {"blocks": "2x2x4x1", "jobs": "1"}
    else:
        values |= {name: right_text(rng, name) for name in ("mutants", "beats", "builds", "lines", "jobs")
                   if name in draft.takes}


def _network(rng, draft):
    values = draft.values
    values["model"] = rng.choice(("net.onnx", "data/net.onnx", "\u00e9.onnx"))
    draft.files[values["model"]] = model_bytes()
    if draft.command == "report" and rng.random() < 0.5:
        draft.files.pop(values["model"])
        values["model"] = "mine.json"
        draft.files["mine.json"] = good_networks(rng)
    elif rng.random() < 0.3:
        values["input"] = "4x6x5"
    if draft.command in ("build", "sensitivity"):
        values["calibration"] = "images"
        draft.files |= {"images": "folder", "images/a.npz": pack(good_input(rng, (2, 4, 6, 5), None))}
    for name in ("k", "ks", "limit", "mean", "std", "bgr", "lanes", "macs", "slack", "sram_overhead", "dtype"):
        if name in draft.takes and rng.random() < 0.2:
            values[name] = right_text(rng, name)
            if name in ("mean", "std"):
                draft.doubt()
    if "jobs" in draft.takes:
        values["jobs"] = "1"
    if draft.command == "inspect" and rng.random() < 0.6:
        values["json"] = rng.choice(("blocks.json", "new/blocks.json"))
