# SPDX-License-Identifier: Apache-2.0
"""`tiled-se synth`: generate, map to an FPGA's cells, place and route, report."""

import os
import re
from collections.abc import Callable

from ...hdl.config import ConfigError
from ...hdl.ecp5 import Ecp5, Ecp5Inferred
from ...hdl.errors import reason
from ...hdl.technology import Technology
from ..block_files import SYNTHESIS, generated_files
from ..block_spec import BlockSpec, prepare
from ..files import discard, json_bytes, output_folder, write_all
from ..options import BlockOptions
from ..text_table import say, say_removed, warn
from ..verilog import Design, generate
from .nextpnr import lacking, place
from .report import SynthesisOutcome, report, table
from .targets import FAMILIES, Target
from .tools import TOOLS, Workbench
from .yosys import frame, map_to_cells

__all__ = ["run", "synthesise"]

# Families whose memories and multipliers we build of their primitives; of others' synthesis infers them.
PRIMITIVES = {Target.ECP5: Ecp5}


def synthesise(options: BlockOptions) -> bool:
    """Synthesise a block, print the result; write NAME.v, the tools' logs and ``synth.json`` into its folder.

    Returns True. Raises ConfigError where an option or a file is wrong, or the folder can't be written, and ToolError
    where a tool is missing or failed; there is no ``synth.json`` then.
    """
    folder = output_folder(options, [f"{options.name}.v", SYNTHESIS])
    spec = prepare(options)
    warn(spec.warnings)
    try:
        outcome = run(spec, folder, say)
    except OSError as error:
        raise ConfigError("out", folder, f"can't be written: {reason(error)} ({error.filename or folder})") from None
    summary = report(outcome)
    write_all(folder, {SYNTHESIS: json_bytes(summary)})
    print(table(outcome, summary))
    print(f"wrote       {os.path.join(folder, SYNTHESIS)}")
    return True


def run(spec: BlockSpec, folder: str, say: Callable[[str], None] = lambda text: None) -> SynthesisOutcome:
    """Synthesise `spec`, and place and route it. ``NAME.v`` and the logs stay in `folder`. Raises as `synthesise`."""
    options, family = spec.options, FAMILIES[spec.options.target]
    family.check_styles(options.ram_style, options.dsp_style, spec.baked is not None)
    for name in filter(None, ("yosys", family.placer)):
        TOOLS[name].check()
    say("generating the block")
    name = spec.options.name
    given = spec.registers, spec.options.ram_style, spec.options.dsp_style
    design = generate(spec.config, spec.baked, name, Technology, *given)
    # The design above says which memories there are; this is what they are made of.
    technology = PRIMITIVES.get(options.target, Technology)
    if technology is Ecp5 and "distributed" in dict(options.ram_style).values():
        technology = Ecp5Inferred
    text = generate(spec.config, spec.baked, name, technology, *given).verilog
    again, logs = {f"{name}.v", SYNTHESIS}, _logs(folder)
    removed = discard(folder, [*generated_files(folder), SYNTHESIS, *logs])
    say_removed([os.path.join(folder, file) for file in removed if file not in again.union(logs)])
    write_all(folder, {f"{name}.v": text.encode()})
    with Workbench(folder) as bench:
        return _run(spec, design, text, bench, say)


def _logs(folder: str) -> list[str]:
    """Names of the logs that an earlier run has left in `folder`."""
    names = {f"{tool}_{part.name}{pins}.log" for family in FAMILIES.values() for part in family.parts
             for tool in ("yosys", family.placer) for pins in ("", "_pins")}
    placers = "|".join(re.escape(family.placer) for family in FAMILIES.values() if family.placer)
    return [name for name in (os.listdir(folder) if os.path.isdir(folder) else ())
            if name in names or re.fullmatch(rf"({placers})_seed\d+\.log", name)]


def _run(spec: BlockSpec, design: Design, text: str, bench: Workbench, say: Callable[[str], None]) -> SynthesisOutcome:
    """Take the first part that has room; the cells are those of the first part at all where none has."""
    family = FAMILIES[spec.options.target]
    placer, tried, refused = family.placer, {}, []
    for part in family.parts:
        if part.synthesis not in tried:
            say(f"mapping it to cells with yosys {part.synthesis}")
            tried[part.synthesis] = map_to_cells(bench, part.synthesis, text, design.top,
                                                 f"yosys_{part.name}.log")
        netlist = tried[part.synthesis]
        if placer is None:
            return SynthesisOutcome(spec, design, family, part, netlist, False, {},
                                    "pip brings no tool that places this")
        top = design.top
        if netlist.pins > part.pins:
            top = frame(bench, part.synthesis, netlist, f"yosys_{part.name}_pins.log")
        lacks = lacking(bench, placer, part, top, f"{placer}_{part.name}.log")
        if not lacks:
            seeds = spec.options.seeds
            say(f"placing and routing with {placer}, {'seed' if len(seeds) == 1 else 'seeds'} "
                f"{', '.join(map(str, seeds))}")
            framed = top != design.top
            timings = place(bench, placer, part, top, netlist.scopes, framed, seeds)
            return SynthesisOutcome(spec, design, family, part, netlist, framed, timings, None)
        refused.append(f"{part.name} lacks room ({', '.join(lacks)})")
    first = family.parts[0]
    return SynthesisOutcome(spec, design, family, first, tried[first.synthesis], False, {}, "; ".join(refused))
