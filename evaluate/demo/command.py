# SPDX-License-Identifier: Apache-2.0
"""`tiled-se demo`: find text on rendered pages with the three forms of a network, and compare what they find."""

import contextlib
import importlib.util
import os
import sys
import time

import numpy as np

from ...gen.fields import UsageError
from ...gen.files import discard, json_bytes, output_folder, write_all
from ...gen.text_table import say
from ..options import DemoOptions

__all__ = ["demo"]

# Modules of packages that only this command needs, and the packages' names.
PACKAGES = {"rapidocr": "rapidocr", "scipy": "scipy", "shapely": "shapely", "skimage": "scikit-image",
            "yaml": "PyYAML"}
RESULTS = ("demo.json", "demo.png")
THREADS = 2
# Pages that formats are taken from; their numbers are beyond those of the pages that are scored.
CALIBRATION_PAGES, FIRST_CALIBRATION_PAGE = 4, 1 << 20
# Feature maps that are simulated at once, and those of them that the INPUT file keeps.
FRAMES, KEPT = 12, 2


def demo(options: DemoOptions) -> bool:
    """Compare SE, TSE in float, and TSE in integers with one block in RTL; print and write it.

    Its folder gets ``demo.json``, ``demo.png`` and the RTL block's WEIGHTS and INPUT. Returns whether
    :func:`.summary.failures` finds nothing wrong. Raises UsageError for missing packages; ConfigError where the folder
    can't be written, or a block can't be built with this k; BuildError or SimulationError where a tool failed.
    """
    folder = output_folder(options, RESULTS)
    missing = [name for module, name in PACKAGES.items() if importlib.util.find_spec(module) is None]
    if missing:
        raise UsageError(f"demo needs {' and '.join(missing)}: pip install 'tiled-se[demo]'")
    # Imported late: not before it is known that they are there.
    from . import picture, summary

    demonstration = _Demonstration(options, folder)
    found = summary.summary(demonstration)
    files = dict(zip(RESULTS, (json_bytes(found), picture.draw(*demonstration.shown())), strict=True))
    write_all(folder, files)
    print(summary.table(found))
    print(f"wrote       {', '.join(os.path.join(folder, name) for name in files)}")
    failures = summary.failures(found)
    for failure in failures:
        print(f"tiled-se: {failure}", file=sys.stderr)
    return not failures


class _Demonstration:
    """Runs the three networks on all pages and on the scan; its attributes are what the summary is made of."""

    def __init__(self, options, folder):
        self.options, self.seconds = options, {}
        with self._step("load", "loading the detector"):
            import torch

            from .networks import Networks
            from .pages import render, scan
            from .rtl import RtlBlock

            # The golden model's maps are small, and onnxruntime's threads are there already: more would only wait.
            torch.set_num_threads(1)
            self.networks = Networks(options.k, THREADS)
            # Its map has the most rows, and what reaches it has passed no other block.
            self.block = self.networks.blocks[0]
        with self._step("render", f"rendering {options.pages} pages"):
            self.pages = [render(options.seed, number) for number in range(options.pages)]
            self.images = [page.image for page in self.pages] + [scan()]
            self.calibration = [render(options.seed, FIRST_CALIBRATION_PAGE + number).image
                                for number in range(CALIBRATION_PAGES)]
        with self._step("calibrate", "calibrating the blocks in integers"):
            self.networks.calibrate(self.calibration)
        self.boxes = {}
        for name, text, network in (("se", "SE", self.networks.original),
                                    ("tse_float", "TSE, float", self.networks.tiled)):
            with self._step(name, f"finding text with {text}"):
                self.boxes[name] = [network(image) for image in self.images]
        with self._step("rtl", f"computing what reaches block {self.block.name}"):
            inputs = [self.networks.block_input(self.block, image) for image in self.images]
            # It writes two files. Until here k may have been refused.
            discard(folder, RESULTS)
            self.rtl = RtlBlock(self.block, self.networks.integers[self.block.name], np.stack(inputs[:-1][:KEPT]),
                                folder, options.k)
            functions = self._simulate(inputs)
        with self._step("tse_integer", f"finding text with TSE in integers, block {self.block.name} by the RTL"):
            self.boxes["tse_integer"] = [self.networks.integer(image, {self.block.name: function})
                                         for image, function in zip(self.images, functions, strict=True)]

    @contextlib.contextmanager
    def _step(self, name, text):
        """Say what is done now, and note how long it takes."""
        say(text)
        start = time.monotonic()
        yield
        self.seconds[name] = round(time.monotonic() - start, 2)

    def _simulate(self, inputs):
        """The block's function for each image. The scan has another height and goes through the same simulation."""
        *rendered, scan = inputs
        outputs = []
        for start in range(0, len(rendered), FRAMES):
            outputs += [*self.rtl.run(np.stack(rendered[start:start + FRAMES]))]
        outputs += [*self.rtl.run(scan[None])]
        return [self.rtl.function(x, y) for x, y in zip(inputs, outputs, strict=True)]

    def shown(self):
        """For the picture: (image, boxes of each network, drawn lines or None) of a page and of the scan."""
        for number, lines in ((0, self.pages[0].lines), (-1, None)):
            yield self.images[number], {name: found[number] for name, found in self.boxes.items()}, lines
