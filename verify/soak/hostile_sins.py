# SPDX-License-Identifier: Apache-2.0
"""What can be wrong with a command line: a value, an option, a file, a contradiction, the folder for results."""

from .hostile_drafts import BLOCK
from .hostile_files import damaged, good_input, good_weights
from .hostile_lists import damaged_list, damaged_model
from .hostile_values import FILES, FLAGS, VARIABLES, right_text, wrong_text

__all__ = ["commit"]

# Paths that are no folder for results, with what must be there.
NO_FOLDERS = (("file", {"file": b"kept"}), ("file/below", {"file": b"kept"}), ("/dev/null", {}), ("/dev/full", {}),
              ("/dev/null/x", {}), ("dangling", {"dangling": "-> nowhere"}), ("loop", {"loop": "-> loop"}),
              ("/proc/self/mem", {}), ("fifo", {"fifo": "fifo"}), ("a/" + "x" * 300, {}), ("x" * 5000, {}))
# Paths that no file can be written to. None is a device: whoever may replace one would lose it.
NO_TARGETS = (("file/below", {"file": b"kept"}), ("folder", {"folder": "folder"}), ("fifo", {"fifo": "fifo"}),
              ("new/", {}), (".", {}), ("a/" + "x" * 300, {}), ("loop/x", {"loop": "-> loop"}))
# Paths that are no file to read.
NO_FILES = (("missing", {}), ("folder", {"folder": "folder"}), (".", {}), ("/dev/null", {}), ("/dev/zero", {}),
            ("/dev/full", {}), ("/dev/stdin", {}), ("fifo", {"fifo": "fifo"}), ("dangling", {"dangling": "-> nowhere"}),
            ("loop", {"loop": "-> loop"}), ("a\0b", {}), ("x" * 5000, {}), ("/proc/self/mem", {}), ("~/x", {}),
            ("http://a/b", {}), ("\udcff\n", {}), ("missing/../w", {}), ("$(id)", {}))
SUFFIXES = {"weights": ".npz", "input": ".npz", "model": ".onnx", "network": ".json", "configs": ".toml"}


def commit(rng, draft, first=True):
    """Do something to the Draft that is wrong, or may be; what isn't the `first` undoes nothing."""
    sins = [_value, _value, _foreign, _stray, _cut]
    if first and draft.command in BLOCK:
        sins += [_contradiction, _contradiction, _file, _damaged_file, _damaged_file, _damaged_file, _value]
    elif first:
        sins += [_file, _damaged_file, _damaged_file]
    if {"out", "json", "docs"} & set(draft.takes):
        sins.append(_no_target)
    rng.choice(sins)(rng, draft)


def _names(name):
    return VARIABLES[name] + "=", FLAGS[name]


def _value(rng, draft):
    """A text that is none of the option's."""
    name = rng.choice([name for name in draft.takes if name not in FILES and not _size(draft, name)])
    draft.values[name] = wrong_text(rng, name)
    draft.condemn(*_names(name))


def _size(draft, name):
    """Whether the option is a network's size rather than a file."""
    return name == "input" and draft.command not in BLOCK


def _foreign(rng, draft):
    """An option of another command, or of none: misspelt, shortened, in other letters."""
    others = [name for name in VARIABLES if name not in draft.takes]
    name = rng.choice(list(draft.takes))
    flag = rng.choice((FLAGS[rng.choice(others)], FLAGS[name][:-1], FLAGS[name] + "s", FLAGS[name].upper(),
                       "-" + name[0], VARIABLES[name] + "=3", "--" + name + "_", "\u2014\u2014k", "--\udcff"))
    if flag in [FLAGS[name] for name in draft.takes] or flag in ("-o", "-h", "--hel", "-", "--"):
        flag = "--nothing"
    if draft.standing and not flag.startswith("-"):
        flag = "--nothing"
    draft.tail += [flag] if rng.random() < 0.5 else [flag + "=3"]
    draft.condemn("unrecognized", "argument", "expected", "given twice", flag)


def _stray(rng, draft):
    """Words that belong to no option."""
    words = [rng.choice(("stray", "7", "K=7", "", "\n", "\udcff", "*"))] * (len(draft.standing) + 1)
    draft.tail += words
    draft.condemn("unrecognized", "given twice", "argument", "must be 0 or 1")


def _cut(rng, draft):
    """The last option has lost its value."""
    name = rng.choice([name for name in draft.takes if name not in ("loadable", "residual", "waves", "bgr")])
    draft.cut.append(FLAGS[name])
    draft.condemn(FLAGS[name], "unrecognized")


def _contradiction(rng, draft):
    """Options that are right, but not together."""
    values = draft.values
    kind = rng.choice(("lanes", "zero", "none", "large", "weights", "input", "error"))
    if kind == "lanes":
        values |= {"channels": "12", "lanes": rng.choice(("5", "7", "24", "64"))}
        # A file may say otherwise of the channels, which is wrong as well.
        draft.condemn(*_names("lanes"), *_names("channels"))
    elif kind == "zero":
        values |= dict(zip(("dtype", "zero_point"), rng.choice((("int8", "128"), ("int8", "255"), ("uint8", "-1"))),
                           strict=True))
        draft.condemn(*_names("zero_point"), *_names("dtype"))
    elif kind == "none":
        for name in ("weights", "input", "channels"):
            values.pop(name, None)
        values |= {"width": "5", "lanes": "1"}
        draft.condemn(*_names("channels"))
    elif kind == "large":
        values |= rng.choice(({"k": "65536", "width": "65536", "channels": "65536"},
                              {"width": "9", "channels": "65536", "squeeze": "65536"},
                              {"height": "1048576", "frames": "1048576", "width": "9", "channels": "9"}))
        draft.condemn(*(text for name in ("k", "width", "channels", "squeeze", "height", "frames")
                        for text in _names(name)))
    elif kind == "error":
        values["error"] = "0.5"
        draft.condemn(*_names("error"), *_names("operand_bits"))
    else:
        _other_than_the_file(rng, draft, kind)


def _other_than_the_file(rng, draft, option):
    if option not in draft.arrays:
        return _value(rng, draft)
    arrays = draft.arrays[option]
    if option == "weights":
        name, text = rng.choice((("channels", arrays["w1"].shape[1] + 1), ("squeeze", arrays["w1"].shape[0] + 1)))
    else:
        shape = (arrays["x"] if "x" in arrays else arrays["x_q"]).shape
        name, text = rng.choice((("height", shape[-3] + 1), ("width", shape[-2] + 1), ("channels", shape[-1] + 1),
                                 ("frames", 9)))
    draft.values[name] = str(text)
    return draft.condemn(*_names(name))


def _file(rng, draft):
    """A path that leads to no file."""
    options = [name for name in SUFFIXES if name in draft.takes and not _size(draft, name)]
    if not options:
        return _value(rng, draft)
    name = rng.choice(options)
    path, files = rng.choice(NO_FILES)
    if name in ("network", "model") and files:
        # What ends otherwise is a name of a network.
        (kind,), path = files.values(), path + SUFFIXES[name]
        files = {path: kind.replace("-> loop", "-> " + path)}
    draft.values[name] = path
    draft.files |= files
    # The default folder's name has the file's, which may be too long for it.
    return draft.condemn(*_names(name), *_names("model"), *_names("input"), *_names("out"))


def _damaged_file(rng, draft):
    """A file whose content is wrong, or may be."""
    options = [name for name in SUFFIXES if name in draft.takes and not _size(draft, name)]
    if not options:
        return _value(rng, draft)
    name = rng.choice(options)
    path = "damaged" + SUFFIXES[name]
    if name in ("weights", "input"):
        content, wrong = damaged(rng, draft.arrays.get(name) or _arrays(rng, draft, name))
    elif name == "model" and (draft.command != "report" or rng.random() < 0.4):
        content, wrong = damaged_model(rng), False
    else:
        name, kind = (name, name) if name != "model" else (name, "network")
        path = "damaged" + SUFFIXES[kind]
        # The size of an .onnx file's input.
        draft.values.pop("input", None)
        content, wrong = damaged_list(rng, kind)
    draft.values[name] = path
    draft.files[path] = content
    if name == "network":
        draft.values.pop("blocks", None)
        draft.values["jobs"] = "1"
    if rng.random() < 0.02:
        draft.files[path] = b"secret " + content
    return draft.condemn(*_names(name)) if wrong else draft.doubt(*_names(name), "=")


def _arrays(rng, draft, name):
    """Good arrays for a file that the draft doesn't have."""
    channels = int(draft.values.get("channels") or 4)
    if name == "weights":
        return good_weights(rng, channels, int(right_text(rng, "squeeze")), {"mid": "relu"})
    return good_input(rng, (2, 3, channels), rng.choice((None, "int8")))


def _no_target(rng, draft):
    """Results have nowhere to go."""
    name = rng.choice([name for name in ("out", "json", "docs") if name in draft.takes])
    path, files = rng.choice(NO_TARGETS if name == "json" or draft.command == "swap" else NO_FOLDERS)
    draft.values[name] = path
    draft.files |= files
    draft.condemn(*_names(name))
