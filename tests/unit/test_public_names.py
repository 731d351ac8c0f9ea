# SPDX-License-Identifier: Apache-2.0
"""The names that packages export."""

import importlib
import inspect

import pytest

from tiled_se import batch, cli, cosim, evaluate, gen, golden, hdl, network, verify
from tiled_se.cli import COMMANDS
from tiled_se.evaluate import accuracy, bench, demo, integers, plan, report, simspeed, study, sweep
from tiled_se.verify import soak

PACKAGES = (hdl, golden, cosim, gen, batch, network, verify, evaluate, cli)
SUBPACKAGES = (accuracy, bench, demo, integers, plan, report, simspeed, study, sweep, soak)


@pytest.mark.parametrize("package", [*PACKAGES, *SUBPACKAGES], ids=lambda package: package.__name__)
def test_exported(package):
    for name in package.__all__:
        value = getattr(package, name)
        # Tables and texts do not know their module.
        assert isinstance(value, dict | str | tuple) or value.__module__.startswith(package.__name__)
        assert inspect.getdoc(value), name
    with pytest.raises(AttributeError, match=rf"^module '{package.__name__}' has no attribute 'Nothing'$"):
        package.Nothing  # noqa: B018


@pytest.mark.parametrize("package", [network, verify])
def test_command_with_options(package):
    """A command of the package and its options are both exported, but for verify's ``soak``, which is a subpackage."""
    commands = [command for command in COMMANDS.values()
                if command.function.startswith(f"{package.__name__.split('.')[-1]}.")]
    assert len(commands) > 3
    for command in commands:
        exported = soak if command.load_options().__name__ == "SoakOptions" else package
        assert getattr(exported, command.load_function().__name__) is command.load_function()
        assert command.load_options().__name__ in package.__all__


@pytest.mark.parametrize("name", [name for name, command in COMMANDS.items()
                                  if command.function.startswith("evaluate.")])
def test_measuring_command(name):
    """Its options are exported by the package, and its function by a subpackage."""
    command = COMMANDS[name]
    subpackage = importlib.import_module(f"tiled_se.evaluate.{'accuracy' if name == 'evaluate' else name}")
    assert subpackage.__all__ == [name]
    assert getattr(subpackage, name) is command.load_function()
    assert command.load_options().__name__ in evaluate.__all__
