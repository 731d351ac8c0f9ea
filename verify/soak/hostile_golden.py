# SPDX-License-Identifier: Apache-2.0
"""The integers that a command line asks for, by the golden side alone; and the written Verilog run against them.

Files are read by numpy, options as README.md says them; widths and integers are then golden/quantise.py's, outputs
golden/integer.py's. Torch and the simulator are imported where they are needed: they take seconds.
"""

import dataclasses
import enum

import numpy as np

from ...hdl.config import Config, Gate, GateKind, Mid
from ...hdl.sizing import choose_macs
from ...hdl.timing import Timing

__all__ = ["RANDOM_SCALE", "chosen_macs", "format_of", "integers", "numbers_differ", "outputs_differ",
           "random_frames", "random_weights", "run_differs"]

# Random data and weights: their distributions, and the streams of random numbers that SEED gives.
RANDOM_SCALE, MEAN, DEVIATION = 1 / 16, 0.5, 2.0
WEIGHTS_STREAM, DATA_STREAM = 1, 2
OVERHEAD, ERROR = "0.05", "1"
# Multipliers of FPGAs have 18 bits, which loadable blocks have at least.
LOADABLE_BITS, BITS = 18, 10
# Frames of a run of the Verilog: no more beats than this but for the first one's, and both sides' pauses.
MOST_BEATS, STALL, SEED = 4000, 0.3, 3
IDLE, PATIENCE = 4, 20_000
SHOWN = 3


def random_weights(seed, channels, squeeze):
    """w1, b1, w2, b2 of a line without WEIGHTS: they depend on SEED, C and CR only."""
    rng = np.random.default_rng([seed, WEIGHTS_STREAM])
    return {"w1": rng.normal(0, channels**-0.5, (squeeze, channels)), "b1": rng.normal(0, 0.3, squeeze),
            "w2": rng.normal(0, 2 * squeeze**-0.5, (channels, squeeze)), "b2": rng.normal(0, 1, channels)}


def random_frames(seed, shape, zero_point, signed):
    """The integers (N, H, W, C) of a line without INPUT."""
    rng = np.random.default_rng([seed, DATA_STREAM])
    low = -128 if signed else 0
    steps = [np.rint(rng.normal(MEAN, DEVIATION, shape[1:]) / RANDOM_SCALE) for _ in range(shape[0])]
    return np.clip(np.array(steps) + zero_point, low, low + 255).astype(np.int8 if signed else np.uint8)


def format_of(said, data, signed):
    """Scale and zero point of the data; of real ones those of their range with 0.0 in it."""
    if "x_q" in data:
        return float(data["x_scale"].reshape(())), int(data["x_zero_point"].reshape(()))
    first = -128 if signed else 0
    if "x" not in data:
        return RANDOM_SCALE, int(said.get("zero_point", 0 if signed else 128))
    low, high = min(float(data["x"].min()), 0.0), max(float(data["x"].max()), 0.0)
    if "zero_point" not in said:
        scale = max((high - low) / 255, 2.0**-40) if high > low else 1.0
        return scale, round(-low / scale) + first
    zero = int(said["zero_point"])
    below, above = zero - first, first + 255 - zero
    return max(-low / below if low else 0.0, high / above if high else 0.0) or 1.0, zero


def _block(wanted):
    """The Config of the fields `wanted` (of :func:`.hostile_builds.wanted_fields`), before its number formats."""
    kind, _, numbers = wanted["gate"].partition(":")
    gate = Gate(GateKind(kind), *map(float, numbers.split(",") if numbers else ()))
    same = ("k", "width", "channels", "squeeze", "lanes", "signed", "zero_point", "residual", "loadable")
    mid = {"swish": "silu", "none": "identity"}.get(wanted["mid"], wanted["mid"])
    return Config(**{name: wanted[name] for name in same}, mid=Mid(mid), gate=gate, macs=wanted.get("macs", 1),
                  slack=wanted.get("slack"))


def chosen_macs(said, wanted):
    """What MACS=auto takes within SRAM_OVERHEAD."""
    return choose_macs(_block(wanted), float(said.get("sram_overhead", OVERHEAD)))


def integers(said, weights, data, wanted):
    """``(Config, Quantised)`` of a line, complete."""
    from ...golden.block import FloatBlock
    from ...golden.quantise import quantise_within_error

    config = _block(wanted)
    if "macs" not in wanted:
        config = dataclasses.replace(config, macs=chosen_macs(said, wanted))
    arrays = {name: weights[name].astype(np.float64) for name in ("w1", "b1", "w2", "b2")} if weights else (
        random_weights(int(said.get("seed", 1)), config.channels, config.squeeze))
    least = wanted.get("operand_bits", LOADABLE_BITS if config.loadable else BITS)
    block = FloatBlock(**arrays, mid=config.mid, gate=config.gate, residual=config.residual)
    x_scale, error = format_of(said, data, config.signed)[0], float(said.get("error", ERROR))
    return quantise_within_error(config, block, x_scale, error, least)


def numbers_differ(fields, config):
    """Fields of the configuration that was built, as JSON has them, that aren't those of `config`."""
    found = []
    for name, value in dataclasses.asdict(config).items():
        value = value.value if isinstance(value, enum.Enum) else value
        if name == "gate":
            value = str(config.gate)
        elif name == "slack":
            value = Timing(config).buffer_slack
        elif name == "shifts":
            value = [list(shifts) for shifts in value]
        if fields.get(name) != value:
            found.append(f"{name} is {fields.get(name)!r}, where the golden side has {value!r}")
    return found


def outputs_differ(config, quantised, x, y):
    """Whether outputs `y` of the frames `x`, integers (N, H, W, C), aren't the golden model's, as a list of texts."""
    from ...golden.integer import IntegerModel

    wanted = IntegerModel(config, quantised.parameters).run(x).y.numpy()
    return [] if wanted.shape == y.shape and (wanted == y).all() else ["y_q isn't what the golden model gives"]


def run_differs(config, quantised, verilog, top, words, cache):
    """Run the module `top` of the text `verilog` and tell what isn't as the golden model has it, as a list of texts.

    Parameters
    ----------
    config, quantised : Config, Quantised
        Of :func:`integers`.
    words : uint32 array or None
        What is loaded first.
    cache : path
        Where the simulation is built.
    """
    from ...cosim import job as bench
    from ...cosim.build import BuildError
    from ...cosim.cache import Cache
    from ...cosim.result import SimulationError
    from ...cosim.standalone import build_model
    from ...golden.integer import IntegerModel

    model = IntegerModel(config, quantised.parameters)
    frames = _frames(config, model, bench.Frame)
    load = () if words is None else (bench.Load(words),)
    job = bench.Job(steps=(bench.Reset(), *load, bench.Idle(IDLE), bench.Send(frames)), lanes=config.lanes,
                    width=config.width, channels=config.channels, signed=config.signed, stall_in=STALL, stall_out=STALL,
                    seed=SEED, hang_cycles=PATIENCE + 10 * Timing(config).tile_latency)
    try:
        result = build_model(verilog, top, cache=Cache(cache)).run(job)
    except (BuildError, SimulationError) as error:
        return [f"the Verilog can't be simulated: {str(error).splitlines()[0][:300]}"]
    found = [f"simulated: {text}"[:300] for text in result.failures[:SHOWN]]
    status = {"status_frame_error": 0} | ({} if words is None else {"status_loaded": 1, "status_load_error": 0})
    return found + [f"simulated: {name} is {result.status.get(name)} at the end"
                    for name, value in status.items() if result.status.get(name) != value]


def _frames(config, model, frame):
    """Frames of a row, of a tile and a row, and of less than a tile, over all values, with what must come of them."""
    rng = np.random.default_rng(SEED)
    low, kind = (-128, np.int8) if config.signed else (0, np.uint8)
    most = max(1, MOST_BEATS // (config.width * config.groups))
    found = []
    for height in (1, min(config.k + 1, most), min(max(config.k - 1, 1), most)):
        x = rng.integers(low, low + 256, (height, config.width, config.channels)).astype(kind)
        found.append(frame.of(x, model.run(x).y.numpy().astype(kind), lanes=config.lanes))
    return tuple(found)
