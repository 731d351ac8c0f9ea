# SPDX-License-Identifier: Apache-2.0
"""The proofs of the block's control that CI has the time for; `make prove` has them all."""

import pytest

from tiled_se.verify.formal import model, source, tools, work


def seeded(component, fault):
    """The task of the fault of that name."""
    found = [work.Task(component, number, index, seed.name)
             for number, proof in enumerate(source.proofs_of(component))
             for index, seed in enumerate(proof.faults) if seed.name == fault]
    assert len(found) == 1
    return found[0]


@pytest.mark.parametrize("fault", [
    "gates are released a cycle late",
    "a tile is read before its gates are ready",
    "the output waits for a free place for gates, which it alone can give",
])
def test_block_wired_wrong(fault):
    """The control's proofs are of the block as it is wired: a wrong wire between two right components is found."""
    assert work.work(seeded("control", fault))["verdict"] == work.FOUND


def test_control_step(tmp_path):
    """From any state in which the control's properties hold they hold on, for tiles of two beats."""
    proof = source.proofs_of("control")[0]
    model.write_model(proof.make(), tmp_path)
    assert tools.check(tmp_path, proof.depth).passed
    assert tools.check(tmp_path, proof.depth, "induction").passed


def test_progress_step(tmp_path):
    """From any such state, a beat moves in time while both sides let it."""
    proof = next(proof for proof in source.proofs_of("control") if proof.name.startswith("progress"))
    model.write_model(proof.make(), tmp_path)
    assert tools.check(tmp_path, proof.depth, "induction").passed
    # One cycle of induction less, and the bound has a state from which it could be missed.
    assert not tools.check(tmp_path, proof.depth // 2, "induction").passed
