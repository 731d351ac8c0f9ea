# SPDX-License-Identifier: Apache-2.0
"""Legal and illegal texts for every option, after what its own error message says is allowed."""

import dataclasses
import re

from hypothesis import strategies as st

from tiled_se.cli.commands import COMMANDS
from tiled_se.gen.fields import flag, options_of

__all__ = ["EVERY", "Row", "formatted", "illegal", "legal", "rows"]

# The largest legal numbers that keep a line short.
SHORT = {"k": 7, "width": 9, "channels": 16, "height": 7, "squeeze": 5, "slack": 300, "frames": 3, "limit": 3,
         "pages": 2, "jobs": 2, "repeats": 1, "seconds": 0.01, "mutants": 1, "beats": 1, "builds": 1}
GATES = ("sigmoid", "hardsigmoid", "hardsigmoid:0.2,0.5", "hardsigmoid:1,0", "hardsigmoid:0.125,1e-3",
         "hardsigmoid:3,-2.5")
# Illegal for every option but one that takes any name.
SPOILT = ("nan", "inf", "-inf", "None", "seven", "0x10", "1_0", "++1", "1 2", "1;2", "\u0967\u0968", "\u00bd",
          "\u202e7", "7\u00a0", " 7", "7 ", "7\n", "\t", "\U0001f600", "\udc80\udcff", "9" * 5000, "-" + "9" * 400,
          "1e400", "$(id)", "%s%n", "'", "\\", "{}", "--k", "\u00e4" * 300, "\x1b[31m", "=", "-")
# Of options that one message does not describe in numbers.
MORE_ILLEGAL = {
    "gate": ("hardsigmoid:", "hardsigmoid:1", "hardsigmoid:nan,0", "hardsigmoid:1,inf", "hardsigmoid:0,0",
             "hardsigmoid:1e7,0", "hardsigmoid:1,2,3", "hardsigmoid:a,b", "Sigmoid", "softmax"),
    "name": ("2x", "module", "clk", "s_axis_tdata", "status_loaded", "TOP", "../x", "a/b", "a.b", "A" * 129, "\u0131d"),
    "scheduler": ("node1:8786", "tcp://", "tcp://a:0", "tcp://a:99999", "tcp://a b:1", "http://a:1"),
    "blocks": ("1x1x1", "0x1x1x1", "1x1x1x1x1", "1x1x1x-1", "2x2x4x1,", "axbxcxd"),
}


@dataclasses.dataclass(frozen=True)
class Row:
    """An option of a command by its field's name: variable of make, flag, default, and what reads its text."""

    name: str
    variable: str
    flag: str
    default: object
    convert: object

    @property
    def blames(self):
        """What a message that names it has."""
        return {f"{self.variable}=", self.flag}

    @property
    def allowed(self):
        """What its message says of a text that nothing allows; None where every text is a name."""
        try:
            self.convert("?\n")
        except ValueError as error:
            return getattr(error, "allowed", str(error))
        return None


def rows(command):
    """The rows of `command`'s options, by field."""
    return {name: Row(name, about.variable, flag(name), about.default, about.convert)
            for name, about in options_of(COMMANDS[command].load_options()).items()}


EVERY = {name: row for command in COMMANDS for name, row in rows(command).items()}


def _match(row, pattern):
    match = re.fullmatch(pattern, row.allowed or "")
    return match and match.groups()


def formatted(row):
    """Whether texts of the option can be illegal whatever files there are."""
    return row.allowed is not None or row.name in MORE_ILLEGAL


def legal(row):
    """Legal texts, those of numbers small enough to keep a line short."""
    if found := _match(row, r"must be an integer from (-?\d+) to (\d+)(, or auto)?"):
        low, high = int(found[0]), min(int(found[1]), SHORT.get(row.name, 1 << 64))
        # The limits are where mistakes are.
        texts = (st.integers(low, high) | st.sampled_from((low, high))).map(str)
        texts |= texts.map(lambda text: text if text.startswith("-") else "+" + text)
        return texts | st.just("auto") if found[2] else texts
    if found := _match(row, r"must be a number from (\S+) to (less than )?(\S+)"):
        high = float(found[2])
        numbers = st.floats(float(found[0]), min(high, SHORT.get(row.name, high)), exclude_max=bool(found[1]))
        return st.one_of(*(numbers.map(text) for text in (str, "{:.3e}".format))).filter(_accepted(row))
    if found := _match(row, r"must be different integers from (\d+) to (\d+) .*"):
        high = min(int(found[1]), 9) if row.name == "ks" else int(found[1])
        return st.lists(st.integers(int(found[0]), high), min_size=1, max_size=3, unique=True).map(_joined)
    if _match(row, r"must be 1 to 4 numbers from (\S+) to (\S+) .*"):
        return st.sampled_from(("0.5", "0.1,.2,0.3", "1"))
    if row.allowed == "must be 0 or 1":
        return st.sampled_from(("0", "1", "no", "yes", "False", "TRUE", "off", "on"))
    if row.name == "gate":
        return st.sampled_from(GATES)
    if row.name == "name":
        return st.sampled_from(("tiled_se", "se_1", "_x", "A" * 128, "Se__9"))
    if found := _match(row, r"must be (?:one of )?(\w+(?:, \w+)*(?: or \w+)?)"):
        return st.sampled_from(re.split(", | or ", found[0]))
    return st.just({"blocks": "2x2x4x1"}.get(row.name, "nobody"))


def _accepted(row):
    """Whether the option takes a text: rounding may have taken a number beyond its limit."""
    def accepted(text):
        try:
            row.convert(text)
        except ValueError:
            return False
        return True
    return accepted


def _joined(values):
    return ",".join(map(str, values))


def illegal(row):
    """Texts that are illegal whatever else is said, none of them empty."""
    words = ("seven", "None", "nan", "inf")
    texts = [text for text in SPOILT if not (row.name == "name" and text in words)] + [*MORE_ILLEGAL.get(row.name, ())]
    if found := _match(row, r"must be an integer from (-?\d+) to (\d+)(?:, or auto)?"):
        low, high = map(int, found)
        texts += [str(low - 1), str(high + 1), str(-high - 1), str(1 << 64), f"{low}.0", f"{low}e0", "AUTO"]
    elif found := _match(row, r"must be a number from (\S+) to (less than )?(\S+)"):
        low, high = float(found[0]), float(found[2])
        texts += [str(low - 0.001), str(high * 1.001), "1,5", ".", "1e", *([str(high)] if found[1] else [])]
    elif found := _match(row, r"must be different integers from (\d+) to (\d+) with commas between, (\d+) at most"):
        low, high, most = map(int, found)
        texts += ["1,1", "1,,2", str(low - 1), str(high + 1), ",", "1,", _joined(range(low, low + most + 1))]
    elif found := _match(row, r"must be 1 to (\d+) numbers from (\S+) to (\S+) .*"):
        texts += [_joined([1] * (int(found[0]) + 1)), "1,,2", "nan,0,0", str(float(found[2]) * 1.1)]
    elif row.allowed == "must be 0 or 1":
        texts += ["2", "-1", "01", "maybe", "1.0"]
    elif found := _match(row, r"must be (?:one of )?(\w+(?:, \w+)*(?: or \w+)?)"):
        words = re.split(", | or ", found[0])
        texts += [words[0].upper(), words[0] + " ", words[0][:-1], ",".join(words), "0"]
    # What is special about the option is drawn as often as all that is spoilt.
    own = texts[len(SPOILT):] or texts
    return st.sampled_from(own) | st.sampled_from(texts)
