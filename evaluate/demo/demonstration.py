# SPDX-License-Identifier: Apache-2.0
"""Runs all networks on the pages of one seed and on the scan, with blocks of some forms in RTL."""

import contextlib
import time

import numpy as np
import torch

from ...gen.files import discard
from ...gen.text_table import say
from .forms import RTL, forms
from .networks import Networks
from .pages import render, scan
from .rtl import RtlBlock

__all__ = ["Demonstration"]

THREADS = 2
# Pages that formats and priors are taken from; their numbers are beyond those of the pages that are scored.
CALIBRATION_PAGES, FIRST_CALIBRATION_PAGE = 4, 1 << 20
# Feature maps that are simulated at once, and those of them that the INPUT file keeps.
FRAMES, KEPT = 12, 2


class Demonstration:
    """Runs on construction; writes WEIGHTS and INPUT of the blocks in RTL into `folder`.

    `k` are the rows of the paper's tiles. Files named `results` are removed from `folder` as soon as it is known that
    blocks can be built with this k; before that, ConfigError is raised and nothing is written. Raises BuildError or
    SimulationError where a tool failed.

    Attributes
    ----------
    pages : list of Page
    calibration : list of array
        Images.
    images : list of array
        Of the pages, and the scan.
    blocks : list of NetworkBlock
    block : NetworkBlock
        The one that is in RTL.
    forms : tuple of Form
    integers : dict of str to (dict of str to DetectorBlock)
        By name of a form and of a block.
    rtl : dict of str to RtlBlock
        By name of a form.
    boxes : dict of str to (list of array (N, 4, 2))
        By name of a network; an array for each image.
    seconds : dict of str to float
    """

    def __init__(self, k, seed, pages, folder, results):
        self.k, self.seed, self.seconds = k, seed, {}
        with self._step("load", "loading the detector"):
            # The golden model's maps are small, and onnxruntime's threads are there already: more would only wait.
            torch.set_num_threads(1)
            self._networks = Networks(THREADS)
        with self._step("render", f"rendering {pages} pages"):
            self.pages = [render(seed, number) for number in range(pages)]
            self.images = [page.image for page in self.pages] + [scan()]
            self.calibration = [render(seed, FIRST_CALIBRATION_PAGE + number).image
                                for number in range(CALIBRATION_PAGES)]
        self.forms, tiled = forms(k), {}
        with self._step("calibrate", "calibrating the blocks of each form"):
            self._networks.calibrate(self.calibration)
            for form in self.forms:
                tiled[form.name] = self._networks.tiled(form, self.calibration)
        # Until here k may have been refused.
        discard(folder, results)
        self.integers = {name: network.integers for name, network in tiled.items()}
        # Its map has the most rows.
        self.blocks = self._networks.blocks
        self.block = self.blocks[0]
        self.boxes, self.rtl = {}, {}
        with self._step("se", "finding text with SE"):
            self.boxes["se"] = [self._networks.original(image) for image in self.images]
        for form in self.forms:
            # The network is let go after its turn, with the memory that its runtime holds.
            self._run(form, tiled.pop(form.name), folder)

    def _run(self, form, network, folder):
        """Find text with the network of a form in float and in integers."""
        with self._step(f"{form.name}_float", f"finding text with {form.title} in float"):
            self.boxes[f"{form.name}_float"] = [network.float(image) for image in self.images]
        others, by_rtl = [{} for _ in self.images], ""
        if form.name in RTL:
            with self._step(f"{form.name}_rtl", f"computing what reaches block {self.block.name}"):
                others = [{self.block.name: function} for function in self._simulate(form, network, folder)]
            by_rtl = f", block {self.block.name} by the RTL"
        with self._step(f"{form.name}_integer", f"finding text with {form.title} in integers{by_rtl}"):
            self.boxes[f"{form.name}_integer"] = [network.integer(image, functions) for image, functions in zip(
                self.images, others, strict=True)]

    @contextlib.contextmanager
    def _step(self, name, text):
        """Say what is done now, and note how long it takes."""
        say(text)
        start = time.monotonic()
        yield
        self.seconds[name] = round(time.monotonic() - start, 2)

    def _simulate(self, form, network, folder):
        """The RTL block's function for each image. The scan has another height, and the same simulation takes it."""
        *rendered, scanned = (network.block_input(self.block, image) for image in self.images)
        rtl = self.rtl[form.name] = RtlBlock(self.block, network.integers[self.block.name],
                                             np.stack(rendered[:KEPT]), folder, form)
        outputs = []
        for start in range(0, len(rendered), FRAMES):
            outputs += [*rtl.run(np.stack(rendered[start:start + FRAMES]))]
        outputs += [*rtl.run(scanned[None])]
        return [rtl.function(x, y) for x, y in zip((*rendered, scanned), outputs, strict=True)]

    def shown(self):
        """For the picture: (image, boxes of each network, drawn lines or None) of a page and of the scan."""
        for number, lines in ((0, self.pages[0].lines), (-1, None)):
            yield self.images[number], {name: found[number] for name, found in self.boxes.items()}, lines
