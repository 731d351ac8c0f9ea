# SPDX-License-Identifier: Apache-2.0
"""Texts for every option, right and wrong ones, after README.md and `make help`, not by the code that reads them."""

__all__ = ["COMMANDS", "FILES", "FLAGS", "OF", "SWITCHES", "VARIABLES", "right_text", "wrong_text"]

# Options of a block: its shape, hardware, network and data; of its simulation and synthesis.
SHAPED = ("k", "width", "channels", "height", "squeeze", "lanes", "macs", "sram_overhead", "slack", "loadable",
          "operand_bits", "error", "mid", "gate", "residual", "weights", "input", "dtype", "zero_point", "frames",
          "seed", "stall")
BLOCK = (*SHAPED, "sim", "waves", "target", "seeds", "out", "name")
IMAGES = ("calibration", "limit", "mean", "std", "bgr")
# Options of each command, as its help and README.md have them; a test holds the table that the commands read to it.
OF = {
    "sim": BLOCK, "verilog": BLOCK, "synth": BLOCK,
    "bench": ("out", "network", "blocks", "jobs", "docs"),
    "simspeed": (*SHAPED, "out", "name", "docs", "repeats", "seconds"),
    "sweep": ("out", "jobs", "configs", "scheduler"),
    "inspect": ("k", "input", "model", "json"), "swap": ("k", "input", "model", "skip", "out"),
    "build": ("k", "lanes", "macs", "sram_overhead", "slack", "loadable", "operand_bits", "error", "input", "dtype",
              "frames", "seed", "stall", "model", *IMAGES, "skip", "out", "jobs"),
    "report": ("k", "lanes", "macs", "sram_overhead", "slack", "input", "model", "out", "jobs"),
    "sensitivity": ("input", "model", *IMAGES, "ks", "out"), "demo": ("k", "seed", "pages", "out"),
    "prove": ("out", "jobs", "only"), "mutate": ("seed", "out", "jobs", "mutants"),
    "crosscheck": ("out", "jobs", "only"),
    "soak": ("seed", "out", "jobs", "only", "beats", "builds", "lines"),
}
COMMANDS = tuple(OF)
# Variables of make; all others are the option in capitals.
NAMED = {"width": "W", "channels": "C", "height": "H", "squeeze": "CR", "mutants": "N"}
OPTIONS = tuple(dict.fromkeys(name for names in OF.values() for name in names))
VARIABLES = {name: NAMED.get(name, name.upper()) for name in OPTIONS}
FLAGS = {name: "--" + name.replace("_", "-") for name in OPTIONS}
# Options whose texts are names: what is wrong with one is in the file system, or in a network.
FILES = ("weights", "input", "model", "calibration", "json", "out", "docs", "configs", "network", "skip", "only")
SWITCHES = ("loadable", "residual", "waves", "bgr")

# Lowest and highest legal integer, and those that keep a run short; what `auto` is legal for.
INTEGERS = {
    "k": (1, 65536, (1, 2, 3, 4, 5, 7)), "width": (1, 65536, (1, 2, 3, 5, 8)),
    "channels": (1, 65536, (1, 2, 3, 4, 6, 8, 12, 16)), "height": (1, 1 << 20, (1, 2, 3, 4, 7)),
    "squeeze": (1, 65536, (1, 2, 3, 5)), "lanes": (1, 64, (1, 2, 3, 4)),
    "macs": (1, 4096, (1, 2, 3, 5, 4096)), "slack": (0, 1 << 20, (0, 1, 9, 300)),
    "operand_bits": (10, 40, (14, 18, 24, 40)), "zero_point": (-128, 255, (0, 3, 127)),
    "frames": (1, 1 << 20, (1, 2, 3)), "seed": (0, (1 << 32) - 1, (0, 7, (1 << 32) - 1)),
    "limit": (1, 4096, (1, 3)), "pages": (2, 400, (2,)), "jobs": (1, 1024, (1, 2)), "repeats": (1, 1000, (1,)),
    "mutants": (1, 100_000, (1,)), "beats": (0, 10**12, (0,)), "builds": (0, 100_000, (0,)), "lines": (0, 10**7, (0,)),
}
AUTO = ("macs", "slack", "operand_bits")
NUMBERS = {"sram_overhead": (0, 10, ("0", "0.05", "1", ".5", "10", "2e-2")), "error": (0.5, 256, ("1", "1.5", "256")),
           "stall": (0, 1, ("0", "0.3", ".99", "1e-3")), "seconds": (0.01, 600, ("0.01",))}
CHOICES = {"mid": ("relu", "relu6", "silu", "hardswish", "identity"), "dtype": ("int8", "uint8"),
           "sim": ("verilator",), "target": ("ecp5", "ice40", "xilinx")}
GATES = ("sigmoid", "hardsigmoid", "hardsigmoid:0.2,0.5", "hardsigmoid:1,0", "hardsigmoid:0.125,1e-3",
         "hardsigmoid:3,-2.5")
LISTS = {"seeds": ("1", "3,1,2", "2147483647"), "ks": ("1", "3,5"), "mean": ("0.5", "0.1,0.2,0.3", "0"),
         "std": ("1", "0.1,.2,0.3"), "skip": ("nobody",), "blocks": ("2x2x4x1",)}
NAMES = ("tiled_se", "se_1", "_x", "A" * 128, "Se__9")
SPOILT = ("nan", "inf", "-inf", "None", "seven", "0x10", "1_0", "++1", "1 2", "1;2", "\u0967\u0968", "\u00bd",
          "\u202e7", "7\u00a0", " 7", "7 ", "7\n", "\t", "\U0001f600", "\udc80\udcff", "9" * 5000, "-" + "9" * 400,
          "1e400", "$(id)", "%s%n", "'", "\\", "{}", "--k", "\u00e4" * 300, "\x1b[31m", "=", "-")


def right_text(rng, name):
    """A legal text for option `name`, one that keeps a run short."""
    if name in INTEGERS:
        values = [*INTEGERS[name][2], *(["auto"] if name in AUTO else [])]
        text = str(rng.choice(values))
        return "+" + text if text.isdigit() and rng.random() < 0.05 else text
    if name in NUMBERS:
        return rng.choice(NUMBERS[name][2])
    if name in SWITCHES:
        return rng.choice(("0", "1", "yes", "no", "TRUE", "False", "on", "off"))
    if name in CHOICES:
        return rng.choice(CHOICES[name])
    if name == "gate":
        return rng.choice(GATES)
    return rng.choice(NAMES if name == "name" else LISTS[name])


def wrong_text(rng, name):
    """A text that is illegal for option `name` whatever else is said, and isn't empty."""
    return rng.choice(_wrong(name))


def _wrong(name):
    texts = [text for text in SPOILT if not (name in NUMBERS and text in ("0x10",))]
    if name in INTEGERS:
        low, high, _ = INTEGERS[name]
        # Twice as often as each spoilt one: the edges are where checks are wrong.
        return [*texts, *[str(low - 1), str(high + 1), str(-high), str(1 << 64), f"{low}.0", f"{low}e0"] * 3]
    if name in NUMBERS:
        low, high, _ = NUMBERS[name]
        edges = [str(low - 0.001), str(high * 1.001), *([str(high)] if name == "stall" else [])]
        return [*texts, *edges * 2, "1,5", ".", "1e"]
    if name in SWITCHES:
        return [*texts, "2", "-1", "01", "maybe", "1.0"]
    if name in CHOICES:
        first = CHOICES[name][0]
        return [*texts, first.upper(), first + " ", first[:-1], ",".join(CHOICES[name]), "0"]
    if name == "gate":
        return [*texts, "hardsigmoid:", "hardsigmoid:1", "hardsigmoid:nan,0", "hardsigmoid:1,inf", "hardsigmoid:0,0",
                "hardsigmoid:1e7,0", "hardsigmoid:1,2,3", "hardsigmoid:a,b", "Sigmoid", "softmax"]
    if name == "name":
        return [text for text in texts if text not in ("seven", "None", "nan", "inf")] + [
            "2x", "module", "clk", "s_axis_tdata", "status_loaded", "TOP", "../x", "a/b", "a.b", "A" * 129, "\u0131d"]
    if name == "scheduler":
        return [*texts, "node1:8786", "tcp://", "tcp://a:0", "tcp://a:99999", "tcp://a b:1", "http://a:1"]
    return _wrong_list(name, texts)


def _wrong_list(name, texts):
    if name in ("seeds", "ks"):
        return [*texts, "1,1", "1,,2", "0", ",", "1,", ",".join(map(str, range(1, 102)))]
    if name in ("mean", "std"):
        return [*texts, "1,2,3,4,5", "1,,2", "nan,0,0", "1e7"]
    if name == "blocks":
        return [*texts, "1x1x1", "0x1x1x1", "1x1x1x1x1", "1x1x1x-1", "2x2x4x1,", "axbxcxd"]
    raise KeyError(name)
