# SPDX-License-Identifier: Apache-2.0
"""Command lines with the files that they name: right ones, and ones with something wrong in them."""

import dataclasses
import functools
import signal

from hypothesis import strategies as st

from .files import damaged, flipped, good_input, good_weights, pack
from .lists import FAILING, damaged_list, good_networks, model_bytes
from .options import EVERY, formatted, illegal, legal, rows
from .sandbox import Line

__all__ = ["BLOCK", "NETWORKS", "bare", "damaged_lines", "right", "wrong"]

CONTEXT, SIZE = "sensitivity", "input_shape"
BLOCK, NETWORKS = ("sim", "verilog", "synth"), ("inspect", "swap", "report", "build", CONTEXT)
SHAPED = (*BLOCK, "simspeed")
# Options that may stand without their flags, in order.
STANDING = {**dict.fromkeys(NETWORKS, ("model",)), CONTEXT: ("model", "calibration")}
# Folders that exist or can be made.
FOLDERS = ("out", "there", "new/sub/out", "with space", "\u00fc\u4e16", "-dash", "a'b", "line\nbreak", "\udcff",
           "x" * 200, "./out/../out", "out.v", "%d")
# Paths that are no folder for results, no file to write, and no file to read, with what must be there.
LINKS = (("loop", {"loop": "-> loop"}), ("dangling", {"dangling": "-> nowhere"}))
NO_FOLDERS = (("file", {"file": b"kept"}), ("file/below", {"file": b"kept"}), *LINKS, ("/dev/null", {}),
              ("/dev/full", {}), ("/dev/null/x", {}), ("/proc/self/mem", {}), ("fifo", {"fifo": "fifo"}),
              ("a/" + "x" * 300, {}), ("x" * 5000, {}), ("a/" * 2040, {}), ("\u00e4" * 128, {}))
# None is a device: whoever may replace one would lose it.
NO_TARGETS = (("file/below", {"file": b"kept"}), ("folder", {"folder": "folder"}), ("fifo", {"fifo": "fifo"}),
              ("new/", {}), (".", {}), ("a/" + "x" * 300, {}), ("x" * 250, {}), ("loop/x", {"loop": "-> loop"}))
NO_FILES = (("missing", {}), ("folder", {"folder": "folder"}), (".", {}), ("fifo", {"fifo": "fifo"}), *LINKS,
            ("/dev/null", {}), ("/dev/zero", {}), ("/dev/full", {}), ("/dev/stdin", {}), ("a\0b", {}),
            ("x" * 5000, {}), ("/proc/self/mem", {}), ("~/x", {}), ("http://a/b", {}), ("\udcff\n", {}),
            ("missing/../w", {}), ("$(id)", {}))
SUFFIXES = {"weights": ".npz", "input": ".npz", "model": ".onnx", "network": ".json", "configs": ".toml"}


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

    def pick(self, choices):
        """One of `choices`, the first of which is the simplest."""
        return self.draw(st.sampled_from(list(choices)))

    def chance(self, percent):
        return self.draw(st.integers(1, 100)) > 100 - percent

    def legal(self, name):
        return self.draw(legal(EVERY[name]))

    @property
    def takes(self):
        return rows(self.command)

    @property
    def reads(self):
        """Options that name a file to read."""
        return [name for name in SUFFIXES if name in self.takes and (name != "input" or self.command in SHAPED)]

    def condemn(self, *names):
        """It must be refused, for one of the options `names`."""
        self.verdict = "wrong"
        self.blames |= {blame for name in names for blame in EVERY[name].blames}

    def doubt(self, *names):
        """It may be refused."""
        if self.verdict == "right":
            self.verdict = "either"
        self.blames |= {blame for name in names for blame in EVERY[name].blames}

    def line(self, **how):
        """The :class:`Line`, in any order and any spelling."""
        standing = [name for name in STANDING.get(self.command, ()) if name in self.said] if self.chance(80) else []
        groups = [self._spelt(name, text) for name, text in self.said.items() if name not in standing]
        groups = self.draw(st.permutations(groups))
        again = [name for name in self.said if formatted(EVERY[name]) and name != "scheduler"]
        if again and self.chance(6):
            # The last one counts.
            name = self.pick(again)
            groups = [[f"{EVERY[name].flag}={self.legal(name)}"], *groups]
        tokens = [token for group in groups for token in group]
        stand = [self.said[name] for name in standing]
        # One may come after the options; no option may come between two.
        last = len(stand) == 1 and self.chance(20)
        return Line(self.command, (self.command, *(tokens + stand if last else stand + tokens), *self.tail),
                    dict(self.said), self.files, self.verdict, frozenset(self.blames), **how)

    def _spelt(self, name, text):
        flag = "-o" if name == "out" and self.chance(30) else EVERY[name].flag
        if text == "1" and EVERY[name].allowed == "must be 0 or 1" and self.command not in STANDING and (
                self.chance(50)):
            return [flag]
        apart = not text.startswith("-") or text[1:].isdigit() and len(text) < 9
        if apart and (flag == "-o" or self.chance(40)):
            return [flag, text]
        return [f"{EVERY[name].flag}={text}"]


# Right lines.

@st.composite
def right(draw, commands, planned=True):
    """A right line of one of `commands`; of a block's commands one that ends at the plan if `planned`."""
    draft = _right(draw, draw(st.sampled_from(commands)))
    whole = draft.command not in BLOCK or not planned
    how = {"stdout": draft.pick(["file"] * 28 + ["full", "closed"]), "planned": not whole}
    if whole and draft.command == "verilog" and draft.chance(70):
        how["interrupted"] = (draft.pick((signal.SIGTERM, signal.SIGINT)), draw(st.integers(1, 9)),
                              draw(st.sampled_from((0.00001, 0.0001, 0.001, 0.1))))
    return draft.line(**how)


def _right(draw, command):
    draft = Draft(draw, command)
    if command in SHAPED:
        _block(draft)
    elif command in NETWORKS:
        _network(draft)
    else:
        _many(draft)
    if "out" in draft.takes and draft.chance(90):
        files = "tiled.onnx", "new/tiled.onnx", "\u00fc.onnx"
        draft.said["out"] = draft.pick(files if command == "swap" else FOLDERS)
        if draft.said["out"] == "there":
            draft.files |= {"there": "folder"} | {
                f"there/{name}": b"{" for name in ("notes.txt", "manifest.json", "report.json")}
    if draft.chance(5):
        # An empty value is no value.
        draft.said.setdefault(draft.pick(draft.takes), "")
    return draft


def _block(draft):
    said = draft.said
    sizes = {name: draft.legal(name).lstrip("+") for name in ("frames", "height", "width", "channels", "squeeze")}
    frames, height, width, channels, squeeze = map(int, sizes.values())
    for name in draft.takes:
        if formatted(EVERY[name]) and name not in (*sizes, "lanes", "dtype", "zero_point", "operand_bits", "error",
                                                   "sim") and draft.chance(25):
            said[name] = draft.legal(name)
    form = {}
    if draft.chance(35):
        _weights(draft, channels, squeeze, form)
    elif draft.chance(50):
        said["squeeze"] = sizes["squeeze"]
    if draft.chance(35):
        _input(draft, (frames, height, width, channels))
    else:
        said |= {name: sizes[name] for name in ("frames", "height", "width") if name == "width" or draft.chance(40)}
        if draft.chance(30):
            said["dtype"] = draft.legal("dtype")
        low = 0 if said.get("dtype") == "uint8" else -128
        if draft.chance(20):
            said["zero_point"] = str(draft.draw(st.integers(low, low + 255)))
    if not {"weights", "input"} & set(said) or draft.chance(30):
        said["channels"] = sizes["channels"]
    if draft.chance(40):
        said["lanes"] = str(draft.pick([n for n in range(1, 65) if channels % n == 0]))
    if draft.chance(12):
        said["operand_bits"] = draft.legal("operand_bits")
        # Whether a width is enough depends on the weights.
        draft.doubt("operand_bits", "error")
    if draft.chance(12):
        said["error"] = draft.pick(("1", "1.5", "256"))


def _weights(draft, channels, squeeze, form):
    for name in ("mid", "gate", "residual"):
        if draft.chance(30):
            text = draft.legal(name)
            form[name] = EVERY[name].convert(text) if name == "residual" else text
            if draft.said.get(name):
                draft.said[name] = str(int(form[name])) if name == "residual" else text
    draft.arrays["weights"] = good_weights(draft.draw, channels, squeeze, form)
    draft.said["weights"] = draft.pick(("w.npz", "data/w.npz", "\u00e9.npz", "w"))
    draft.files[draft.said["weights"]] = pack(draft.arrays["weights"], draft.chance(20))


def _input(draft, shape):
    integer = draft.pick((None, "int8", "uint8"))
    if draft.chance(30):
        shape = (1, *shape[1:])
    arrays = good_input(draft.draw, shape[1:] if shape[0] == 1 and draft.chance(50) else shape, integer)
    draft.arrays["input"], draft.said["input"], draft.files["x.npz"] = arrays, "x.npz", pack(arrays)
    for name, value in zip(("frames", "height", "width"), shape, strict=False):
        if draft.chance(20):
            draft.said[name] = str(value)
    if draft.chance(30):
        draft.said["dtype"] = integer or draft.legal("dtype")
    if draft.chance(25):
        zeros = ("1", "50", "100") if draft.said.get("dtype") == "uint8" else ("0", "-9")
        draft.said["zero_point"] = str(int(arrays["x_zero_point"])) if integer else draft.pick(zeros)


def _many(draft):
    """Of a command on many tasks: none of them is run here but of `sweep`."""
    if draft.command == "sweep":
        draft.said |= {"configs": "list.toml", "jobs": "1"}
        draft.files["list.toml"] = FAILING.encode()
    elif draft.command == "bench":
        draft.said |= {"blocks": "2x2x4x1", "jobs": "1"}
    else:
        draft.said |= {name: draft.legal(name) for name in draft.takes if formatted(EVERY[name])}


def _network(draft):
    said = draft.said
    said["model"] = draft.pick(("net.onnx", "data/net.onnx", "\u00e9.onnx"))
    draft.files[said["model"]] = model_bytes()
    if draft.command == "report" and draft.chance(50):
        said["model"], draft.files = "mine.json", {"mine.json": good_networks(draft.draw)}
    elif draft.chance(30):
        said[SIZE] = "4x6x5"
    if "calibration" in draft.takes:
        said["calibration"] = "images"
        draft.files |= {"images": "folder", "images/a.npz": pack(good_input(draft.draw, (2, 4, 6, 5), None))}
    for name in draft.takes:
        if formatted(EVERY[name]) and name not in (SIZE, "out", "operand_bits", "error", "frames") and draft.chance(20):
            said[name] = draft.legal(name)
            if name in ("mean", "std"):
                draft.doubt(name)
    if "jobs" in draft.takes:
        said["jobs"] = "1"
    if draft.command == "inspect" and draft.chance(60):
        said["json"] = draft.pick(("blocks.json", "new/blocks.json"))


# Wrong lines.

@st.composite
def wrong(draw, commands):
    """A line of one of `commands` with one or two things wrong, which must be refused."""
    draft = _right(draw, draw(st.sampled_from(commands)))
    sins = [_value, _foreign, _stray, _cut]
    first = [*sins, _no_file, _no_target, *([_contradiction] * 2 if draft.command in SHAPED else [])]
    draft.pick(first)(draft)
    if draft.chance(15):
        draft.pick(sins)(draft)
    return draft.line(planned=draft.command in BLOCK)


def _value(draft):
    """A text that is none of the option's."""
    name = draft.pick([name for name in draft.takes if formatted(EVERY[name])] or ["out"])
    draft.said[name] = draft.draw(illegal(EVERY[name])) if name != "out" else "x" * 5000
    draft.condemn(name)


def _foreign(draft):
    """An option of another command, or of none: misspelt, shortened, in other letters."""
    name, other = draft.pick(draft.takes), draft.pick([name for name in EVERY if name not in draft.takes])
    flag = EVERY[name].flag
    flag = draft.pick((EVERY[other].flag, flag[:-1], flag + "s", flag.upper(), flag + "_", "\u2014\u2014k", "--\udcff",
                       "-" + name[0], f"{EVERY[name].variable}=3"))
    known = [row.flag for row in draft.takes.values()]
    if flag in (*known, "-o", "-h", "--hel", "-", "--") or draft.command in STANDING and not flag.startswith("-"):
        flag = "--nothing"
    draft.tail += [flag + draft.pick(("", "=3"))]
    draft.verdict = "wrong"
    draft.blames |= {"unrecognized", "argument", "expected", "given twice", flag}


def _stray(draft):
    """Words that belong to no option."""
    words = [draft.pick(("stray", "7", "K=7", "", "\n", "\udcff", "*"))]
    draft.tail = words * (len(STANDING.get(draft.command, ())) + 1) + draft.tail
    draft.verdict = "wrong"
    draft.blames |= {"unrecognized", "given twice", "argument", "must be 0 or 1"}


def _cut(draft):
    """The last option has lost its value."""
    name = draft.pick([name for name in draft.takes if EVERY[name].allowed != "must be 0 or 1"])
    draft.tail += [EVERY[name].flag]
    draft.verdict = "wrong"
    draft.blames |= {EVERY[name].flag, "unrecognized"}


def _contradiction(draft):
    """Options that are right, but not together; or too much for any machine."""
    said = draft.said
    kind = draft.pick(("lanes", "zero", "none", "large", "file", "error"))
    if kind == "lanes":
        said |= {"channels": "12", "lanes": draft.pick(("5", "7", "24", "64"))}
        # A file may say otherwise of the channels, which is wrong as well.
        draft.condemn("lanes", "channels")
    elif kind == "zero":
        said["dtype"], said["zero_point"] = draft.pick((("int8", "128"), ("int8", "255"), ("uint8", "-1")))
        draft.condemn("zero_point", "dtype")
    elif kind == "none":
        for name in ("weights", "input", "channels"):
            said.pop(name, None)
        said |= {"width": "5", "lanes": "1"}
        draft.condemn("channels")
    elif kind == "large":
        said |= draft.pick(({"k": "65536", "width": "65536", "channels": "65536"},
                            {"width": "9", "channels": "65536", "squeeze": "65536"},
                            {"height": "1048576", "frames": "1048576", "width": "9", "channels": "9"}))
        draft.condemn("k", "width", "channels", "squeeze", "height", "frames")
    elif kind == "file" and draft.arrays:
        option = draft.pick(draft.arrays)
        arrays = draft.arrays[option]
        shape = arrays.get("w1", arrays.get("x", arrays.get("x_q"))).shape
        names = ("squeeze", "channels") if option == "weights" else ("frames", "height", "width", "channels")
        name, size = draft.pick(list(zip(names[-len(shape):], shape, strict=False)))
        said[name] = str(size + 1)
        draft.condemn(name)
    else:
        said["error"] = "0.5"
        draft.condemn("error", "operand_bits")


def _no_file(draft):
    """A path that leads to no file."""
    if not draft.reads:
        return _value(draft)
    name = draft.pick(draft.reads)
    path, files = draft.pick(NO_FILES)
    if name in ("network", "model") and files:
        # What ends otherwise is a name of a network.
        (kind,), path = files.values(), path + SUFFIXES[name]
        files = {path: kind.replace("-> loop", "-> " + path)}
    draft.said[name] = path
    draft.files |= files
    # The default folder's name has the file's, which may be too long for it.
    return draft.condemn(name, "model", "input", "out")


def _no_target(draft):
    """Results have nowhere to go."""
    names = [name for name in ("out", "json", "docs") if name in draft.takes]
    if not names:
        return _value(draft)
    name = draft.pick(names)
    draft.said[name], files = draft.pick(NO_TARGETS if name == "json" or draft.command == "swap" else NO_FOLDERS)
    draft.files |= files
    return draft.condemn(name)


@st.composite
def damaged_lines(draw, commands):
    """A line of one of `commands` that reads a file which is damaged, or crafted to do harm."""
    draft = _right(draw, draw(st.sampled_from(commands)))
    name = draft.pick(draft.reads)
    if name == "model" and draft.command == "report":
        draft.said.pop(SIZE, None)
        suffix, (content, refused) = "network", ".json", damaged_list(draw, "network")
    elif name == "model":
        suffix, content, refused = ".onnx", flipped(draw, model_bytes()), False
    elif name in ("network", "configs"):
        suffix, (content, refused) = SUFFIXES[name], damaged_list(draw, name)
        draft.said |= {"jobs": "1"}
        draft.said.pop("blocks", None)
    else:
        channels = int(draft.said.get("channels") or 4)
        good = draft.arrays.get(name) or (
            good_weights(draw, channels, 2, {"mid": "relu"}) if name == "weights" else
            good_input(draw, (2, 3, channels), draft.pick((None, "int8"))))
        suffix, (content, refused) = ".npz", damaged(draw, good)
    draft.said[name] = "damaged" + suffix
    draft.files[draft.said[name]] = content
    (draft.condemn if refused else functools.partial(draft.doubt, *EVERY))(name)
    return draft.line(planned=draft.command in BLOCK)


@st.composite
def bare(draw, commands):
    """Help, version, no command, or none that is known."""
    command = draw(st.sampled_from(commands))
    fine = ([command, "--help"], [command, "-h"], ["--help"], ["-h"], ["sim", "--k", "no", "--help"], ["--version"], [])
    options = ("--k", "--out=x", "-o", "--versio", "-x", "---", "--\u00e9", "--help=1")
    names = ("simulate", "", " ", "SIM", "sim ", "ver\nilog", "\udcff", "\U0001f600", "x" * 9000, "0", "sim,verilog")
    refused = [[text] for text in (*options, *names)] + [["--", "nothing"]]
    arguments = draw(st.sampled_from([*fine, *refused]))
    return Line("", tuple(arguments), verdict="right" if arguments in fine else "wrong",
                blames=frozenset(["COMMAND", "argument", "unrecognized"]))
