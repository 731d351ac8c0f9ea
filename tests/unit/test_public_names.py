# SPDX-License-Identifier: Apache-2.0
"""The names that packages export."""

import inspect

import pytest

from tiled_se import cosim, gen, golden, hdl, network


@pytest.mark.parametrize("package", [hdl, golden, cosim, gen, network], ids=lambda package: package.__name__)
def test_exported(package):
    for name in package.__all__:
        value = getattr(package, name)
        assert value.__module__.startswith(package.__name__)
        assert inspect.getdoc(value), name
    with pytest.raises(AttributeError, match=rf"^module '{package.__name__}' has no attribute 'Nothing'$"):
        package.__getattr__("Nothing")
