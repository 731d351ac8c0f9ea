# SPDX-License-Identifier: Apache-2.0
"""The options of `tiled-se`: one table for their names, Make variables, formats, defaults and help."""

import dataclasses

from ..hdl.config import ConfigError, Gate, Mid
from .formats import (
    address,
    auto,
    boolean,
    choice,
    file_name,
    gate,
    identifier,
    integer,
    integers,
    member,
    middle,
    names,
    number,
    numbers,
)
from .fpga.targets import Target

__all__ = ["FIELDS", "Options", "describe", "flag", "from_texts", "options_of", "shortened"]

# Characters of a value that a message repeats: more than any path that a person reads.
MOST_SHOWN = 400


# Commands that are about one block and take the same options, and those that take the options that make the block.
BLOCK = ("sim", "verilog", "synth")
SHAPED = (*BLOCK, "simspeed")
# Commands on an ONNX network, and those of them that run it on images, and that make hardware of all its blocks.
NETWORK = ("inspect", "swap", "build", "report", "sensitivity")
IMAGES = ("build", "sensitivity")
HARDWARE = (*SHAPED, "build", "report")
# Commands that hold the generator itself to what it promises.
VERIFYING = {"prove": "formal", "mutate": "mutation", "crosscheck": "simulators", "soak": "soak"}


def _option(group, variable, convert, default, metavar, text, commands=SHAPED, other=None, positional=()):
    """A field; `other` has texts for commands in which it means something else, or more; as the option itself it may
    stand without its name in the commands `positional`."""
    return dataclasses.field(default=default, metadata={
        "group": group, "variable": variable, "convert": convert, "metavar": metavar, "help": text,
        "commands": commands, "other": other or {}, "positional": positional})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """What the user asked for; None is "not said". A field is named as :class:`~tiled_se.hdl.config.Config` names it.

    Values are only checked for their format here; :func:`tiled_se.gen.prepare.prepare` resolves and checks the rest.
    """

    k: int = _option("shape", "K", integer(1, 1 << 16), 7, "ROWS",
        "rows of a tile; K >= H is the original squeeze-and-excite (default: 7)",
        (*SHAPED, "inspect", "swap", "build", "report", "demo"))
    width: int | None = _option("shape", "W", integer(1, 1 << 16), None, "PIXELS",
        "width of the feature map (default: INPUT's)")
    channels: int | None = _option("shape", "C", integer(1, 1 << 16), None, "N",
        "channels (default: those of INPUT or WEIGHTS)")
    height: int | None = _option("shape", "H", integer(1, 1 << 20), None, "PIXELS",
        "height of the simulated frames, no property of the hardware (default: INPUT's, else W)")
    squeeze: int | None = _option("shape", "CR", integer(1, 1 << 16), None, "N",
        "squeezed channels, between the two layers (default: those of WEIGHTS, else C / 4, at least 1)")
    lanes: int | None = _option("hardware", "LANES", integer(1, 64), None, "N",
        "channels that a beat carries; divides C (default: the largest divisor up to 8)", HARDWARE,
        dict.fromkeys(("build", "report"), "the most channels that a beat may carry; each block has the largest "
                      "divisor of its own channels (default: 8)"))
    macs: int | None = _option("hardware", "MACS", auto(integer(1, 4096)), None, "N|auto",
        "multipliers that both layers share; auto: the fewest that sustain a beat a cycle within SRAM_OVERHEAD; "
        "more than the larger of C and CR would be idle and are not built (default: auto)", HARDWARE)
    sram_overhead: float = _option("hardware", "SRAM_OVERHEAD", number(0, 10), 0.05, "FRACTION",
        "memory beyond 8*K*W*C bits that MACS=auto may spend on slack; with SLACK given, cycles that a tile may take "
        "beyond its beats (default: 0.05)", HARDWARE)
    slack: int | None = _option("hardware", "SLACK", auto(integer(0, 1 << 20)), None, "BEATS|auto",
        "tile buffer beyond K rows; auto: what full rate takes; 0: exactly K rows, the input pauses once a tile "
        "(default: auto)", HARDWARE)
    loadable: bool | None = _option("hardware", "LOADABLE", boolean, None, "0|1",
        "1: parameters come through w_axis; 0: they are baked in (default: 0 with WEIGHTS, else 1)", (*SHAPED, "build"),
        {"build": "1: parameters come through w_axis; 0: they are baked in (default: 0)"})
    operand_bits: int | None = _option("hardware", "OPERAND_BITS", auto(integer(10, 40)), None, "BITS|auto",
        "width of tile means and hidden vector; auto: what ERROR takes, at least 18 if loadable (default: auto)",
        (*SHAPED, "build"))
    error: float = _option("hardware", "ERROR", number(0.5, 256), 1.0, "LSB",
        "largest error against float64 that the widths may bring, in LSB of the output (default: 1.0)",
        (*SHAPED, "build"))
    mid: Mid | None = _option("network", "MID", middle, None, "NAME",
        "activation between the layers: relu, relu6, silu, hardswish or identity (default: that of WEIGHTS, else "
        "relu)")
    gate: Gate | None = _option("network", "GATE", gate, None, "NAME",
        "activation behind them: sigmoid, hardsigmoid (x/6 + 1/2) or hardsigmoid:SLOPE,OFFSET (default: that of "
        "WEIGHTS, else sigmoid)")
    residual: bool | None = _option("network", "RESIDUAL", boolean, None, "0|1",
        "1: y = x + x * gate (default: what WEIGHTS says, else 0)")
    weights: str | None = _option("network", "WEIGHTS", file_name, None, "FILE",
        ".npz with float w1 (CR, C), b1 (CR), w2 (C, CR), b2 (C) and perhaps mid, gate, residual (default: "
        "random)")
    input: str | None = _option("data", "INPUT", file_name, None, "FILE",
        ".npz with float x, or integer x_q with x_scale and x_zero_point; (H, W, C) or (N, H, W, C) (default: "
        "random)", (*SHAPED, *NETWORK),
        dict.fromkeys(NETWORK, "size of the network's input, as CxHxW, like 3x640x640 (default: what the model "
                      "declares)"))
    dtype: str | None = _option("data", "DTYPE", choice("int8", "uint8"), None, "TYPE",
        "integers of the stream: int8 or uint8 (default: that of INPUT's x_q, else int8)", (*SHAPED, "build"))
    zero_point: int | None = _option("data", "ZERO_POINT", integer(-128, 255), None, "Q",
        "integer that stands for 0.0 (default: from INPUT, else 0 for int8 and 128 for uint8)")
    frames: int | None = _option("data", "FRAMES", integer(1, 1 << 20), None, "N",
        "frames, back to back (default: INPUT's, else 2)", (*SHAPED, "build"),
        {"build": "images whose feature maps are simulated (default: 2)"})
    seed: int = _option("data", "SEED", integer(0, (1 << 32) - 1), 1, "N",
        "of random weights, data and pauses (default: 1)", (*SHAPED, "build", "demo", "mutate", "soak"),
        {"build": "of the pauses (default: 1)", "demo": "of the pages (default: 1)",
         "mutate": "of which mutants are drawn (default: 1)",
         "soak": "of configurations, frames, pauses and command lines (default: 1)"})
    stall: float = _option("run", "STALL", number(0, 1, exclusive=True), 0.0, "P",
        "probability that either side pauses in a cycle, from 0 to under 1 (default: 0.0)", (*SHAPED, "build"))
    sim: str = _option("run", "SIM", choice("verilator", "icarus"), "verilator", "NAME",
        "simulator: verilator or icarus (default: verilator)", BLOCK)
    waves: bool = _option("run", "WAVES", boolean, False, "0|1",
        "1: write waveforms (default: 0)", BLOCK)
    target: Target = _option("synthesis", "TARGET", member(Target), Target.ECP5, "NAME",
        "FPGA family: ecp5, ice40 or xilinx (default: ecp5)", BLOCK)
    seeds: tuple = _option("synthesis", "SEEDS", integers(1, (1 << 31) - 1, 100), (1, 2, 3), "N,N,...",
        "of place and route, one run each (default: 1,2,3)", BLOCK)
    model: str | None = _option("model", "MODEL", file_name, None, "FILE",
        ".onnx file of the network", NETWORK, {"report": "network to count: names of known ones with commas between, "
        "`paper` for every row of the paper's tables, an .onnx file, or a .json file of your own"}, NETWORK)
    calibration: str | None = _option("model", "CALIBRATION", file_name, None, "IMAGES",
        "folder with images (.png, .jpg, .bmp) or with arrays (.npy, .npz) that are inputs of the network as it is, "
        "(C, H, W) or (N, C, H, W)", IMAGES, positional=("sensitivity",))
    limit: int = _option("model", "LIMIT", integer(1, 4096), 16, "N",
        "inputs that are used, spread over the folder and its arrays (default: 16)", IMAGES)
    mean: tuple | None = _option("model", "MEAN", numbers(-1e6, 1e6, 4), None, "M,M,M",
        "subtracted from an image's channels, which are from 0 to 1 (default: 0.485,0.456,0.406; 0 for a network that "
        "takes integers)", IMAGES)
    std: tuple | None = _option("model", "STD", numbers(1e-6, 1e6, 4), None, "S,S,S",
        "which they are divided by then (default: 0.229,0.224,0.225; 1/255 for a network that takes integers)", IMAGES)
    bgr: bool = _option("model", "BGR", boolean, False, "0|1",
        "1: an image's channels are blue, green, red (default: 0)", IMAGES)
    skip: tuple | None = _option("model", "SKIP", names, None, "NAME,NAME,...",
        "blocks that stay squeeze-and-excite (default: none)", ("swap", "build"))
    ks: tuple = _option("model", "KS", integers(1, 1 << 16, 16), (1, 3, 5, 7, 9), "K,K,...",
        "rows of a tile to look at, each with its own list of blocks to leave (default: 1,3,5,7,9)", ("sensitivity",))
    json: str | None = _option("output", "JSON", file_name, None, "FILE",
        "where the list goes as JSON, too (default: nowhere)", ("inspect",))
    pages: int = _option("model", "PAGES", integer(2, 400), 42, "N",
        "pages of text to render (default: 42)", ("demo",))
    out: str | None = _option("output", "OUT", file_name, None, "FOLDER",
        "where results go (default: build/ and a name that tells command and shape)",
        (*SHAPED, "bench", "sweep", "swap", "build", "report", "sensitivity", "demo", *VERIFYING),
        {"swap": "the .onnx file to write (default: the model's name with _tseK)"})
    name: str = _option("output", "NAME", identifier, "tiled_se", "NAME",
        "top module and file (default: tiled_se)")
    network: str | None = _option("bench", "NETWORK", file_name, None, "NAMES|FILE",
        "networks to measure, with commas between them, or a .json file of your own (default: all that are known)",
        ("bench",))
    blocks: str | None = _option("bench", "BLOCKS", file_name, None, "HxWxCxCR,...",
        "blocks to measure instead (default: those of the networks)", ("bench",))
    jobs: int | None = _option("batch", "JOBS", integer(1, 1024), None, "N",
        "measurements at a time (default: one for each core, or for each thread of a scheduler's workers)",
        ("bench", "sweep", "build", "report", *VERIFYING))
    docs: str | None = _option("bench", "DOCS", file_name, None, "FOLDER",
        "bench: where benchmarks.md and its plots go (default: docs; with NETWORK or BLOCKS OUT); simspeed: the "
        "folder whose benchmarks.md takes the figures in (default: none)", ("bench", "simspeed"))
    repeats: int = _option("bench", "REPEATS", integer(1, 1000), 3, "N",
        "rounds, of which the fastest counts (default: 3)", ("simspeed",))
    seconds: float = _option("bench", "SECONDS", number(0.01, 600), 4.0, "S",
        "CPU seconds that each bench runs in each round, at least one frame (default: 4.0)", ("simspeed",))
    configs: str | None = _option("sweep", "CONFIGS", file_name, None, "FILE",
        ".toml with the configurations to simulate (default: a list of 24 that comes along)", ("sweep",))
    scheduler: str | None = _option("sweep", "SCHEDULER", address, None, "tcp://HOST:PORT",
        "dask.distributed scheduler whose workers simulate (default: this machine's cores)", ("sweep",))
    only: tuple | None = _option("verification", "ONLY", names, None, "NAME,NAME,...",
        "proofs to do (default: all)", ("prove", "crosscheck", "soak"),
        {"crosscheck": "configurations to compare, by words that their names have (default: all)",
         "soak": "numbers of the configurations to run (default: all)"})
    mutants: int = _option("verification", "N", integer(1, 100_000), 1000, "N",
        "mutants to draw, over all blocks (default: 1000)", ("mutate",))
    beats: int = _option("verification", "BEATS", integer(0, 10**12), 10_000_000, "N",
        "to stream in all (default: 10000000)", ("soak",))
    builds: int = _option("verification", "BUILDS", integer(0, 100_000), 200, "N",
        "random configurations to build (default: 200)", ("soak",))
    lines: int = _option("verification", "LINES", integer(0, 10**7), 10_000, "N",
        "random command lines and changed files to try (default: 10000)", ("soak",))


FIELDS = {field.name: field for field in dataclasses.fields(Options)}


def options_of(command):
    """The fields that `command` takes, by name."""
    return {name: field for name, field in FIELDS.items() if command in field.metadata["commands"]}


def flag(name):
    """How the command line spells option `name`."""
    return "--" + name.replace("_", "-")


def describe(error):
    """A ConfigError as one line: Make variable, value, the option's name and what is allowed."""
    value = shortened(int(error.value) if isinstance(error.value, bool) else error.value)
    if error.option not in FIELDS:
        return f"{error.option}={value}: {error.allowed}"
    return f"{FIELDS[error.option].metadata['variable']}={value} ({flag(error.option)}): {error.allowed}"


def shortened(value):
    """`value` as text, without its middle where that is too long for a line."""
    text = str(value)
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN // 2]}...{text[-MOST_SHOWN // 4:]}"


def from_texts(texts):
    """Options from a mapping of field names to texts; None and the empty text are "not said".

    Raises
    ------
    ConfigError
        Naming the option, its text and the format that is allowed.
    """
    values = {}
    for name, text in texts.items():
        if text is None or text == "":
            continue
        try:
            values[name] = FIELDS[name].metadata["convert"](text)
        except ConfigError:
            raise
        except ValueError as error:
            raise ConfigError(name, text, str(error)) from None
    return Options(**values)
