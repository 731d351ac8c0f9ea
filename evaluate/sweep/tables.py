# SPDX-License-Identifier: Apache-2.0
"""The results of a sweep: results.csv, timings.csv, summary.json, and the summary for a person.

results.csv and summary.json depend on configurations and sources alone, not on when, where and in how many runs they
were made.
"""

import csv
import io

from ...gen.files import json_bytes
from .plan import OPTIONS, VARIABLES
from .worker import FAILED, MISMATCH, OK

__all__ = ["FILES", "documents", "summarise", "summary_text"]

FILES = RESULTS, TIMES, SUMMARY = "results.csv", "timings.csv", "summary.json"

# Columns of results.csv after the variables, and where report.json has them.
FIGURES = {
    "bit_exact": ("bit_exact",), "elements": ("elements",), "mismatches": ("mismatches",),
    "float_error_max_lsb": ("float_error_lsb", "max"), "float_error_mean_lsb": ("float_error_lsb", "mean"),
    "error_bound_lsb": ("error_bound_lsb",),
    "clipped_outputs": ("outputs", "clipped"), "sqnr_db": ("outputs", "sqnr_db"),
    "cycles": ("cycles", "total"), "first_output_latency": ("cycles", "first_output_latency"),
    "beats_per_cycle": ("cycles", "steady_throughput"), "input_stalls": ("cycles", "input_stalls"),
    "predicted_cycles": ("predicted", "total_cycles"),
    "built_prior_rows": ("config", "prior_rows"),
    "built_lanes": ("config", "lanes"), "built_macs": ("config", "macs"), "built_slack": ("config", "slack"),
    "built_operand_bits": ("config", "operand_bits"), "built_loadable": ("config", "loadable"),
    "built_y_scale": ("config", "y_scale"), "built_y_zero_point": ("config", "y_zero_point"),
    "bound_bits": ("sram", "bound_bits"), "tile_buffer_bits": ("sram", "tile_buffer_bits"),
    "weight_memory_bits": ("sram", "weight_bits"), "memory_bits": ("sram", "total_without_weights_bits"),
    "over_bound": ("sram", "over_bound"), "over_tse7": ("sram", "over_tse7"),
    "tile_buffer_peak_elements": ("sram", "tile_buffer_peak_elements"),
}
TIMINGS = ("build_seconds", "build_cached", "run_seconds", "cycles_per_second")


def documents(configurations, results):
    """The files that a sweep writes, a dict of str to bytes.

    `results` are by Configuration, as :func:`.worker.simulate_configuration` returns them; of failed ones ``status``
    and ``reason`` suffice.
    """
    head = ["number", "label", "status", "reason"]
    rows = [[c.number, c.label, results[c]["status"], results[c]["reason"],
             *(OPTIONS[name].text_of(getattr(c.options, name)) for name in VARIABLES.values()),
             *(_cell(_figure(results[c], path)) for path in FIGURES.values())] for c in configurations]
    timings = [[c.number, c.label, _cell(results[c].get("seconds")), results[c].get("host"),
                *(_cell(_figure(results[c], ("simulation", name))) for name in TIMINGS)] for c in configurations]
    return {RESULTS: _csv([*head, *VARIABLES, *FIGURES], rows),
            TIMES: _csv(["number", "label", "seconds", "host", *TIMINGS], timings),
            SUMMARY: json_bytes(summarise(configurations, results))}


def _figure(result, path):
    value = result.get("report")
    for name in path:
        value = None if value is None else value.get(name)
    return value


def _cell(value):
    if isinstance(value, bool):
        return int(value)
    # Six digits: the last ones of a mean depend on the order in which a processor adds.
    return f"{value:.6g}" if isinstance(value, float) else value


def _csv(head, rows):
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerows([head, *rows])
    return file.getvalue().encode()


def summarise(configurations, results):
    """The contents of summary.json."""
    def extreme(name, choose, among=configurations):
        found = [(value, c) for c in among if (value := _figure(results[c], FIGURES[name])) is not None]
        if not found:
            return None
        value, which = choose(found, key=lambda pair: pair[0])
        return {"value": float(_cell(float(value))), "configuration": str(which)}

    def bad(status):
        return [{"configuration": str(c), "reason": results[c]["reason"]}
                for c in configurations if results[c]["status"] == status]

    return {
        "configurations": len(configurations),
        **{status: sum(results[c]["status"] == status for c in configurations) for status in (OK, MISMATCH, FAILED)},
        "elements": sum(_figure(results[c], ("elements",)) or 0 for c in configurations),
        "largest_float_error_lsb": extreme("float_error_max_lsb", max),
        # Of blocks in which something waits.
        "largest_over_bound": extreme("over_bound", max),
        "largest_over_tse7": extreme("over_tse7", max),
        # Stalls that were asked for say nothing about a block.
        "lowest_beats_per_cycle": extreme("beats_per_cycle", min, [c for c in configurations if not c.options.stall]),
        "mismatches": bad(MISMATCH),
        "failures": bad(FAILED),
    }


def summary_text(summary):
    """summary.json for a person."""
    def extreme(name, text):
        found = summary[name]
        return "-" if found is None else f"{found['value']:.4g} {text} in {found['configuration']}"

    rows = [
        ("sweep", f"{summary['configurations']} configurations: {summary[OK]} ok, {summary[MISMATCH]} mismatch, "
                  f"{summary[FAILED]} failed"),
        ("compared", f"{summary['elements']:,} elements"),
        ("accuracy", extreme("largest_float_error_lsb", "LSB from float64 at most,")),
        ("memory", extreme("largest_over_bound", "x the bound at most,")),
        ("memory", extreme("largest_over_tse7", "x seven rows at most,")),
        ("speed", extreme("lowest_beats_per_cycle", "beats a cycle at least, without stalls,")),
        *((name, f"{item['configuration']}: {item['reason']}")
          for name, items in (("mismatch", summary["mismatches"]), ("failed", summary["failures"])) for item in items),
    ]
    return "\n".join(f"{name:<12}{text}" for name, text in rows)
