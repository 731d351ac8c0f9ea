# SPDX-License-Identifier: Apache-2.0
"""Names of the folders and modules that `tiled-se build` makes of blocks' names."""

import itertools

import pytest

from tiled_se.gen.formats import identifier
from tiled_se.network.read.names import folder_names, module_name

# Pairs of names that become the same in one way or another.
ALIKE = [("se.1", "se_1"), ("se.1", "se-1"), ("/a/b", "a b"), ("Block/SE", "block/se"), ("x" * 16000, "x" * 16001),
         ("x" * 130 + "a", "x" * 130 + "b"), ("..", "é"), ("a.", "a"), ("é", "block")]


@pytest.mark.parametrize("names", ALIKE, ids=lambda names: " and ".join(name[:20] for name in names))
def test_no_two_blocks_share_folder_or_module(names):
    # With a name that has a number already.
    names = [*names, f"{names[1]}-2", f"{names[0]}.2", f"{names[0]}-2-2"]
    for order in itertools.permutations(names):
        folders = folder_names(order)
        assert list(folders) == list(order)
        assert len({folder.lower() for folder in folders.values()}) == len(names)
        modules = {module_name(folder) for folder in folders.values()}
        assert len({module.lower() for module in modules}) == len(names)
        # NAME takes them, so that a block's run can be repeated.
        assert all(identifier(module) == module for module in modules)


def test_first_name_stays_as_it_is():
    assert folder_names(["/a/b", "a b", "a-b-2"]) == {"/a/b": "a-b", "a b": "a-b-2", "a-b-2": "a-b-2-2"}


def test_names_that_are_taken():
    """A block may be called as a file that its folder lies beside."""
    assert folder_names(["report.json", "Report json"], ["report.json"]) == {
        "report.json": "report.json-2", "Report json": "Report-json-3"}


def test_lengths():
    """256 blocks of one long name."""
    folders = folder_names(["x" * 300 + str(number) for number in range(256)])
    assert all(identifier(module_name(folder)) for folder in folders.values())
