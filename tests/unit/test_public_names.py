# SPDX-License-Identifier: Apache-2.0
"""The names that packages export."""

import inspect

import pytest

from tiled_se import batch, cli, cosim, evaluate, gen, golden, hdl, network, verify
from tiled_se.evaluate import bench, demo, report, simspeed, sweep
from tiled_se.verify import soak

PACKAGES = (hdl, golden, cosim, gen, batch, network, verify, evaluate, cli)
COMMANDS = (bench, demo, report, simspeed, sweep, soak)


@pytest.mark.parametrize("package", [*PACKAGES, *COMMANDS], ids=lambda package: package.__name__)
def test_exported(package):
    for name in package.__all__:
        value = getattr(package, name)
        # Tables and texts do not know their module.
        assert isinstance(value, dict | str | tuple) or value.__module__.startswith(package.__name__)
        assert inspect.getdoc(value), name
    with pytest.raises(AttributeError, match=rf"^module '{package.__name__}' has no attribute 'Nothing'$"):
        package.Nothing  # noqa: B018
