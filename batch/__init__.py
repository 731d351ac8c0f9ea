# SPDX-License-Identifier: Apache-2.0
"""Many tasks on many processes, of this machine or of a cluster: run, shown and kept."""

from .campaign import Campaign
from .local import Local, cores
from .pool import EngineLost, TaskFailed, ToolReason, reason_of
from .progress import Progress, Tally
from .store import Store, digest, sources

__all__ = ["Campaign", "EngineLost", "Local", "Progress", "Store", "Tally", "TaskFailed", "ToolReason", "cores",
           "digest", "reason_of", "sources"]
