# SPDX-License-Identifier: Apache-2.0
"""`tiled-se verify`: runs all that verifies the generator, and writes the figures of docs/verification.md."""

import dataclasses
import json
import os
from collections.abc import Callable
from typing import Any

from ..batch.store import BLOCK, MEASURING, digest, sources
from ..cosim.icarus import icarus_version
from ..gen.fields import options_of, text_of
from ..gen.files import check_folder, check_free, json_bytes, output_folder, write_all
from ..gen.page import Section, read_page
from ..gen.report import tool_versions
from ..hdl.config import ConfigError
from .formal import command as formal
from .formal import table as proofs
from .formal.tools import check_tools, versions
from .mutation import command as mutation
from .mutation import summary as mutants
from .options import CrosscheckOptions, MutateOptions, ProveOptions, SoakOptions, VerifyOptions
from .simulators import command as simulators
from .simulators import table as crosschecks
from .soak import command as streams
from .soak import summary as soaks
from .soak.streaming import OWN_FILES

__all__ = ["CHECKS", "Check", "verify"]

DOCUMENT = "verification.md"
# Beside a result there are the key of what it was made from, and a hash of the result.
KEY = "verify.json"
# The code that decides the results. Modules that only print them are left out.
PROOFS = (*BLOCK, "hdl/proofs", *(f"verify/formal/{name}.py" for name in (
    "command", "model", "source", "task", "tools")))
REGRESSION = (*BLOCK, *MEASURING, "verify/configurations.py", "verify/regression")
MUTANTS = (*REGRESSION, "hdl/proofs", "verify/faults.py", "verify/equivalence", "verify/mutation")
CROSSCHECKS = (*REGRESSION, *(f"verify/simulators/{name}.py" for name in (
    "command", "compare", "models", "pysim", "simulators")), "verify/simulators/ecp5_cells.v")


@dataclasses.dataclass(frozen=True)
class Check:
    """A command that verifies something.

    ``run`` is the command, from its ``options`` to whether everything held. ``result`` is the JSON file that it writes;
    from its contents, ``complete`` tells whether nothing is missing in it, and ``section`` is a section of the page.
    ``code`` are the folders and files with the code that decides the result.
    """

    run: Callable[[Any], bool]
    options: type
    result: str
    complete: Callable[[dict], bool]
    section: Callable[[dict], str]
    code: tuple[str, ...]


CHECKS = {
    "prove": Check(formal.prove, ProveOptions, formal.RESULT, proofs.complete, proofs.section, PROOFS),
    "mutate": Check(mutation.mutate, MutateOptions, mutation.RESULT, mutants.complete, mutants.section, MUTANTS),
    "crosscheck": Check(simulators.crosscheck, CrosscheckOptions, simulators.RESULT, crosschecks.complete,
                        crosschecks.section, CROSSCHECKS),
    "soak": Check(streams.soak, SoakOptions, streams.FILE, soaks.complete, soaks.section,
                  (*BLOCK, *MEASURING, *OWN_FILES, "verify/soak/command.py")),
}


def verify(options: VerifyOptions) -> bool:
    """Run the commands that have no valid result yet, and write a section of the page after each.

    A section stays as it is if the result is not complete. Returns whether everything held. ``options.only`` has names
    of ``CHECKS``. Raises ConfigError ("only") for an unknown name, ("out") where the folder can't be written, ("docs")
    where the page can't be read; ToolError or BuildError where a tool is missing or failed.
    """
    for name in options.only or ():
        if name not in CHECKS:
            raise ConfigError("only", name, f"must be one of {', '.join(CHECKS)}")
    folder = output_folder(options)
    names = [name for name in CHECKS if options.only is None or name in options.only]
    for name in names:
        check_folder(os.path.join(folder, name))
        check_free(os.path.join(folder, name), [CHECKS[name].result, KEY])
    sections = {name: Section(f"<!-- verify:{name} -->", f"<!-- /verify:{name} -->") for name in names}
    page = read_page(options.docs, DOCUMENT, sections.values())
    if page is None:
        raise ConfigError("docs", options.docs, f"must be a folder with {DOCUMENT}")
    check_folder(options.docs, "docs")
    check_tools()
    good = True
    for name, section in sections.items():
        check, results = CHECKS[name], os.path.join(folder, name)
        asked = check.options(jobs=options.jobs, out=results)
        settings = {field: text_of(getattr(asked, field)) for field in options_of(check.options)
                    if field not in ("jobs", "out")}
        key = digest(name, settings, sources(*check.code), tool_versions(), versions(), icarus_version())
        result = _load(results, check.result)
        if _load(results, KEY) == [key, digest(result)] and result is not None and check.complete(result):
            print(f"{name}: kept, {os.path.join(results, check.result)} is up to date", flush=True)
        else:
            write_all(results, {KEY: json_bytes(None)})
            held = check.run(asked)
            good, result = good and held, _load(results, check.result)
            write_all(results, {KEY: json_bytes([key, digest(result)] if held else None)})
        if result is not None and check.complete(result):
            page = section.placed(page, check.section(result))
            write_all(options.docs, {DOCUMENT: page.encode()}, "docs")
            print(f"wrote       section {name} of {os.path.join(options.docs, DOCUMENT)}", flush=True)
        else:
            print(f"{name}: the result is not complete; its section stays as it is", flush=True)
    return good


def _load(folder, name):
    try:
        with open(os.path.join(folder, name), encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError):
        return None
