# SPDX-License-Identifier: Apache-2.0
"""`tiled-se demo`: find text on rendered pages with the three forms of a network, and compare what they find."""

import importlib.util
import os
import sys
import time

import numpy as np

from ...gen.errors import UsageError
from ...gen.files import json_bytes, output_folder, write_all
from ..options import DemoOptions

__all__ = ["demo"]

# Modules of packages that only this command needs, and the packages' names.
PACKAGES = {"rapidocr": "rapidocr", "scipy": "scipy", "shapely": "shapely", "skimage": "scikit-image",
            "yaml": "PyYAML"}
THREADS = 2
# Pages that formats are taken from; their numbers are beyond those of the pages that are scored.
CALIBRATION_PAGES, FIRST_CALIBRATION_PAGE = 4, 1 << 20
# Feature maps that are simulated at once, and those of them that the INPUT file keeps.
FRAMES, KEPT = 12, 2


def demo(options: DemoOptions) -> bool:
    """Compare SE, TSE in float, and TSE in integers with one block in RTL; print and write it.

    Its folder gets ``demo.json``, ``demo.png`` and the RTL block's WEIGHTS and INPUT.

    Returns
    -------
    bool
        Whether :func:`.summary.failures` finds nothing wrong.

    Raises
    ------
    UsageError
        Where packages are missing.
    ConfigError
        Where the folder can't be written, or a block can't be built with this k.
    BuildError, SimulationError
        Where a tool failed.
    """
    folder = output_folder(options)
    missing = [name for module, name in PACKAGES.items() if importlib.util.find_spec(module) is None]
    if missing:
        raise UsageError(f"demo needs {' and '.join(missing)}: pip install 'tiled-se[demo]'")
    # Imported late: not before it is known that they are there.
    from . import picture, summary

    run = _Run(options, folder)
    found = run.all()
    write_all(folder, {"demo.json": json_bytes(found), "demo.png": picture.draw(*run.shown())})
    print(summary.table(found))
    print(f"wrote       {', '.join(os.path.join(folder, name) for name in ('demo.json', 'demo.png'))}")
    failures = summary.failures(found)
    for failure in failures:
        print(f"tiled-se: {failure}", file=sys.stderr)
    return not failures


class _Run:
    """The steps of the command, in order, and how long each took."""

    def __init__(self, options, folder):
        self.options, self.folder, self.seconds = options, folder, {}

    def all(self):
        """The contents of demo.json."""
        from . import summary

        self._step("load", self._load)
        self._step("render", self._render)
        self._step("calibrate", lambda: self.networks.calibrate(self.calibration))
        self.boxes = {"se": self._step("se", lambda: self._on_all("SE", self.networks.original)),
                      "tse_float": self._step("tse_float", lambda: self._on_all("TSE, float", self.networks.tiled))}
        self._step("rtl", self._simulate)
        self.boxes["tse_integer"] = self._step("tse_integer", self._integer)
        return summary.summary(self)

    def shown(self):
        """For the picture: (image, boxes of each network, drawn lines or None) of a page and of the scan."""
        for number, lines in ((0, self.pages[0].lines), (-1, None)):
            yield self.images[number], {name: found[number] for name, found in self.boxes.items()}, lines

    def _step(self, name, work):
        start = time.monotonic()
        result = work()
        self.seconds[name] = round(time.monotonic() - start, 2)
        return result

    def _load(self):
        _say("loading the detector")
        import torch

        from .networks import Networks

        # The golden model's maps are small, and onnxruntime's threads are there already: more would only wait.
        torch.set_num_threads(1)
        self.networks = Networks(self.options.k, THREADS)
        # Its map has the most rows, and what reaches it has passed no other block.
        self.block = self.networks.blocks[0]

    def _render(self):
        from .pages import render, scan

        count, seed = self.options.pages, self.options.seed
        _say(f"rendering {count} pages")
        self.pages = [render(seed, number) for number in range(count)]
        self.images = [page.image for page in self.pages] + [scan()]
        self.calibration = [render(seed, FIRST_CALIBRATION_PAGE + number).image for number in range(CALIBRATION_PAGES)]

    def _on_all(self, name, network):
        _say(f"finding text with {name}")
        return [network(image) for image in self.images]

    def _simulate(self):
        """All pages through the RTL block, then the scan, which has another height, through the same one."""
        from .rtl import RtlBlock

        _say(f"computing what reaches block {self.block.name}")
        *rendered, scan = [self.networks.block_input(self.block, image) for image in self.images]
        integers = self.networks.integers[self.block.name]
        self.rtl = RtlBlock(self.block, integers, np.stack(rendered[:KEPT]), self.folder, self.options.k, _say)
        outputs = []
        for start in range(0, len(rendered), FRAMES):
            frames = np.stack(rendered[start:start + FRAMES])
            outputs += [*self.rtl.run(frames, _quiet if outputs else _say)]
        outputs += [*self.rtl.run(scan[None], _quiet)]
        self.rtl_functions = [self.rtl.function(x, y) for x, y in zip([*rendered, scan], outputs, strict=True)]

    def _integer(self):
        _say(f"finding text with TSE in integers, block {self.block.name} by the RTL")
        return [self.networks.integer(image, {self.block.name: function})
                for image, function in zip(self.images, self.rtl_functions, strict=True)]


def _say(text):
    print(f"{text} ...", flush=True)


def _quiet(text):
    """Print nothing: the simulation is built already, and its next run is short."""
