# SPDX-License-Identifier: Apache-2.0
"""A trained network with tiles whose blocks become those of the hardware, bit for bit, in a worker process."""

import copy
import dataclasses
import functools
import time

from torch import nn

from ...batch.store import BLOCK, sources
from ...golden import calibrate_blocks
from .kept import quantised
from .plan import BITS, Quantising, Setup
from .training import BATCH
from .tuning import TUNING_SEED
from .worker import OWN_FILES, Experiment, keep, open_experiment, row, trained
from .worker import identity as first_identity

__all__ = ["identity", "in_integers", "quantise"]

OWN = tuple(f"evaluate/study/{name}.py" for name in ("quantising", "tuning"))


@functools.cache
def identity() -> dict:
    """All that decides a result beside its settings, in which the hash of the first weights is: of all later tasks."""
    return first_identity() | {"sources": sources(*OWN_FILES, *OWN, *BLOCK, "golden")}


def in_integers(network: nn.Module, bits: int, experiment: Experiment) -> nn.Module:
    """`network` with quantised blocks, data and weights of `bits`, calibrated on training images; changed in place."""
    quantised(network, bits)
    calibrate_blocks(network, experiment.calibration().split(BATCH))
    return network


def quantise(task: Quantising, setup: Setup, folder: str | None, digest: str, networks: str, weights: str) -> dict:
    """The rows of the network of ``task.start`` with blocks in integers; see :func:`.tuning.tune`.

    In a row ``method`` is "after" where it was quantised after training, "tuned" after fine-tuning in float, and
    "aware" where it was fine-tuned in integers. Such a network is kept in the folder `networks`. The last two are
    compared with the network in float that "tuned" begins with: it has a row, too, "fine-tuned".
    """
    since, run, rows, kept = time.perf_counter(), task.start, [], {}
    experiment = open_experiment(folder, setup, digest, run.condition)
    network, maps = trained(run, setup, networks, weights, experiment)

    def add(made, bits, method):
        rows.append(row(run, run.attention, maps, experiment.test(made), "quantised", since, bits=bits, method=method))

    def fine_tune(made):
        experiment.train(made, setup.tuning, TUNING_SEED + run.seed)

    if task.aware is not None:
        in_integers(network, task.aware, experiment)
        fine_tune(network)
        add(network, task.aware, "aware")
        form = dataclasses.replace(experiment.form(run), bits=task.aware)
        kept["weights"] = keep(task, setup, networks, network, form)
    else:
        for method in ("after", "tuned"):
            if method == "tuned":
                fine_tune(network)
                rows.append(row(run, run.attention, maps, experiment.test(network), "fine-tuned", since, method=method))
            for bits in BITS:
                add(in_integers(copy.deepcopy(network), bits, experiment), bits, method)
    return {"rows": rows, **kept, "seconds": round(time.perf_counter() - since, 2)}
