# SPDX-License-Identifier: Apache-2.0
"""A part of a component's inside, so that properties of the part alone hold in the whole, too."""

__all__ = ["Part"]


class Part:
    """What `inside`, an :class:`~tiled_se.hdl.proofs.proof.Inside`, has in the submodule `name`."""

    def __init__(self, inside, name):
        self._inside, self._name = inside, name

    def __getitem__(self, name):
        return self._inside[f"{self._name}/{name}"]

    def word(self, m, memory, address):
        return self._inside.word(m, f"{self._name}/{memory}", address)
