# SPDX-License-Identifier: Apache-2.0
"""Libraries of networks, which some environments lack."""

import importlib
import re
import warnings

import pytest
import torch

__all__ = ["library"]

DECLARED = set()


def library(name):
    """The module of a library, or the test is skipped with what its import says.

    PyPI's torchvision has compiled operators for PyPI's torch. Beside a CPU build of torch they don't load, and the
    import fails as it describes them: "operator torchvision::nms does not exist". No classifier calls them, so they
    are declared without a body here.
    """
    while True:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return importlib.import_module(name)
        except (ImportError, RuntimeError, OSError) as error:
            missing = re.match(r"operator (torchvision::\w+) does not exist", str(error))
            if not missing or missing[1] in DECLARED:
                pytest.skip(f"{name} can't be imported: {error}")
            DECLARED.add(missing[1])
            torch.library.define(missing[1], "(Tensor boxes, Tensor scores, float threshold) -> Tensor")
