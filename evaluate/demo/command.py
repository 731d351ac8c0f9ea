# SPDX-License-Identifier: Apache-2.0
"""`tiled-se demo`: find text on rendered pages with all forms of a network, and compare what they find."""

import importlib.util
import json
import os
import sys

from ...batch.store import BLOCK, MEASURING, digest, sources
from ...gen.fields import UsageError
from ...gen.files import check_folder, check_free, discard, json_bytes, output_folder, write_all
from ...gen.page import read_page
from ...gen.report import tool_versions
from ...gen.text_table import say
from ...hdl.config import ConfigError
from ..options import DemoOptions

__all__ = ["demo"]

# Modules of packages that only this command needs, and the packages' names.
PACKAGES = {"rapidocr": "rapidocr", "scipy": "scipy", "shapely": "shapely", "skimage": "scikit-image",
            "yaml": "PyYAML"}
RESULTS = ("demo.json", "demo.png")
# The code that decides the results.
CODE = (*BLOCK, *MEASURING, "network", "network/match", "network/read", "evaluate/integers", "evaluate/intervals.py",
        *(f"evaluate/demo/{name}.py" for name in (
            "demonstration", "detector", "forms", "integer", "networks", "pages", "rtl", "scoring", "summary")))


def demo(options: DemoOptions) -> bool:
    """Compare SE with each form of it, in float and in integers with some blocks in RTL; print and write it.

    The folder of a seed gets ``demo.json``, ``demo.png`` and WEIGHTS and INPUT of the blocks in RTL. With
    ``options.seeds`` it gets ``demo.json`` of all their pages, and a folder for each seed, whose results are kept for
    the next time. Returns whether :func:`.summary.failures` finds nothing wrong. Raises UsageError for missing
    packages; ConfigError where a folder or page can't be read or written, or a block can't be built with this k;
    BuildError or SimulationError where a tool failed.
    """
    folder = output_folder(options, RESULTS)
    folders = {seed: os.path.join(folder, f"seed_{seed}") for seed in options.seeds or ()}
    for each in folders.values():
        check_folder(each)
        check_free(each, RESULTS)
    missing = [name for module, name in PACKAGES.items() if importlib.util.find_spec(module) is None]
    if missing:
        raise UsageError(f"demo needs {' and '.join(missing)}: pip install 'tiled-se[demo]'")
    # Imported late: not before it is known that they are there.
    from . import summary, table

    page = None if options.docs is None else _page(options.docs, table)
    if folders:
        discard(folder, RESULTS)
        found = summary.pooled([_kept(options, *each) or _run(options, *each) for each in folders.items()])
        write_all(folder, {RESULTS[0]: json_bytes(found)})
    else:
        found = _run(options, options.seed, folder)
    print(table.table(found))
    print(f"wrote       {', '.join(os.path.join(folder, name) for name in RESULTS[:1 if folders else 2])}")
    if page is not None:
        write_all(options.docs, {table.DOCUMENT: table.SECTION.placed(page, table.section(found)).encode()}, "docs")
        print(f"wrote       the results in {os.path.join(options.docs, table.DOCUMENT)}")
    failures = summary.failures(found)
    for failure in failures:
        print(f"tiled-se: {failure}", file=sys.stderr)
    return not failures


def _page(docs, table):
    """The page of the documentation that takes the results in."""
    page = read_page(docs, table.DOCUMENT, [table.SECTION])
    if page is None:
        raise ConfigError("docs", docs, f"must be a folder with {table.DOCUMENT}")
    check_folder(docs, "docs")
    return page


def _run(options, seed, folder):
    """Run one seed; its files are written, and the contents of its demo.json returned."""
    from . import picture, summary
    from .demonstration import Demonstration

    key = _key(options, seed)
    say(f"seed {seed}")
    demonstration = Demonstration(options.k, seed, options.pages, folder, RESULTS)
    found = summary.summary(demonstration) | {"key": key}
    files = dict(zip(RESULTS, (json_bytes(found), picture.draw(*demonstration.shown(), options.k)), strict=True))
    write_all(folder, files)
    return found


def _key(options, seed):
    """What decides the results of a seed."""
    return digest(options.k, options.pages, seed, sources(*CODE), tool_versions())


def _kept(options, seed, folder):
    """The results that an earlier run of this seed left, None where there are none or something has changed."""
    path = os.path.join(folder, RESULTS[0])
    try:
        with open(path, encoding="utf-8") as file:
            found = json.load(file)
    except (OSError, ValueError):
        return None
    if found.get("key") != _key(options, seed):
        return None
    print(f"seed {seed}: kept, {path} is up to date", flush=True)
    return found
