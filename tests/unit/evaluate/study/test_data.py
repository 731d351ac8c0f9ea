# SPDX-License-Identifier: Apache-2.0
"""Images of the study: files as those of MNIST, folders of classes, and what is wrong with them."""

import gzip

import numpy as np
import pytest

from tiled_se.evaluate.study.data import TEST_SHARE, read_dataset
from tiled_se.hdl.config import ConfigError

from ....helpers.study_images import CLASSES, textures, write_folders, write_idx

ALL = 1 << 20


def refused(folder, *, value=None, match):
    with pytest.raises(ConfigError, match=match) as error:
        read_dataset(str(folder), ALL, ALL)
    assert error.value.option == "data"
    assert error.value.value == str(value or folder)


@pytest.mark.parametrize("zipped", [False, True])
def test_idx(tmp_path, zipped):
    dataset = read_dataset(str(write_idx(tmp_path / "mnist", zipped=zipped)), ALL, ALL)
    images, labels = textures(640, 0)
    assert (dataset.train[:, 0] == images).all()
    assert (dataset.train_labels == labels).all()
    images, labels = textures(200, 1)
    assert (dataset.test[:, 0] == images).all()
    assert (dataset.test_labels == labels).all()
    assert dataset.description["name"] == "mnist"
    assert dataset.description["shape"] == [1, 12, 12]
    assert dataset.description["largest_class"] == 1 / CLASSES


def test_fewer_images(tmp_path):
    """They are the same in each call, drawn from all, and each has its own label."""
    folder = str(write_idx(tmp_path))
    every, some = read_dataset(folder, ALL, ALL), read_dataset(folder, 300, 100)
    assert (len(some.train), len(some.test)) == (300, 100)
    assert some.digest == read_dataset(folder, 300, 100).digest != every.digest
    places = [int((every.train == image).all((1, 2, 3)).argmax()) for image in some.train]
    assert (every.train_labels[places] == some.train_labels).all()
    assert max(places) > 500


def test_one_folder_for_each_class(tmp_path):
    dataset = read_dataset(str(write_folders(tmp_path)), ALL, ALL)
    assert dataset.classes == tuple(f"class{number}" for number in range(CLASSES))
    assert (len(dataset.train), len(dataset.test)) == (200, 40)
    images, _ = textures(240, 0)
    # Of the first class, whose images are every CLASSES-th, the sixth one is the first for the test.
    assert (dataset.test[0, 0] == images[CLASSES * (TEST_SHARE - 1)]).all()
    assert np.bincount(dataset.test_labels).tolist() == [10] * CLASSES


def test_train_and_test_in_colours(tmp_path):
    write_folders(tmp_path / "train", mode="RGB")
    write_folders(tmp_path / "test", 40, mode="RGB")
    dataset = read_dataset(str(tmp_path), ALL, ALL)
    assert dataset.train.shape == (240, 3, 12, 12)
    assert dataset.test.shape == (40, 3, 12, 12)


def test_no_folder(tmp_path):
    refused(tmp_path / "nowhere", match="is no folder; must be a folder with the four files")


def test_default_is_missing(monkeypatch):
    monkeypatch.setattr("tiled_se.evaluate.study.data.DEFAULT", "/nowhere")
    with pytest.raises(ConfigError, match="is needed, as there is no /nowhere, which Debian's package dataset-fashion"):
        read_dataset(None, ALL, ALL)


def test_empty_folder(tmp_path):
    refused(tmp_path, match="holds no folders; must be a folder with the four files")


def test_missing_file(tmp_path):
    write_idx(tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte").unlink()
    refused(tmp_path, value=tmp_path / "t10k-labels-idx1-ubyte.gz", match="there is no such file; must be one of the f")


@pytest.mark.parametrize(("size", "reason"), [
    (5, "has 5 bytes; must have a header of 16"),
    (2, "begins with 0000; must be an .idx file with 00000803 first"),
    (0, "begins with nothing; must be"),
    (1000, "has only 984 bytes of data; must have 92,160, as its header says")])
def test_cut_file(tmp_path, size, reason):
    path = write_idx(tmp_path) / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:size])
    refused(tmp_path, value=path, match=reason)


def test_more_than_the_header_says(tmp_path):
    path = write_idx(tmp_path) / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes() + b"0")
    refused(tmp_path, value=path, match="has more than 92,160 bytes of data; must have 92,160")


def test_huge_header(tmp_path):
    path = write_idx(tmp_path) / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:4] + b"\xff" * 12)
    refused(tmp_path, value=path, match=r"says that it holds [0-9,]+ bytes; must hold 1,073,741,824 at most")


def test_wrong_magic(tmp_path):
    """A file of labels in the place of the one of images."""
    write_idx(tmp_path)
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes((tmp_path / "train-labels-idx1-ubyte").read_bytes())
    refused(tmp_path, value=path, match="begins with 00000801")


@pytest.mark.parametrize("damage", [lambda content: content[:-20], lambda content: content[:60] + b"?" * 60,
                                    lambda content: b"no gzip"])
def test_damaged_gzip(tmp_path, damage):
    path = write_idx(tmp_path, zipped=True) / "train-images-idx3-ubyte.gz"
    path.write_bytes(damage(path.read_bytes()))
    refused(tmp_path, value=path, match="is cut or damaged; must be a whole .gz file")


def test_labels_that_are_missing(tmp_path):
    path = write_idx(tmp_path, zipped=True) / "train-labels-idx1-ubyte.gz"
    labels = gzip.decompress(path.read_bytes())
    path.write_bytes(gzip.compress(labels[:4] + (639).to_bytes(4, "big") + labels[9:]))
    refused(tmp_path, value=path, match="has 639 labels; must have 640, as many as there are images")


def test_test_of_another_size(tmp_path):
    write_idx(tmp_path)
    write_idx(tmp_path / "larger", size=14)
    for file in (tmp_path / "larger").glob("t10k-*"):
        file.rename(tmp_path / file.name)
    refused(tmp_path, match="has images of 12 x 12 for train and of 14 x 14 for test; must have one size")


def test_images_of_several_sizes(tmp_path):
    write_folders(tmp_path)
    write_folders(tmp_path / "larger", 4, size=14)
    path = (tmp_path / "larger/class1/0001.png").rename(tmp_path / "class1/9999.png")
    for place in (tmp_path / "larger").iterdir():
        for file in place.iterdir():
            file.unlink()
        place.rmdir()
    (tmp_path / "larger").rmdir()
    refused(tmp_path, value=path, match="has 14 x 14 pixels, and .*/0000.png has 12 x 12; images must have one size")


@pytest.mark.parametrize(("size", "refusal"), [(6, "6 x 6"), (300, "300 x 300")])
def test_size_that_is_not_taken(tmp_path, size, refusal):
    refused(write_idx(tmp_path, 128, 32, size), match=f"has images of {refusal}; must be from 8 x 8 to 256 x 256")


def test_one_class(tmp_path):
    write_folders(tmp_path, 960)
    for number in range(1, CLASSES):
        for file in (tmp_path / f"class{number}").iterdir():
            file.unlink()
        (tmp_path / f"class{number}").rmdir()
    refused(tmp_path, match="has images of one class only for train; must have two classes at least")


def test_class_without_images(tmp_path):
    (write_folders(tmp_path) / "empty").mkdir()
    refused(tmp_path, value=tmp_path / "empty", match="has no images")


def test_class_that_train_lacks(tmp_path):
    write_folders(tmp_path / "train")
    write_folders(tmp_path / "test")
    (tmp_path / "test/class3").rename(tmp_path / "test/class9")
    refused(tmp_path, value=tmp_path / "test/class3", match="is no folder")
    write_folders(tmp_path / "test")
    refused(tmp_path, value=tmp_path / "test", match="has the class class9, which train lacks")


def test_too_few(tmp_path):
    refused(write_idx(tmp_path, 100), match="has 100 images for train; must have 128 at least")


def test_no_image(tmp_path):
    path = write_folders(tmp_path) / "class2/0002.png"
    path.write_bytes(b"no image")
    refused(tmp_path, value=path, match="can't be read as an image")
