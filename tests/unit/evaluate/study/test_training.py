# SPDX-License-Identifier: Apache-2.0
"""The study's networks, frames, tilings and trainings."""

import copy
import dataclasses
import json

import numpy as np
import pytest
import torch

from tiled_se.evaluate.study import worker
from tiled_se.evaluate.study.attention import (
    MIDDLE,
    NONE,
    SE,
    Attention,
    attended,
    block_maps,
    buffer_elements,
    priors_of,
)
from tiled_se.evaluate.study.chance import nothing_learnt
from tiled_se.evaluate.study.conditions import CONDITIONS, Condition
from tiled_se.evaluate.study.data import read_dataset
from tiled_se.evaluate.study.networks import NETWORKS, SqueezeExcite, make_network
from tiled_se.evaluate.study.plan import QUICK, Quantising, Run, Tuning, make_plan
from tiled_se.evaluate.study.quantising import in_integers, quantise
from tiled_se.evaluate.study.training import Platform, Schedule, correct_answers, fixed_frames, train
from tiled_se.evaluate.study.tuning import tune
from tiled_se.golden import QuantisedTiledSE, TiledSE, find_se, tile_se
from tiled_se.hdl.config import Context, Order, Tiling

from ....helpers.study_images import textures, write_folders, write_idx

CPU = Platform("cpu", "float32")
SETUP = dataclasses.replace(QUICK, train=640, test=200)


def generator(seed=3):
    return torch.Generator().manual_seed(seed)


def images(count=40, size=12):
    return torch.from_numpy(textures(count, 5, size)[0])[:, None]


def network(name="regnet", rows=28):
    torch.manual_seed(2)
    made = make_network(name, 1, rows, 10)
    return made, block_maps(made, torch.zeros(1, 1, rows, 28))


# Networks.


@pytest.mark.parametrize(("name", "rows", "parameters", "heights"), [
    ("regnet", 28, 57_566, [28, 14, 7, 4]), ("residual", 28, 80_582, [28, 14, 7]),
    ("regnet", 64, 57_566, [32, 16, 8, 4])])
def test_networks(name, rows, parameters, heights):
    made, maps = network(name, rows)
    assert sum(parameter.numel() for parameter in made.parameters()) == parameters
    assert [size.height for size in maps.values()] == heights
    assert made(torch.zeros(3, 1, rows, 28)).shape == (3, 10)
    assert all(any(block.startswith(f"{stage}.") for block in maps) for stage in NETWORKS[name].stages)


@pytest.mark.parametrize("name", NETWORKS)
def test_blocks_are_recognised(name):
    """So the study need not check them each time."""
    made, maps = network(name)
    assert [block for block, module in made.named_modules() if isinstance(module, SqueezeExcite)] == list(maps)
    assert {block: (about.channels, about.squeeze) for block, about in find_se(made).items()} == {
        block: (size.channels, size.channels // 4) for block, size in maps.items()}


# What stands in the blocks.


def test_attended_is_tile_se():
    made, maps = network()
    x = torch.rand(2, 1, 28, 28)
    tiles = attended(copy.deepcopy(made), Attention("tile", 3), maps)
    assert torch.equal(tiles.eval()(x), tile_se(copy.deepcopy(made), 3).eval()(x))
    assert torch.equal(attended(copy.deepcopy(made), SE, maps).eval()(x), made.eval()(x))
    whole = attended(copy.deepcopy(made), Attention("tile"), maps).eval()(x)
    assert torch.allclose(whole, made(x), atol=1e-6)
    assert [module.k for module in tiles.modules() if isinstance(module, TiledSE)] == [3] * len(maps)
    without = attended(copy.deepcopy(made), NONE, maps)
    assert not any(isinstance(module, SqueezeExcite | TiledSE) for module in without.modules())


def test_attended_in_one_stage():
    made, maps = network()
    attended(made, Attention("tile", 3), maps, "stage2")
    kinds = {name.split(".")[0]: type(module) for name, module in made.named_modules() if name in maps}
    assert kinds == {"stage1": SqueezeExcite, "stage2": TiledSE, "stage3": SqueezeExcite, "stage4": SqueezeExcite}


def test_priors():
    """Blocks whose context counts imaginary rows have the mean of the maps on the frames."""
    made, maps = network()
    frames = torch.rand(300, 1, 28, 28)
    attended(made, Attention("causal", 1, prior_rows=1), maps, priors=priors_of(made, frames))
    first = next(iter(maps))
    before = made.eval().stem(frames)
    before = made.stage1[0].body[:6](before)
    assert torch.allclose(made.get_submodule(first).prior, before.mean((0, 2, 3)), atol=1e-5)


TILINGS = {
    Attention("tile", 7): Tiling(k=7), Attention("tile", 15): Tiling(k=10), Attention("tile"): Tiling(k=10),
    Attention("tile", 13, order="columns"): Tiling(k=12, order=Order.COLUMNS),
    Attention("tile", 3, 13): Tiling(k=3, tile_width=12), SE: Tiling(k=10),
    Attention("cumulative", 1, prior_rows=1): Tiling(k=1, context=Context.CUMULATIVE, prior_rows=1),
    Attention("causal", None, prior_rows=1): Tiling(k=10, context=Context.CAUSAL, prior_rows=1),
    Attention("window", window="0:7"): Tiling(k=10, context=Context.WINDOW, window=(0, 7)),
    Attention("window", window=MIDDLE): Tiling(k=10, context=Context.WINDOW, window=(1, 7)),
}


@pytest.mark.parametrize("attention", TILINGS, ids=str)
def test_tiling(attention):
    """Of a map of 10 rows and 12 columns: no tile or window is larger."""
    assert attention.tiling(10, 12) == TILINGS[attention]


@pytest.mark.parametrize(("attention", "elements"), [
    (NONE, 0), (SE, 16 * 28 * 28 + 32 * 14 * 14 + 64 * 7 * 7 + 96 * 4 * 4),
    (Attention("tile", 7), 16 * 7 * 28 + 32 * 7 * 14 + 64 * 7 * 7 + 96 * 4 * 4),
    (Attention("tile", 3, 3), 16 * (2 * 28 + 3) + 32 * (2 * 14 + 3) + 64 * (2 * 7 + 3) + 96 * (2 * 4 + 3)),
    (Attention("cumulative", 1, prior_rows=1), 16 * 28 + 32 * 14 + 64 * 7 + 96 * 4),
    (Attention("causal", 1, prior_rows=1), 0),
    (Attention("window", window=MIDDLE), 16 * 17 * 28 + 32 * 10 * 14 + 64 * 7 * 7 + 96 * 4 * 4)], ids=str)
def test_buffer(attention, elements):
    assert buffer_elements(attention, network()[1]) == elements


def test_buffer_of_one_stage():
    expected = 16 * 28 * 28 + 32 * 7 * 14 + 64 * 7 * 7 + 96 * 4 * 4
    assert buffer_elements(Attention("tile", 7), network()[1], "stage2") == expected


# Frames.


@pytest.mark.parametrize("name", CONDITIONS)
def test_frames_are_drawn_from_the_generator(name):
    condition = CONDITIONS[name]
    first, again = (condition.frames(images(), generator()) for _ in range(2))
    assert torch.equal(first, again)
    assert first.shape == (40, 1, *condition.size(12, 12))
    assert first.dtype == torch.float32
    assert torch.equal(first, condition.frames(images(), generator(4))) == (name == "plain")


def test_plain():
    assert torch.equal(CONDITIONS["plain"].frames(images(), generator()), images().float() / 255)


def test_exposure():
    """A dark image is made up to twice as bright, and down to an eighth; all is cut at 0 and 1."""
    grey = torch.full((4000, 1, 2, 2), 51, dtype=torch.uint8)
    frames = CONDITIONS["exposure"].frames(grey, generator())
    assert torch.equal(frames.amax((1, 2, 3)), frames.amin((1, 2, 3)))
    assert 0 == frames.min() < 0.4 < frames.max() <= 0.45
    assert 0.1 < (frames.amax((1, 2, 3)) < 0.2 / 8 + 0.05).float().mean() < 0.5
    assert CONDITIONS["exposure"].frames(grey * 5, generator()).max() == 1


def test_upside_down():
    for canvas in (False, True):
        usual, turned = (Condition(canvas=canvas, upside_down=way).frames(images(), generator())
                         for way in (False, True))
        assert torch.equal(turned, usual.flip(2))


def test_shifted():
    """Each image is somewhere, with zeros around it; all shifts up to six occur."""
    spot = torch.zeros(2000, 1, 15, 15, dtype=torch.uint8)
    spot[:, :, 7, 7] = 255
    frames = Condition(exposure=False, shifted=True).frames(spot, generator())
    assert (frames.sum((1, 2, 3)) == 1).all()
    _, _, rows, columns = frames.nonzero(as_tuple=True)
    assert sorted({*rows.tolist()}) == sorted({*columns.tolist()}) == list(range(1, 14))
    corner = torch.zeros(400, 1, 15, 15, dtype=torch.uint8)
    corner[:, :, 0, 0] = 255
    assert set(Condition(exposure=False, shifted=True).frames(corner, generator()).sum((1, 2, 3)).tolist()) == {0, 1}


def test_canvas():
    """The whole image is somewhere, where it is brighter than the texture, which differs."""
    white = torch.full((300, 1, 7, 7), 255, dtype=torch.uint8)
    frames = Condition(exposure=False, canvas=True).frames(white, generator())
    assert frames.shape == (300, 1, 16, 16)
    assert ((frames == 1).sum((1, 2, 3)) == 49).all()
    tops = (frames == 1).any(3)[:, 0].int().argmax(1)
    assert sorted({*tops.tolist()}) == list(range(10))
    texture = frames[frames < 1]
    assert 0 <= texture.min() < 0.05 < 0.5 < texture.max() <= 0.6


def test_fixed_frames_do_not_depend_on_the_parts():
    first = fixed_frames(images(30), CONDITIONS["exposure"], 9)
    assert torch.equal(first, fixed_frames(images(30), CONDITIONS["exposure"], 9))


# Training.


def small():
    torch.manual_seed(2)
    return make_network("residual", 1, 12, 4)


def trained_weights(seed=1, steps=4, where=CPU):
    made = small()
    x, labels = textures(200, 5)
    train(made, torch.from_numpy(x)[:, None], torch.from_numpy(labels).long(), CONDITIONS["exposure"],
          Schedule(steps, 0.1), seed, where)
    return torch.cat([value.flatten().float() for value in made.state_dict().values()])


def test_training_is_repeatable():
    assert torch.equal(trained_weights(), trained_weights())
    assert not torch.equal(trained_weights(), trained_weights(seed=2))


def test_training_does_not_depend_on_other_numbers():
    torch.manual_seed(77)
    first = trained_weights()
    torch.rand(5)
    assert torch.equal(first, trained_weights())


def test_training_in_bfloat16():
    """It computes in fewer bits, and comes near."""
    exact, short = trained_weights(steps=2), trained_weights(steps=2, where=Platform("cpu", "bfloat16"))
    assert not torch.equal(exact, short)
    assert torch.allclose(exact, short, atol=0.1)


def test_order_of_images():
    """All images of an epoch differ, and the next epoch has another order."""
    seen = []

    class Spy(Condition):
        def frames(self, images, generator):
            seen.append(images.flatten().tolist())
            return torch.zeros(len(images), 1, 12, 12)

    numbers = torch.arange(130)[:, None, None, None]
    train(small(), numbers, torch.zeros(130, dtype=torch.long), Spy(), Schedule(4, 0.1), 1, CPU)
    assert [len(batch) for batch in seen] == [64] * 4
    epochs = [seen[0] + seen[1], seen[2] + seen[3]]
    assert all(len({*epoch}) == 128 for epoch in epochs)
    assert epochs[0] != epochs[1]


def test_correct_answers():
    """Of each image whether its own label is found, also over several parts."""
    class Echo(torch.nn.Module):
        def forward(self, x):
            return x.flatten(1)

    frames = torch.eye(4)[torch.arange(203) % 4][:, None, None]
    labels = torch.arange(203) % 4
    labels[[5, 202]] = 0
    assert np.flatnonzero(~correct_answers(Echo(), frames, labels)).tolist() == [5, 202]


# Chance.


@pytest.mark.parametrize(("share", "classes", "learnt"), [
    (0.10, 10, False), (0.16, 10, False), (0.20, 10, True), (0.53, 2, False), (0.60, 2, True), (0.04, 100, True),
    (0.013, 100, False)])
def test_chance(share, classes, learnt):
    """Of 1000 images of `classes` of the same size."""
    rng = np.random.default_rng(1)
    correct, largest = np.arange(1000) < 1000 * share, np.arange(1000) % classes == 0
    reason = nothing_learnt(rng.permutation(correct), rng.permutation(largest))
    assert (reason is None) == learnt
    assert learnt or reason.startswith(f"it has learnt nothing: its top-1 is {share:.1%}, and {1 / classes:.1%} of")


def test_chance_of_a_large_class():
    """A network that names the largest class for all has learnt nothing, however large that is."""
    largest = np.arange(1000) < 800
    assert nothing_learnt(largest, largest)
    assert nothing_learnt(np.arange(1000) < 900, largest) is None


# Plan.


@pytest.mark.parametrize("quick", [False, True])
def test_plan(quick):
    plan = make_plan(quick)
    assert len({*plan.runs}) == len({str(run) for run in plan.runs}) == len(plan.runs)
    assert len({*plan.later}) == len(plan.later)
    # What starts with a network's weights finds them.
    assert {task.start for task in plan.later} <= {*plan.runs}
    costs = [run.cost for run in plan.runs]
    assert costs == sorted(costs, reverse=True)
    seeds = {}
    for run in plan.runs:
        seeds.setdefault((run.network, run.condition, run.attention), []).append(run.seed)
        # Only networks with squeeze-and-excite can be given tiles.
        assert bool(run.swapped) == (run.attention == SE)
        json.dumps(run.settings)
    # Enough seeds that the spread of trainings is known.
    assert seeds["regnet", "exposure" if quick else "canvas", SE] == [1, 2, 3]


def test_full_plan_has_table_1():
    paper = {"none", "se", *(f"tile-{k}xW" for k in (1, 3, 5, 7, 9)), *(f"tile-Hx{k}" for k in (1, 3, 5, 7, 9)),
             *(f"tile-{k}x{k}" for k in (1, 3, 5, 7, 9, 11, 13)), "window-0+7", "window-middle"}
    running = {f"{context}-{k}" for context in ("cumulative", "causal") for k in (1, 3, 7)}
    plan = make_plan(False)
    main = [run for run in plan.runs if (run.network, run.condition) == ("regnet", "canvas")]
    assert {str(run.attention) for run in main} == paper | running
    swapped = next(run for run in main if run.attention == SE).swapped
    assert {str(one) for one in swapped} == (paper | running) - {"none", "se"} | {
        f"{context}-all" for context in ("cumulative", "causal")} | {"tile-allxW"}
    assert {run.condition for run in plan.runs} == {*CONDITIONS}


# Tasks.

RUN = Run("residual", "exposure", SE, 1, (Attention("tile", 7), Attention("cumulative", 1, prior_rows=1)),
          (Attention("tile", 3),))
FIELDS = ["network", "condition", "seed", "attention", "context", "k", "tile_w", "order", "window", "prior_rows",
          "stage", "training", "bits", "method", "top1", "buffer_elements", "seconds", "correct"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return str(write_idx(tmp_path_factory.mktemp("images")))


@pytest.fixture(scope="module")
def dataset(folder):
    return read_dataset(folder, SETUP.train, SETUP.test)


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    return str(tmp_path_factory.mktemp("networks"))


@pytest.fixture(scope="module")
def result(folder, dataset, networks):
    return worker.train_run(RUN, SETUP, folder, dataset.digest, networks)


def test_rows_of_a_run(result):
    rows = result["rows"]
    assert all(list(row) == FIELDS for row in rows)
    assert [(row["training"], row["attention"], row["context"], row["k"], row["stage"]) for row in rows] == [
        ("scratch", "se", "se", None, None), ("swapped", "tse", "tile", 7, None),
        ("swapped", "tse", "cumulative", 1, None), *(("swapped", "tse", "tile", 3, f"stage{n}") for n in (1, 2, 3))]
    json.dumps(result, allow_nan=False)


def test_correct_images_are_kept(result):
    for row in result["rows"]:
        correct = worker.correct_of(row, SETUP.test)
        assert correct.shape == (SETUP.test,)
        assert row["top1"] == pytest.approx(100 * correct.mean())


def test_it_learns(result):
    """The textures are easy: nearly all are found, and each swap comes from the network, not from another."""
    assert result["rows"][0]["top1"] > 90


def test_kept_weights(result, folder, dataset, networks):
    """They are those of the network that was tested; a changed file is noticed."""
    experiment = worker.open_experiment(folder, SETUP, dataset.digest, RUN.condition)
    assert worker.is_kept(RUN, SETUP, networks, result["weights"])
    made, _ = worker.trained(RUN, SETUP, networks, result["weights"], experiment)
    assert (experiment.test(made) == worker.correct_of(result["rows"][0], SETUP.test)).all()
    assert not worker.is_kept(RUN, SETUP, networks, "0" * 32)
    with pytest.raises(Exception, match=f"^quick-{RUN}.pt has changed since it was trained$"):
        worker.trained(RUN, SETUP, networks, "0" * 32, experiment)


def test_calibration_sees_all_classes(tmp_path):
    """Also where the images come class by class; they are training images, and always the same."""
    dataset = read_dataset(str(write_folders(tmp_path / "images", 800)), 2000, 200)
    assert (np.diff(dataset.train_labels) >= 0).all()
    experiment = worker.Experiment(dataset.source, dataclasses.replace(SETUP, train=2000), dataset.digest, "plain")
    frames = experiment.calibration()
    assert torch.equal(frames, experiment.calibration())
    places = {image.numpy().tobytes(): index for index, image in enumerate(experiment.images.float() / 255)}
    counts = np.bincount(dataset.train_labels[[places[frame.numpy().tobytes()] for frame in frames]])
    assert counts.sum() == 512
    assert counts.min() > 90


def test_changed_images(folder, networks):
    with pytest.raises(Exception, match="^the images have changed during the run$"):
        worker.train_run(RUN, SETUP, folder, "0" * 32, networks)


def test_pairs(folder, dataset):
    """Networks of a seed begin with the same weights, whatever is in their blocks; those of another seed don't."""
    experiment = worker.open_experiment(folder, SETUP, dataset.digest, RUN.condition)
    runs = [dataclasses.replace(RUN, attention=attention, seed=seed)
            for attention, seed in ((NONE, 1), (Attention("tile", 7), 1), (NONE, 2))]
    first, tiles, other = (experiment.network(run)[0] for run in runs)
    weights = {name: dict(one.named_parameters()) for name, one in (("a", first), ("b", tiles), ("c", other))}
    assert all(torch.equal(value, weights["b"][name]) for name, value in weights["a"].items())
    assert not torch.equal(weights["a"]["stem.0.weight"], weights["c"]["stem.0.weight"])


def test_tuning(result, folder, dataset, networks):
    """It begins with the kept weights: with no learning rate to speak of, tiles give what they gave when swapped."""
    setup = dataclasses.replace(SETUP, tuning=Schedule(1, 1e-30))
    tuned = tune(Tuning(RUN, RUN.swapped[0]), setup, folder, dataset.digest, networks, result["weights"])
    (row,) = tuned["rows"]
    assert list(row) == FIELDS
    assert (row["training"], row["context"], row["k"]) == ("fine-tuned", "tile", 7)
    assert abs(row["top1"] - result["rows"][1]["top1"]) < 3


TILES = Run("residual", "exposure", Attention("tile", 7), 1)


@pytest.fixture(scope="module")
def tiles(folder, dataset, networks):
    return worker.train_run(TILES, SETUP, folder, dataset.digest, networks)


@pytest.mark.parametrize(("aware", "expected"), [
    (None, [("after", 8), ("after", 4), ("tuned", None), ("tuned", 8), ("tuned", 4)]), (4, [("aware", 4)])])
def test_quantising(tiles, folder, dataset, networks, aware, expected):
    """The textures are easy in four bits, too; what a network has learnt is not lost."""
    rows = quantise(Quantising(TILES, aware), SETUP, folder, dataset.digest, networks, tiles["weights"])["rows"]
    assert [(row["method"], row["bits"]) for row in rows] == expected
    assert all(list(row) == FIELDS and row["top1"] > 80 for row in rows)
    assert all(row["training"] == ("quantised" if row["bits"] else "fine-tuned") for row in rows)


def test_blocks_in_integers(tiles, folder, dataset, networks):
    """They are those of the hardware, with their own formats, in every block."""
    experiment = worker.open_experiment(folder, SETUP, dataset.digest, TILES.condition)
    made, maps = worker.trained(TILES, SETUP, networks, tiles["weights"], experiment)
    in_integers(made, 4, experiment)
    for name in maps:
        block = made.get_submodule(name)
        assert isinstance(block, QuantisedTiledSE)
        assert (block.formats.data.bits, block.formats.weight_bits, block.x_format.scale > 0) == (4, 4, True)


def test_what_is_trained_on(tiles, folder, dataset, networks, monkeypatch):
    """Blocks are quantised before it for "after", and after it for "tuned": here training forgets everything."""
    def forget(network, *_):
        for parameter in network.parameters():
            parameter.data.zero_()

    monkeypatch.setattr(worker, "train", forget)
    rows = quantise(Quantising(TILES), SETUP, folder, dataset.digest, networks, tiles["weights"])["rows"]
    assert [row["top1"] > 80 for row in rows] == [True, True, False, False, False]
