# SPDX-License-Identifier: Apache-2.0
"""One network of the study, in a worker process: trained from new weights, and tested as it is and with tiles."""

import base64
import copy
import functools
import hashlib
import io
import pathlib
import time
from collections.abc import Mapping

import numpy as np
import torch
from torch import nn

from ...batch.pool import TaskFailed
from ...batch.store import sources
from ...gen.files import write_all
from .attention import SE, Attention, BlockMap, attended, buffer_elements, priors_of
from .conditions import CONDITIONS
from .data import read_dataset
from .kept import Form, network_bytes
from .networks import NETWORKS
from .plan import Quantising, Run, Setup
from .training import Schedule, correct_answers, fixed_frames, platform, train

__all__ = ["Experiment", "correct_of", "file_of", "identity", "is_kept", "keep", "open_experiment", "row", "train_run",
           "trained"]

# Seeds apart from those of trainings: of the frames that networks are tested on, and that they are calibrated on.
TEST_SEED, CALIBRATION_SEED = 1_000_001, 1_000_002
CALIBRATION_FRAMES = 512
OWN_FILES = tuple(f"evaluate/study/{name}.py" for name in (
    "attention", "conditions", "data", "kept", "networks", "training", "worker"))
# What a float network with tiles is made by.
MODELS = ("hdl/tiling.py", *(f"golden/{name}.py" for name in (
    "convert", "descriptors", "module", "priors", "recognise", "replace")))


@functools.cache
def identity() -> dict:
    """All that decides a result beside its settings: versions of the packages, and a hash of the code."""
    return {"torch": torch.__version__, "numpy": np.__version__, "sources": sources(*OWN_FILES, *MODELS)}


class Experiment:
    """The images of a study on the device where networks are trained and tested, as frames of one condition."""

    def __init__(self, folder: str | None, setup: Setup, digest: str, condition: str):
        torch.set_num_threads(1)  # the other processes have the other cores
        self.where, self.condition = platform(), CONDITIONS[condition]
        dataset = read_dataset(folder, setup.train, setup.test)
        if dataset.digest != digest:
            raise TaskFailed("the images have changed during the run")
        self.classes, self.shape = dataset.classes, dataset.shape
        arrays = dataset.train, dataset.train_labels, dataset.test, dataset.test_labels
        self.images, self.labels, images, self.test_labels = (
            torch.from_numpy(array).to(self.where.device) for array in arrays)
        self.frames = fixed_frames(images, self.condition, TEST_SEED)

    def form(self, run: Run) -> Form:
        """What the network of `run` is."""
        channels, *size = self.shape
        return Form(run.network, (channels, *self.condition.size(*size)), self.classes, run.attention)

    def network(self, run: Run) -> tuple[nn.Module, dict[str, BlockMap]]:
        """The network of `run` with its weights before training, and the sizes of its blocks' maps.

        Networks of the same seed have the same weights, whatever is in their blocks.
        """
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(run.seed)
            network, maps = self.form(run).make()
        return network.to(self.where.device), maps

    def calibration(self) -> torch.Tensor:
        """Frames of some training images, always the same; of all classes, also where images stand class by class."""
        order = torch.randperm(len(self.images), generator=torch.Generator().manual_seed(CALIBRATION_SEED))
        chosen = order[:CALIBRATION_FRAMES].to(self.images.device)
        return fixed_frames(self.images[chosen], self.condition, CALIBRATION_SEED)

    def priors(self, network: nn.Module) -> dict[str, np.ndarray]:
        """The priors of a network's blocks, from frames of training images."""
        return priors_of(network, self.calibration())

    def train(self, network: nn.Module, schedule: Schedule, seed: int) -> None:
        """Train `network` in place on the training images, see :func:`.training.train`."""
        train(network, self.images, self.labels, self.condition, schedule, seed, self.where)

    def test(self, network: nn.Module) -> np.ndarray:
        """For each test image whether `network` finds its class, bool."""
        return correct_answers(network, self.frames, self.test_labels)


# A process mostly gets neighbours in the list, of the same condition.
open_experiment = functools.lru_cache(1)(Experiment)


def file_of(task: Run | Quantising, setup: Setup) -> str:
    """The name of the file with the network that a task has trained."""
    return f"{'' if setup.name == 'full' else setup.name + '-'}{task.name}.pt"


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]


def keep(task: Run | Quantising, setup: Setup, networks: str, network: nn.Module, form: Form) -> str:
    """Write the `network` of `form` that `task` has trained into the folder `networks`; the hash of its file."""
    content = network_bytes(network, form)
    write_all(networks, {file_of(task, setup): content})
    return _hash(content)


def is_kept(task: Run | Quantising, setup: Setup, networks: str, weights: str) -> bool:
    """Whether the folder `networks` still has the file of `task` with the hash `weights`."""
    try:
        return _hash(pathlib.Path(networks, file_of(task, setup)).read_bytes()) == weights
    except OSError:
        return False


def row(run: Run, attention: Attention, maps: Mapping[str, BlockMap], correct: np.ndarray, training: str,
        since: float, *, stage: str | None = None, bits: int | None = None, method: str | None = None) -> dict:
    """A row of study.json, with the test images that the network finds; `since` is when its work began."""
    return run.fields | attention.fields | {
        "stage": stage, "training": training, "bits": bits, "method": method, "top1": 100 * float(correct.mean()),
        "buffer_elements": buffer_elements(attention, maps, stage), "seconds": round(time.perf_counter() - since, 2),
        "correct": base64.b64encode(np.packbits(correct)).decode()}


def correct_of(one: Mapping, images: int) -> np.ndarray:
    """The bool array that a row keeps."""
    return np.unpackbits(np.frombuffer(base64.b64decode(one["correct"]), np.uint8), count=images).astype(bool)


def train_run(run: Run, setup: Setup, folder: str | None, digest: str, networks: str) -> dict:
    """Train and test the network of `run`, and keep its weights in the folder `networks`.

    Returns ``rows``, ``weights``, the hash of the file, and the network's number of ``parameters`` and the ``seconds``
    that all took. `folder` has the images, of which `digest` is the hash.
    """
    since = time.perf_counter()
    experiment = open_experiment(folder, setup, digest, run.condition)
    network, maps = experiment.network(run)
    experiment.train(network, setup.training, run.seed)
    rows = [row(run, run.attention, maps, experiment.test(network), "scratch", since)]
    if run.attention == SE:
        rows += _swapped(run, experiment, network, maps)
    weights = keep(run, setup, networks, network, experiment.form(run))
    return {"rows": rows, "weights": weights, "seconds": round(time.perf_counter() - since, 2),
            "parameters": sum(parameter.numel() for parameter in network.parameters())}


def _swapped(run, experiment, network, maps):
    """Rows of `network`, which has squeeze-and-excite, with the tilings of `run` and no further training."""
    rows, priors = [], experiment.priors(network)
    stages = NETWORKS[run.network].stages
    for attention, stage in (*((attention, None) for attention in run.swapped),
                             *((attention, stage) for attention in run.staged for stage in stages)):
        since = time.perf_counter()
        changed = attended(copy.deepcopy(network), attention, maps, stage, priors)
        rows.append(row(run, attention, maps, experiment.test(changed), "swapped", since, stage=stage))
    return rows


def trained(run: Run, setup: Setup, networks: str, weights: str,
            experiment: Experiment) -> tuple[nn.Module, dict[str, BlockMap]]:
    """The network that :func:`train_run` has kept, and the sizes of its maps; `weights` is the hash of its file."""
    content = pathlib.Path(networks, file_of(run, setup)).read_bytes()
    if _hash(content) != weights:
        raise TaskFailed(f"{file_of(run, setup)} has changed since it was trained")
    network, maps = experiment.network(run)
    network.load_state_dict(torch.load(io.BytesIO(content), weights_only=True)["weights"])
    return network, maps
