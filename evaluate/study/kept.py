# SPDX-License-Identifier: Apache-2.0
"""Trained networks in files, which say how the network is made again."""

import dataclasses
import io
import os
import pickle

import torch
from torch import nn

from ...gen.files import read_bytes
from ...golden import BlockFormats, quantise_se
from ...hdl.config import ConfigError, DataType
from .attention import Attention, BlockMap, attended, block_maps
from .networks import make_network

__all__ = ["Form", "load_network", "network_bytes", "quantised"]

MOST_BYTES = 1 << 30


@dataclasses.dataclass(frozen=True)
class Form:
    """All of a network but its weights.

    ``network`` is one of NETWORKS, ``frame`` what it takes, (C, rows, columns), ``classes`` the names of its outputs.
    ``attention`` stands in its blocks, which are quantised to ``bits`` if that is not None.
    """

    network: str
    frame: tuple[int, int, int]
    classes: tuple[str, ...]
    attention: Attention
    bits: int | None = None

    def make(self) -> tuple[nn.Module, dict[str, BlockMap]]:
        """The network with new weights, drawn by torch's generator, and the sizes of its blocks' maps.

        The draws are the same for every attention.
        """
        channels, rows, _ = self.frame
        network = make_network(self.network, channels, rows, len(self.classes))
        maps = block_maps(network, torch.zeros(1, *self.frame))
        attended(network, self.attention, maps)
        return network if self.bits is None else quantised(network, self.bits), maps


def quantised(network: nn.Module, bits: int) -> nn.Module:
    """`network`, changed in place: its tiled blocks have data and weights of so many `bits`, and no scales yet."""
    return quantise_se(network, BlockFormats(DataType(bits), bits))


def network_bytes(network: nn.Module, form: Form) -> bytes:
    """The file of a `network` of this `form`."""
    file = io.BytesIO()
    weights = {name: tensor.cpu() for name, tensor in network.state_dict().items()}
    torch.save({"form": dataclasses.asdict(form), "weights": weights}, file)
    return file.getvalue()


def load_network(path: str | os.PathLike[str]) -> tuple[nn.Module, Form]:
    """A network that the study has kept in the file `path`, in evaluation mode, and its form.

    Nothing in the file is executed. Raises ConfigError ("path") if it can't be read, or is no such file.
    """
    content = read_bytes("path", os.fspath(path), "a .pt file of the study", MOST_BYTES)
    try:
        kept = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        fields = kept["form"]
        form = Form(**fields | {"attention": Attention(**fields["attention"])})
        network, _ = form.make()
        network.load_state_dict(kept["weights"])
    except (RuntimeError, pickle.UnpicklingError, EOFError, KeyError, TypeError, ValueError, AttributeError):
        raise ConfigError("path", path, "must be a network that the study has kept") from None
    return network.eval(), form
