# SPDX-License-Identifier: Apache-2.0
"""`tiled-se prove`: formal properties of the components, and planted faults that the properties must find."""

from .command import prove
from .source import select
from .task import ProofTask, attempt

__all__ = ["ProofTask", "attempt", "prove", "select"]
