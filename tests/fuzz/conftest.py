# SPDX-License-Identifier: Apache-2.0
"""How much is tried, and where: see the package."""

import pytest
from hypothesis import HealthCheck, settings

from tests import fuzz

from . import contract
from .sandbox import Sandbox

# An example is a process of its own, which takes as long as the machine is busy; lines are large on purpose.
SHARED = dict(deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)
settings.register_profile("ci", derandomize=True, database=None, **SHARED)
settings.register_profile("long", **SHARED)


def pytest_addoption(parser):
    parser.addoption("--examples", type=int, default=10_000, help="examples of all of tests/fuzz with "
                     "--hypothesis-profile=long (default: 10000)")


def pytest_configure(config):
    if config.getoption("hypothesis_profile", None) == "long":
        fuzz.many = config.getoption("examples")


@pytest.fixture(scope="session")
def sandbox(tmp_path_factory):
    """Where command lines run: :class:`~.sandbox.Sandbox`."""
    return Sandbox(tmp_path_factory.mktemp("sandbox"))


@pytest.fixture(scope="session")
def run(sandbox):
    """A function that runs a line in the sandbox, asserts that it keeps the contract, and returns its Outcome."""
    def run(line, **how):
        outcome = sandbox.run(line, **how)
        faults = contract.breaches(line, outcome)
        assert not faults, f"{faults}: {line}, kept in {sandbox.keep(line, faults)}"
        return outcome
    return run
