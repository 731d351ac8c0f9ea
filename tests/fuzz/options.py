# SPDX-License-Identifier: Apache-2.0
"""Legal and illegal texts for every option, after what its own error message says is allowed."""

import re

from hypothesis import strategies as st

from tiled_se.cli.commands import COMMANDS
from tiled_se.gen.fields import flag, options_of

__all__ = ["EVERY", "SWITCH", "blames", "formatted", "illegal", "legal", "options", "refusal"]

# The largest legal numbers that keep a line short.
SHORT = {"k": 7, "tile_width": 9, "prior_rows": 5, "max_rows": 9, "width": 9, "channels": 16, "height": 7, "squeeze": 5,
         "slack": 300, "frames": 3, "limit": 3, "pages": 2, "jobs": 2, "repeats": 1, "seconds": 0.01, "mutants": 1,
         "beats": 1, "builds": 1, "ks": 9}
# Illegal for every option but one that takes any name.
SPOILT = ("nan", "inf", "-inf", "None", "seven", "0x10", "1_0", "++1", "1 2", "1;2", "\u0967\u0968", "\u00bd",
          "\u202e7", "7\u00a0", " 7", "7 ", "7\n", "\t", "\U0001f600", "\udc80\udcff", "9" * 5000, "-" + "9" * 400,
          "1e400", "$(id)", "%s%n", "'", "\\", "{}", "--k", "\u00e4" * 300, "\x1b[31m", "=", "-")
# Options whose message has no pattern: legal texts, and illegal ones.
OTHERS = {
    "gate": (("sigmoid", "hardsigmoid", "hardsigmoid:0.2,0.5", "hardsigmoid:1,0", "hardsigmoid:0.125,1e-3",
              "hardsigmoid:3,-2.5"),
             ("hardsigmoid:", "hardsigmoid:1", "hardsigmoid:nan,0", "hardsigmoid:1,inf", "hardsigmoid:0,0",
              "hardsigmoid:1e7,0", "hardsigmoid:1,2,3", "hardsigmoid:a,b", "Sigmoid", "softmax")),
    "name": (("tiled_se", "se_1", "_x", "A" * 128, "Se__9"),
             ("2x", "module", "clk", "s_axis_tdata", "status_loaded", "TOP", "../x", "a/b", "a.b", "A" * 129,
              "\u0131d")),
    **dict.fromkeys(("dtype", "y_dtype"), (
        ("int8", "uint8", "int2", "int4", "uint5", "int12", "uint16"),
        ("int1", "int17", "uint1", "uint17", "int", "float16", "INT8", "int08", "s8"))),
    "y_scale": (("auto", "0.02", "1e-3", ".5", "4"), ("0", "0.0", "-1", "1e-999", "AUTO", "1,5", ".", "1e")),
    "calibrate_by": (("auto", "min-max", "percentile", "percentile:99.9", "mse"),
                     ("minmax", "percentile:", "percentile:49", "percentile:101", "percentile:a", "MSE")),
    "window": (("0:7", "4:1", "00:001", "65536:1"), ("7", "0:0", "0:7:1", "0,7", "-1:7", "0:", ":7", "65537:1", "a:b")),
    "scheduler": (("nobody",), ("node1:8786", "tcp://", "tcp://a:0", "tcp://a:99999", "tcp://a b:1", "http://a:1")),
    **dict.fromkeys(("mean", "std"), (("0.5", "0.1,.2,0.3", "1"), ("1,1,1,1,1", "1,,2", "nan,0,0", "1.1e6"))),
    "budget": (("64KiB", "1.5MiB", "500000bits", "0.1", "9"), ("64KB", "0", "-1", "10%", "0KiB", "1001", "KiB")),
    "blocks": (("2x2x4x1",), ("1x1x1", "0x1x1x1", "1x1x1x1x1", "1x1x1x-1", "2x2x4x1,", "axbxcxd")),
}
SWITCH = "must be 0 or 1"


def options(command):
    """The options of `command`, by field: see :class:`tiled_se.gen.fields.Option`."""
    return options_of(COMMANDS[command].load_options())


EVERY = {name: option for command in COMMANDS for name, option in options(command).items()}


def blames(*names):
    """Texts of which a message that names one of these options has at least one."""
    return {text for name in names for text in (f"{EVERY[name].variable}=", flag(name))}


def refusal(name, text="?\n"):
    """What the option's message says is allowed; "" where it takes the text, as names of files."""
    try:
        EVERY[name].convert(text)
    except ValueError as error:
        return getattr(error, "allowed", str(error))
    return ""


def formatted(name):
    """Whether texts of the option can be illegal whatever files there are."""
    return bool(refusal(name)) or name in OTHERS


# What a message allows: functions that return legal texts and illegal ones, from what its pattern finds.

def joined(values):
    return ",".join(map(str, values))


def integers(name, low, high, auto):
    low, high = int(low), int(high)
    top = min(high, SHORT.get(name, high))
    # The limits are where mistakes are.
    numbers = st.integers(low, top) | st.sampled_from((low, top))
    texts = numbers.map(str) | numbers.map("{:+d}".format)
    return texts | st.just("auto") if auto else texts, [
        low - 1, high + 1, -high - 1, 1 << 64, f"{low}.0", f"{low}e0", "AUTO"]


def numbers(name, low, less, high):
    low, high = float(low), float(high)
    texts = st.floats(low, min(high, SHORT.get(name, high)), exclude_max=bool(less))
    # Rounding may take a number beyond its limit.
    texts = texts.map(str) | texts.map("{:.3e}".format).filter(lambda text: not refusal(name, text))
    return texts, [low - 0.001, high * 1.001, "1,5", ".", "1e", *([high] if less else [])]


def lists(name, low, high, most):
    low, high, most = int(low), int(high), int(most)
    texts = st.lists(st.integers(low, min(high, SHORT.get(name, high))), min_size=1, max_size=3, unique=True)
    return texts.map(joined), ["1,1", "1,,2", low - 1, high + 1, ",", "1,", joined(range(low, low + most + 1))]


def switches(name):
    return st.sampled_from(("0", "1", "no", "yes", "False", "TRUE", "off", "on")), ["2", "-1", "01", "maybe", "1.0"]


def choices(name, words):
    words = re.split(", | or ", words)
    return st.sampled_from(words), [words[0].upper(), words[0] + " ", words[0][:-1], joined(words), "0"]


def pairs(name, names, values):
    names, values = names.split(", "), values.split(", ")
    pair = st.tuples(st.sampled_from(names), st.sampled_from(values)).map("=".join)
    texts = st.lists(pair, min_size=1, max_size=3, unique_by=lambda text: text.partition("=")[0])
    return texts.map(joined), [f"{names[0]}=", f"={values[0]}", names[0], f"{names[0]}={values[0]},",
                               f"{names[0]}={values[0]},{names[0]}={values[0]}", f"{names[0]}={values[0]}x"]


PATTERNS = {
    r"must be an integer from (-?\d+) to (\d+)(, or auto)?": integers,
    r"must be a number from (\S+) to (less than )?(\S+)": numbers,
    r"must be different integers from (\d+) to (\d+) with commas between, (\d+) at most": lists,
    SWITCH: switches,
    r"must be NAME=VALUE with commas between, each name once, NAME of (.*), VALUE of (.*)": pairs,
    r"must be (?:one of )?([\w-]+(?:, [\w-]+)*(?: or [\w-]+)?)": choices,
}


def texts(name):
    """``(legal, illegal)``: a strategy, and texts that are illegal only for this option or for those like it."""
    if name in OTHERS:
        right, wrong = OTHERS[name]
        return st.sampled_from(right), wrong
    for pattern, function in PATTERNS.items():
        if found := re.fullmatch(pattern, refusal(name)):
            return function(name, *found.groups())
    return st.just("nobody"), ()


def legal(name):
    """Legal texts, those of numbers small enough to keep a line short."""
    return texts(name)[0]


def illegal(name):
    """Texts that are illegal whatever else is said, none of them empty; half of them are special to the option."""
    own = [str(text) for text in texts(name)[1]]
    spoilt = [text for text in SPOILT if name != "name" or not text.isalpha()]
    return st.sampled_from(own or spoilt) | st.sampled_from(spoilt)
