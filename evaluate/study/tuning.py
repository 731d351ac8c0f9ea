# SPDX-License-Identifier: Apache-2.0
"""A trained network with squeeze-and-excite that is trained on with tiles, in a worker process."""

import time

from .attention import attended
from .plan import Setup, Tuning
from .training import train
from .worker import open_bench, row, trained

__all__ = ["TUNING_SEED", "tune"]

# Between the seed of a network's training and that of its training on.
TUNING_SEED = 1_000


def tune(task: Tuning, setup: Setup, folder: str | None, digest: str, networks: str, weights: str) -> dict:
    """Train the network of ``task.start`` on, whose kept file has the hash `weights`.

    Returns ``rows`` and ``seconds``. The other parameters are those of :func:`.worker.train_run`.
    """
    since, run = time.perf_counter(), task.start
    bench = open_bench(folder, setup, digest, run.condition)
    network, maps = trained(run, setup, networks, weights, bench)
    priors = bench.priors(network) if task.attention.prior_rows else None
    attended(network, task.attention, maps, priors=priors)
    train(network, bench.images, bench.labels, bench.condition, setup.tuning, TUNING_SEED + run.seed, bench.where)
    rows = [row(run, task.attention, maps, bench.test(network), "fine-tuned", since)]
    return {"rows": rows, "seconds": round(time.perf_counter() - since, 2)}
