# SPDX-License-Identifier: Apache-2.0
"""Command lines with the files that they name: right ones, and ones with something wrong in them."""

import dataclasses
import functools
import os
import signal

from hypothesis import strategies as st

from tiled_se.gen.fields import flag, text_of
from tiled_se.hdl.data_type import DataType

from .files import damaged, edited, good_input, good_weights, pack
from .lists import FAILING, HARDWARE, damaged_list, damaged_manifest, good_networks, model_bytes
from .options import EVERY, SWITCH, blames, formatted, illegal, legal, options, refusal
from .sandbox import Line

__all__ = ["BLOCK", "damaged_lines", "right", "wrong"]

BLOCK = ("sim", "verilog", "synth")
NETWORKS = ("inspect", "swap", "report", "build", "sensitivity", "plan", "evaluate")
SHAPED = (*BLOCK, "simspeed")
# Options that may stand without their flags, in order.
STANDING = {**dict.fromkeys(NETWORKS, ("model",)), **dict.fromkeys(("sensitivity", "plan"), ("model", "calibration"))}
TILING = ("context", "tile_width", "prior_rows", "max_rows", "window", "order")
SIZES = ("frames", "height", "width", "channels", "squeeze")
# Options of a block that depend on others, or are said with their files.
DEPENDENT = (*SIZES, *TILING, "lanes", "dtype", "zero_point", "y_dtype", "y_scale", "y_zero_point", "operand_bits",
             "error", "sim", "registers")
# Folders that exist or can be made.
FOLDERS = ("out", "there", "new/sub/out", "with space", "\u00fc\u4e16", "-dash", "a'b", "line\nbreak", "\udcff",
           "x" * 200, "./out/../out", "out.v", "%d")
# What there is below these names, and paths that are no folder for results, no file to write, and no file to read.
PLACES = {"file": b"kept", "folder": os.mkdir, "fifo": os.mkfifo, "loop": functools.partial(os.symlink, "loop"),
          "dangling": functools.partial(os.symlink, "nowhere")}
NO_FOLDERS = ("file", "file/below", "fifo", "loop", "dangling", "/dev/null", "/dev/full", "/dev/null/x",
              "/proc/self/mem", "a/" + "x" * 300, "x" * 5000, "a/" * 2040, "\u00e4" * 128)
# None is a device: whoever may replace one would lose it.
NO_TARGETS = ("file/below", "folder", "fifo", "loop/x", "new/", ".", "a/" + "x" * 300, "x" * 250)
NO_FILES = ("missing", "folder", ".", "fifo", "loop", "dangling", "/dev/null", "/dev/zero", "/dev/full", "/dev/stdin",
            "a\0b", "x" * 5000, "/proc/self/mem", "~/x", "http://a/b", "\udcff\n", "missing/../w", "$(id)")
SUFFIXES = {"weights": ".npz", "input": ".npz", "hardware": ".json", "model": ".onnx", "network": ".json",
            "configs": ".toml"}
# No manifests of a loadable block.
NO_MANIFESTS = (b"", b"{}", b"[]", b'{"config": {}, "parameters": {"fingerprint": "00000000"}}', b"\xff\xfe",
                b"{" * 9999)


@dataclasses.dataclass
class Draft:
    """A command line in the making: see :class:`~.sandbox.Line`; `arrays` are those of its .npz files, by option."""

    draw: object
    command: str
    said: dict = dataclasses.field(default_factory=dict)
    files: dict = dataclasses.field(default_factory=dict)
    arrays: dict = dataclasses.field(default_factory=dict)
    verdict: str = "right"
    blames: set = dataclasses.field(default_factory=set)
    tail: list = dataclasses.field(default_factory=list)

    def __post_init__(self):
        self.takes = list(options(self.command))
        self.reads = [name for name in SUFFIXES if name in self.takes and (name != "input" or self.command in SHAPED)]

    def pick(self, choices):
        """One of `choices`, the first of which is the simplest."""
        return self.draw(st.sampled_from(list(choices)))

    def chance(self, percent):
        return self.draw(st.integers(1, 100)) > 100 - percent

    def say(self, percent, names):
        """Legal texts of some of the options `names`."""
        self.said |= {name: self.draw(legal(name)) for name in names if formatted(name) and self.chance(percent)}

    def condemn(self, *names, verdict="wrong", texts=()):
        """The line must be refused, or may be: for one of the options `names`, or with one of `texts`."""
        self.verdict = self.verdict if self.verdict == "wrong" else verdict
        self.blames |= {*blames(*names), *texts}

    def line(self, **how):
        """The :class:`Line`, in any order and any spelling."""
        standing = [name for name in STANDING.get(self.command, ()) if name in self.said] if self.chance(80) else []
        groups = [self._spelt(name, text) for name, text in self.said.items() if name not in standing]
        groups = self.draw(st.permutations(groups))
        again = [name for name in self.said if formatted(name) and name != "scheduler"]
        if again and self.chance(6):
            # The last one counts.
            name = self.pick(again)
            groups = [[f"{flag(name)}={self.draw(legal(name))}"], *groups]
        tokens = [token for group in groups for token in group]
        stand = [self.said[name] for name in standing]
        # One may come after the options; no option may come between two.
        last = len(stand) == 1 and self.chance(20)
        return Line(self.command, (self.command, *(tokens + stand if last else stand + tokens), *self.tail),
                    dict(self.said), self.files, self.verdict, frozenset(self.blames), **how)

    def _spelt(self, name, text):
        short = "-o" if name == "out" and self.chance(30) else flag(name)
        if text == "1" and refusal(name) == SWITCH and self.command not in STANDING and self.chance(50):
            return [short]
        apart = not text.startswith("-") or text[1:].isdigit() and len(text) < 9
        return [short, text] if apart and (short == "-o" or self.chance(40)) else [f"{flag(name)}={text}"]


@st.composite
def right(draw, commands, planned=True):
    """A right line of one of `commands`; of a block's commands one that ends at the plan if `planned`."""
    draft = _right(draw, draw(st.sampled_from(commands)))
    planned = planned and draft.command in BLOCK
    how = {"stdout": draft.pick(["file"] * 28 + ["full", "closed"])}
    if draft.command == "verilog" and not planned and draft.chance(70):
        how["interrupted"] = (draft.pick((signal.SIGTERM, signal.SIGINT)), draw(st.integers(1, 9)),
                              draw(st.sampled_from((0.00001, 0.0001, 0.001, 0.1))))
    return draft.line(planned=planned, **how)


def _right(draw, command):
    draft = Draft(draw, command)
    (_block if command in SHAPED else _network if command in NETWORKS else _many)(draft)
    if "out" in draft.takes and draft.chance(90):
        files = "tiled.onnx", "new/tiled.onnx", "\u00fc.onnx"
        draft.said["out"] = draft.pick(files if command == "swap" else FOLDERS)
        if draft.said["out"] == "there":
            draft.files |= {f"there/{name}": b"{" for name in ("notes.txt", "manifest.json", "report.json")}
    if draft.chance(5):
        # An empty value is no value.
        draft.said.setdefault(draft.pick(draft.takes), "")
    return draft


def _block(draft):
    said = draft.said
    sizes = {name: draft.draw(legal(name)) for name in SIZES}
    frames, height, width, channels, squeeze = map(int, sizes.values())
    draft.say(25, [name for name in draft.takes if name not in DEPENDENT])
    if draft.chance(40):
        _tiling(draft, height, width)
    if draft.chance(35):
        _weights(draft, channels, squeeze)
    elif draft.chance(50):
        said["squeeze"] = sizes["squeeze"]
    if draft.chance(35):
        _input(draft, (frames, height, width, channels))
    else:
        line = "height" if said.get("order") == "columns" else "width"
        said |= {name: sizes[name] for name in ("frames", "height", "width") if name == line or draft.chance(40)}
        draft.say(30, ["dtype"])
        data = DataType.parse(said.get("dtype", "int8"))
        if draft.chance(20):
            said["zero_point"] = str(draft.draw(st.integers(data.low, data.high)))
    if draft.chance(30):
        _outputs(draft)
    if not {"weights", "input"} & set(said) or draft.chance(30):
        said["channels"] = sizes["channels"]
    if draft.chance(40):
        said["lanes"] = str(draft.pick([n for n in range(1, 65) if channels % n == 0]))
    if draft.chance(12):
        said["error"] = draft.pick(("1", "1.5", "256"))
    draft.say(12, ["operand_bits"])
    if "operand_bits" in said:
        # Whether a width is enough depends on the weights.
        draft.condemn("operand_bits", "error", verdict="either")


def _outputs(draft):
    """A format of the outputs; with a chosen scale and zero point any type is right."""
    draft.said["y_scale"] = "auto"
    draft.say(50, ["y_dtype"])
    if draft.chance(30):
        # Whether they fit depends on the type of the input and its scale.
        draft.say(60, ["y_scale", "y_zero_point"])
        draft.condemn("y_scale", "y_zero_point", verdict="either")


def _tiling(draft, height, width):
    """A context, what it takes, and an order; K is small where the other side of the map is the hardware's."""
    said, context = draft.said, draft.draw(legal("context"))
    said["context"] = context
    if context in ("cumulative", "causal"):
        draft.say(40, ["prior_rows", "max_rows"])
        if context == "causal" and int(said.get("prior_rows", 1)) < 1:
            said["prior_rows"] = "1"
    if context == "window":
        said["window"] = draft.draw(legal("window"))
    draft.say(40, ["order"])
    line = height if said.get("order") == "columns" else width
    if context == "tile" and line > 1 and draft.chance(50):
        said["tile_width"] = str(draft.pick(range(1, line)))


def _weights(draft, channels, squeeze):
    form = {name: draft.draw(legal(name)) for name in ("mid", "gate", "residual") if draft.chance(30)}
    draft.said |= {name: text for name, text in form.items() if name in draft.said}
    if "residual" in form:
        form["residual"] = EVERY["residual"].convert(form["residual"])
    draft.arrays["weights"] = good_weights(draft.draw, channels, squeeze, form)
    draft.said["weights"] = draft.pick(("w.npz", "data/w.npz", "\u00e9.npz", "w"))
    draft.files[draft.said["weights"]] = pack(draft.arrays["weights"], draft.chance(20))


def _input(draft, shape):
    integer = draft.pick((None, "int8", "uint8"))
    if draft.chance(30):
        shape = (1, *shape[1:])
    arrays = good_input(draft.draw, shape[1:] if shape[0] == 1 and draft.chance(50) else shape, integer)
    draft.arrays["input"], draft.said["input"], draft.files["x.npz"] = arrays, "x.npz", pack(arrays)
    draft.said |= {name: str(size) for name, size in zip(SIZES, shape[:3], strict=False) if draft.chance(20)}
    if draft.chance(30):
        draft.said["dtype"] = integer or draft.draw(legal("dtype"))
    if draft.chance(25):
        # One with integers on both sides.
        data = DataType.parse(draft.said.get("dtype", "int8"))
        zeros = [str(zero) for zero in sorted({data.low + 1, data.offset, data.high - 1})]
        draft.said["zero_point"] = str(int(arrays["x_zero_point"])) if integer else draft.pick(zeros)


def _many(draft):
    """Of a command on many tasks: none of them is run here but of `sweep`."""
    if draft.command == "sweep":
        draft.said |= {"configs": "list.toml", "jobs": "1"}
        draft.files["list.toml"] = FAILING.encode()
    elif draft.command == "bench":
        draft.said |= {"blocks": "2x2x4x1", "jobs": "1"}
    else:
        draft.say(100, draft.takes)


def _network(draft):
    said = draft.said
    said["model"] = draft.pick(("net.onnx", "data/net.onnx", "\u00e9.onnx"))
    draft.files[said["model"]] = model_bytes()
    if draft.command == "report" and draft.chance(50):
        said["model"], draft.files = "mine.json", {"mine.json": good_networks(draft.draw)}
    elif draft.chance(30):
        said["input_shape"] = "4x6x5"
    if "calibration" in draft.takes:
        said["calibration"] = "images"
        draft.files |= {"images/a.npz": pack(good_input(draft.draw, (2, 4, 6, 5), None))}
    if "metric" in draft.takes:
        said |= {"data": "images", "metric": "mine.py"}
        draft.files["mine.py"] = b"def metric(outputs, name, label):\n    return outputs.popitem()[1].mean()\n"
    draft.say(20, [name for name in draft.takes if name not in (*TILING, "operand_bits", "error", "frames")])
    if "context" in draft.takes and draft.chance(40):
        _tiling(draft, 6, 5)
    if unsure := {"mean", "std"} & set(said):
        draft.condemn(*unsure, verdict="either")
    if "jobs" in draft.takes:
        said["jobs"] = "1"
    if draft.command == "plan":
        # More than any block of this size takes.
        said["budget"] = "1MiB"
    if draft.command == "inspect" and draft.chance(60):
        said["json"] = draft.pick(("blocks.json", "new/blocks.json"))


@st.composite
def wrong(draw, commands):
    """A line of one of `commands` with one or two things wrong, which must be refused."""
    draft = _right(draw, draw(st.sampled_from(commands)))
    draft.pick([_value, _syntax, _syntax, _path, *([_contradiction] if draft.command in SHAPED else [])])(draft)
    if draft.chance(15):
        draft.pick([_value, _syntax])(draft)
    return draft.line(planned=draft.command in BLOCK)


def _value(draft):
    """A text that is none of the option's."""
    name = draft.pick([name for name in draft.takes if formatted(name)] or ["out"])
    draft.said[name] = draft.draw(illegal(name)) if name != "out" else "x" * 5000
    draft.condemn(name)


def _syntax(draft):
    """An option of another command or of none, words that belong to no option, or an option that lacks its value."""
    own, other = draft.pick(draft.takes), draft.pick([name for name in EVERY if name not in draft.takes])
    flags = [flag(other), flag(own)[:-1], flag(own).upper(), flag(own + "s"), flag(own) + "_", "--\udcff", "-" + own[0]]
    known = [*map(flag, draft.takes), "-o", "-h", "--hel", "-", "--"]
    strays = ("stray", "7", f"{EVERY[own].variable}=3", "\u2014\u2014k", "", "\n", "\udcff", "*")
    tail = draft.pick([
        *([text + value] for text in flags if text not in known for value in ("", "=3")),
        *([stray] * (len(STANDING.get(draft.command, ())) + 1) for stray in strays),
        *([flag(name)] for name in draft.takes if refusal(name) != SWITCH)])
    draft.tail[:0] = tail
    draft.condemn(texts=["unrecognized", "argument", "expected", "given twice", SWITCH, *(
        text for text in tail if text.startswith("-"))])


# Options that are right, but not together, or too much for any machine; and those that the message may name.
CONTRADICTIONS = (
    *(({"channels": "12", "lanes": lanes}, ("lanes", "channels")) for lanes in ("5", "7", "24", "64")),
    *(({"dtype": dtype, "zero_point": zero}, ("dtype", "zero_point")) for dtype, zero in (
        ("int8", "128"), ("int8", "255"), ("uint8", "-1"), ("int4", "8"), ("uint16", "-1"))),
    ({"weights": "", "input": "", "channels": "", "width": "5", "lanes": "1"}, ("channels",)),
    *((said, tuple(said)) for said in (
        {"k": "65536", "width": "65536", "channels": "65536"}, {"channels": "65536", "squeeze": "65536", "width": "9"},
        {"height": "1048576", "frames": "1048576", "width": "9", "channels": "9"})),
    ({"error": "0.5"}, ("error", "operand_bits")),
    ({"context": "causal", "prior_rows": "0", "window": "", "tile_width": ""}, ("prior_rows",)),
    *(({"context": context, "tile_width": "2", "window": "0:1"}, ("tile_width", "window")) for context in (
        "cumulative", "causal", "window")),
    ({"context": "window", "window": "", "tile_width": ""}, ("window",)),
)


def _contradiction(draft):
    """One of these; or a size other than that of a file."""
    said, names = draft.pick(CONTRADICTIONS)
    if draft.arrays and draft.chance(20):
        option = draft.pick(draft.arrays)
        arrays = draft.arrays[option]
        shape = arrays.get("w1", arrays.get("x", arrays.get("x_q"))).shape
        order = ("squeeze", "channels") if option == "weights" else SIZES[:4]
        name, size = draft.pick(zip(order[-len(shape):], shape, strict=True))
        said, names = {name: str(size + 1)}, (name,)
    draft.said |= said
    draft.condemn(*names)


def _path(draft):
    """A path that leads to no file, or results have nowhere to go."""
    targets = [name for name in ("out", "json", "docs") if name in draft.takes]
    if not draft.reads + targets:
        return _value(draft)
    name = draft.pick(draft.reads + targets)
    path = draft.pick(NO_FILES if name in draft.reads else NO_TARGETS if name == "json" or draft.command == "swap"
                      else NO_FOLDERS)
    draft.files |= {place: PLACES[place] for place in path.split("/")[:1] if place in PLACES}
    if name in ("network", "model") and path in PLACES:
        # What ends otherwise is a name of a network.
        target, path = path, path + SUFFIXES[name]
        draft.files[path] = functools.partial(os.symlink, target)
    draft.said[name] = path
    # The default folder's name has the file's, which may be too long for it.
    return draft.condemn(name, *(["model", "input", "out"] if name in draft.reads else []))


@st.composite
def damaged_lines(draw, commands):
    """A line of one of `commands` that reads a file which is damaged, or crafted to do harm."""
    draft = _right(draw, draw(st.sampled_from(commands)))
    name = draft.pick(draft.reads)
    suffix = SUFFIXES[name]
    if name == "model" and draft.command == "report":
        draft.said.pop("input_shape", None)
        suffix, (content, refused) = ".json", damaged_list(draw, "network")
    elif name == "model":
        content, refused = edited(draw, model_bytes()), False
    elif name == "hardware":
        known = draft.chance(60)
        content, refused = (damaged_manifest(draw), False) if known else (draft.pick(NO_MANIFESTS), True)
        if known:
            # With the options that the hardware was made with, nothing but the manifest is wrong.
            draft.said = {name: text_of(value) for name, value in HARDWARE.items()} | {
                name: draft.said[name] for name in ("out",) if name in draft.said}
    elif name in ("network", "configs"):
        content, refused = damaged_list(draw, name)
        draft.said |= {"jobs": "1"}
        draft.said.pop("blocks", None)
    else:
        channels = int(draft.said.get("channels") or 4)
        content, refused = damaged(draw, draft.arrays.get(name) or (
            good_weights(draw, channels, 2, {"mid": "relu"}) if name == "weights" else
            good_input(draw, (2, 3, channels), draft.pick((None, "int8")))))
    draft.said[name] = "damaged" + suffix
    draft.files[draft.said[name]] = content
    draft.condemn(*([name] if refused else EVERY), verdict="wrong" if refused else "either")
    return draft.line(planned=draft.command in BLOCK)
