# SPDX-License-Identifier: Apache-2.0
"""A trained network with squeeze-and-excite that is fine-tuned with tiles, in a worker process."""

import time

from .attention import attended
from .plan import Setup, Tuning
from .worker import open_experiment, row, trained

__all__ = ["TUNING_SEED", "tune"]

# Between the seed of a network's training and that of its fine-tuning.
TUNING_SEED = 1_000


def tune(task: Tuning, setup: Setup, folder: str | None, digest: str, networks: str, weights: str) -> dict:
    """Train the network of ``task.start`` on, whose kept file has the hash `weights`.

    Returns ``rows`` and ``seconds``. The other parameters are those of :func:`.worker.train_run`.
    """
    since, run = time.perf_counter(), task.start
    experiment = open_experiment(folder, setup, digest, run.condition)
    network, maps = trained(run, setup, networks, weights, experiment)
    priors = experiment.priors(network) if task.attention.prior_rows else None
    attended(network, task.attention, maps, priors=priors)
    experiment.train(network, setup.tuning, TUNING_SEED + run.seed)
    rows = [row(run, task.attention, maps, experiment.test(network), "fine-tuned", since)]
    return {"rows": rows, "seconds": round(time.perf_counter() - since, 2)}
