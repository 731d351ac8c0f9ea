# SPDX-License-Identifier: Apache-2.0
"""`tiled-se verilog`: the block's Verilog, the parameters of a loadable one, and a manifest that describes them."""

import dataclasses
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from ..golden.quantise import Quantised
from ..hdl.axi_lite import ADDRESS_BITS
from ..hdl.config import Config, Context, DataType
from ..hdl.parameters import ZERO_POINT_BITS, stream_words
from ..hdl.registered import PREFIX
from ..hdl.registers import MAP_VERSION
from ..hdl.timing import Timing
from .block_files import MANIFEST, block_files, check_block_files, generated_files, register_files
from .block_spec import BlockSpec, prepare
from .cores import core_files
from .cores.vectors import bench_lacks, load_golden
from .files import discard, json_bytes, output_folder, write_all
from .options import BlockOptions
from .registers.documents import check_packages, documents, map_values
from .report import tool_versions
from .text_table import say_removed, warn
from .verilog import Design, generate, packing, release
from .wording import averaged, config_fields

__all__ = ["hardware_files", "manifest", "write_verilog"]


def write_verilog(options: BlockOptions) -> bool:
    """Write the files of a block into its folder, and print their names. Returns True; ConfigError for bad input.

    NAME.v, for loadable blocks NAME.params.bin (32-bit words, little-endian) and NAME.params.hex (a word a line, for
    $readmemh), the files with which other tools take the block, and manifest.json, which comes last.
    """
    folder = output_folder(options)
    check_block_files(folder, options.name)
    spec = prepare(options)
    if spec.registers:
        check_packages()
    warn(_warnings(spec))
    with ThreadPoolExecutor(1) as pool:
        # Torch takes a second to load; the conversion to Verilog is another process, which leaves time for it.
        pool.submit(load_golden, spec)
        design = generate(spec.config, spec.baked, options.name, registers=spec.registers,
                          ram_style=options.ram_style, dsp_style=options.dsp_style)
    files = hardware_files(spec, design)
    removed = discard(folder, [*generated_files(folder), *block_files(options.name), *register_files(options.name)])
    say_removed([os.path.join(folder, file) for file in removed if file not in files])
    write_all(folder, {file: content for file, (content, _) in files.items()})
    for file, (content, purpose) in files.items():
        size = "" if file == MANIFEST else f"{len(content):,} bytes: "
        print(f"{os.path.join(folder, file)}  {size}{purpose}")
    return True


def hardware_files(spec: BlockSpec, design: Design, bench: bool = True) -> dict[str, tuple[bytes, str]]:
    """The files of a block by name, each as (content, purpose); with `bench` also a bench, if there can be one."""
    config, name = spec.config, spec.options.name
    files = {f"{name}.v": (design.verilog.encode(), "the block, complete: it includes nothing")}
    if config.loadable:
        words = stream_words(config, spec.quantised.parameters)
        origin = "of WEIGHTS" if spec.options.weights else f"of random weights (seed {spec.options.seed})"
        files[f"{name}.params.bin"] = (np.array(words, "<u4").tobytes(),
                                       f"parameter stream for {'LOAD' if spec.registers else 'w_axis'} {origin}: "
                                       "32-bit words, little-endian")
        files[f"{name}.params.hex"] = ("".join(f"{word:08x}\n" for word in words).encode(),
                                       f"the same, {len(words)} words, a word a line for $readmemh")
    if spec.registers:
        files |= documents(name, map_values(config, release()))
    files |= core_files(spec, design, bench and bench_lacks(spec) is None)
    about = manifest(spec, design, {file: purpose for file, (_, purpose) in files.items()})
    return files | {MANIFEST: (json_bytes(about), "ports, parameters, number formats, latency, memories")}


def manifest(spec: BlockSpec, design: Design, files: Mapping[str, str]) -> dict[str, Any]:
    """The contents of manifest.json; `files` maps each file's name to its purpose. Cycles are without pauses."""
    config, quantised = spec.config, spec.quantised
    parameters: dict[str, Any] = {"kind": "loadable" if config.loadable else "baked",
                                  "source": spec.options.weights or f"random, seed {spec.options.seed}"}
    if config.loadable:
        parameters |= {"stream_words": len(stream_words(config, quantised.parameters)),
                       "fingerprint": f"{config.fingerprint:08x}",
                       "note": "x_scale, y_scale, zero points, prior and error bound are those of this stream",
                       "words": _words(config)}
        if config.prior_bits:
            high = config.record_bits + config.prior_bits - 1
            parameters["prior"] = (f"bits {config.record_bits} to {high} of each of the last {config.channels} memory "
                                   "words, the records of layer 2")
    return {
        "top": design.top,
        "files": [{"name": name, "purpose": purpose} for name, purpose in files.items()],
        "config": config_fields(config),
        "descriptor": averaged(config),
        "ports": [dataclasses.asdict(port) for port in design.ports],
        "registers": None if not spec.registers else {
            "bus": "AXI4-Lite", "prefix": PREFIX.rstrip("_"), "bytes": 1 << ADDRESS_BITS, "version": MAP_VERSION,
            "map": f"{spec.options.name}.registers.rdl"},
        "numbers": {
            "data": str(config.data),
            "outputs": str(config.outputs),
            "weights": f"signed, {config.weight_bits} bits, {config.least_weight} to {config.largest_weight}",
            "real_value": "scale * (q - zero_point), for x and y",
            "x_bits": config.data.bits, "x_scale": spec.format.scale, "x_zero_point": spec.format.zero_point,
            "y_bits": config.outputs.bits, "y_scale": spec.y_format.scale, "y_zero_point": spec.y_format.zero_point,
            "s_axis_tdata": packing(config.data, config.lanes), "m_axis_tdata": packing(config.outputs, config.lanes),
            "hidden_scale": quantised.hidden_scale, "gate_scale": 2.0**-config.gate_frac,
            "error_bound_lsb": quantised.error_bound_lsb,
            "error_bound_holds": "for every input, against float64 on the real values of the quantised parameters, "
                                 "within the range of the outputs",
            **_prior(config, quantised),
        },
        "widths": {name: getattr(config, name) for name in (
            "sum_bits", "prior_bits", "operand_bits", "acc_bits", "multiplier_bits", "requant_bits", "hidden_bits",
            "logit_bits", "gate_bits", "gate_frac", "weight_bits")},
        "parameters": parameters,
        "latency": _latency(config),
        "memories": [dataclasses.asdict(memory) for memory in design.memories],
        "sram": design.sram,
        "warnings": _warnings(spec),
        "tools": tool_versions(),
    }


def _warnings(spec: BlockSpec) -> list[str]:
    """Those of the block; and that it has no bench, if it has none."""
    return [*spec.warnings, *filter(None, [bench_lacks(spec)])]


def _words(config: Config) -> list[str]:
    """What the 32-bit words of a parameter stream are, in their order; how those before the memories are made."""
    def zero(name: str, data: DataType, low: int) -> str:
        offset = f" - {data.offset}" if data.offset else ""
        return f"{name}_zero_point{offset} in bits {low + data.bits - 1}:{low}"

    zeros = [zero("x", config.data, 0)] + ([zero("y", config.outputs, ZERO_POINT_BITS)] if config.requantised else [])
    words = ["fingerprint of the configuration", f"zero points, in two's complement: {', '.join(zeros)}"]
    if config.rescales:
        twice = "2 * " if config.residual else ""
        words.append(f"factor of the gates: {twice}x_scale / y_scale * 2**{config.gate_frac}, rounded; "
                     f"2**{config.factor_bits} at most")
    return [*words, f"memory of weights, {config.weight_bits * config.macs} bits a word, and of records: as many "
                    "words for each as it takes, low bits first"]


def _prior(config: Config, quantised: Quantised) -> dict[str, Any]:
    """The prior among the numbers of the manifest; empty for a block without imaginary rows."""
    if quantised.prior is None:
        return {}
    return {"prior": quantised.prior.tolist(),
            "prior_integer": f"for each channel the sum of {config.prior_rows * config.columns} equal elements q of "
                             f"{config.data.as_signed}, signed, {config.prior_bits} bits; the real value is x_scale * "
                             f"(q - {config.signed_zero_point})"}


def _latency(config: Config) -> dict[str, Any]:
    """Cycles from input to output, for a frame that meets an empty block and is as long as they need."""
    timing = Timing(config)
    which = "of_window" if config.window is not None else (
        "before_tile" if config.context is Context.CAUSAL else "of_tile")
    return {
        "unit": "clock cycles",
        "tile_words": config.tile_words,
        f"last_input_beat_{which}_to_first_output_beat": timing.output_latency,
        "first_input_beat_to_first_output_beat": timing.first_output_latency,
        "cycles_between_tiles_at_least": timing.excite_cycles,
        "full_rate": timing.full_rate,
    }
