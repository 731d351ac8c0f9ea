# SPDX-License-Identifier: Apache-2.0
"""`tiled-se simspeed`: build and run the test benches in turn, and write the results."""

import dataclasses
import os
import sys

from ...gen.block_spec import prepare
from ...gen.files import discard, json_bytes, output_folder, write_all
from ...gen.options import block_options
from ...gen.page import read_page
from ...gen.text_table import say, warn
from ...gen.verilog import generate
from ...hdl.config import ConfigError
from ..options import SimspeedOptions
from ..page import DOCUMENT, SECTION

__all__ = ["RESULT", "simspeed"]

RESULT = "simspeed.json"
# The block that the README begins with.
HEADLINE = {"width": 56, "channels": 64}


def simspeed(options: SimspeedOptions) -> bool:
    """Measure how fast the block of `options` simulates; write simspeed.json into their folder.

    Returns whether every test bench saw right outputs; if not, nothing is written. Raises ConfigError for a wrong
    option or file, before anything is measured, or for a folder that can't be written; BuildError or SimulationError
    where a tool failed.
    """
    folder = output_folder(options, [RESULT])
    if all(getattr(options, name) is None for name in (*HEADLINE, "weights", "input")):
        options = dataclasses.replace(options, **HEADLINE)
    page = None if options.docs is None else read_page(options.docs, DOCUMENT, [SECTION])
    if page is None and options.docs is not None:
        raise ConfigError("docs", options.docs, f"must be a folder with {DOCUMENT}, which make bench writes")
    if page is not None and not os.access(options.docs, os.W_OK | os.X_OK):
        raise ConfigError("docs", options.docs, "must be writable")
    spec = prepare(block_options(options))
    discard(folder, [RESULT])
    warn(spec.warnings)
    # These load torch and cocotb.
    from .benches import BENCHES, made, unavailable
    from .rounds import Wrong, measure
    from .summary import markdown, summarise, table

    missing = unavailable()
    for name, reason in missing.items():
        say(f"{name} is left out: {reason}")
    say("generating the block, building its simulations")
    design = generate(spec.config, spec.baked, options.name)
    try:
        with made(spec, design, BENCHES.keys() - missing) as benches:
            rounds = measure(benches, options.seconds, options.repeats, say)
    except Wrong as wrong:
        print(f"tiled-se: mismatch: {wrong}", file=sys.stderr)
        return False
    summary = summarise(spec, options, rounds, missing)
    print(f"\n{table(spec, rounds, summary)}\n")
    write_all(folder, {RESULT: json_bytes(summary)})
    print(f"wrote       {os.path.join(folder, RESULT)}")
    if page is not None:
        write_all(options.docs, {DOCUMENT: SECTION.placed(page, markdown(spec, options, summary)).encode()})
        print(f"wrote       {os.path.join(options.docs, DOCUMENT)}")
    return True
