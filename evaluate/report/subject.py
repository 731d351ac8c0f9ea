# SPDX-License-Identifier: Apache-2.0
"""The networks of a report: known ones, those of the paper's tables, of a .json file, or of an ONNX model."""

import dataclasses
import os

from ...gen.block_spec import RANDOM_SPAN
from ...hdl.config import ConfigError, DataType
from ...network.plan import Plan
from ..networks import BlockShape, Network, load_networks

__all__ = ["PAPER", "Subject", "resolve"]

# Largest dimension, and largest count of equal blocks: what hardware can have, and more than any network has.
MOST = 1 << 16
# The subject that stands for all of the paper's tables, and the network whose hardware is measured with it.
PAPER, MEASURED = "paper", "EfficientDet-D2"


@dataclasses.dataclass(frozen=True)
class Subject:
    """The networks to measure, and which rows of the paper's tables to show: those of `rows`, names of networks, or all
    where that is None; `notes` are lines about them."""

    networks: tuple
    rows: frozenset | None
    notes: tuple = ()


def resolve(options):
    """The :class:`Subject` that ``options.model`` names.

    It is a path that ends in .onnx or .json, or names with commas between: of known networks, and ``paper`` for all of
    the paper's tables, with which EfficientDet-D2 is measured if no other network is named. ConfigError ("model") where
    there is no such network, or the file isn't one; or what a model's file has been refused for.
    """
    text, plan = options.model, Plan.of(options)
    if not text:
        raise ConfigError("model", "", "is needed: names of networks, paper, or an .onnx or .json file")
    if text.endswith(".onnx"):
        network, notes = _model(text, options, plan)
        return Subject((_checked(network),), frozenset(), tuple(notes))
    if options.differs:
        name = "plan" if options.plan else "k"
        raise ConfigError(name, str(getattr(options, name)), "is for the blocks of an .onnx file; those of other "
                                                             "networks have no names, and K is one number for all")
    if options.input_shape:
        raise ConfigError("input_shape", options.input_shape,
                          "is the size of an .onnx file's input; known networks have their own")
    own = text.endswith(".json")
    given = [text] if own else list(dict.fromkeys(text.split(",")))
    names = [name for name in given if name != PAPER] or [MEASURED]
    try:
        networks = tuple(map(_checked, load_networks(",".join(names))))
    except ConfigError as error:
        allowed = error.allowed.replace("must be a .json file or", f"must be {PAPER}, an .onnx or .json file, or")
        raise ConfigError("model", error.value, allowed) from None
    form = _formats({name: getattr(options, name) for name in ("dtype", "y_dtype")} |
                    {"weight_bits": options.weight_bits or 8})
    networks = tuple(dataclasses.replace(network, blocks=tuple(
        dataclasses.replace(block, form=form) for block in network.blocks)) for network in networks)
    return Subject(networks, frozenset() if own else None if PAPER in given else frozenset(names))


def _checked(network):
    for block in network.blocks:
        if not all(1 <= n <= MOST for n in (block.height, block.width, block.channels, block.squeeze, block.count)):
            raise ConfigError("model", f"{network.name}, {block}", f"H, W, C, CR and how many must be 1 to {MOST}")
    return network


def _model(path, options, plan):
    """The network in an ONNX file, and lines about what `plan` chooses for its blocks."""
    from ...network.network import open_network
    from ...network.read.shapes import InputShape

    shape = InputShape.parse(options.input_shape) if options.input_shape else None
    network = open_network(path, shape, need_sizes=True, check=options.check_blocks)
    name = os.path.basename(path)
    size = (shape.height, shape.width) if shape else _size(network.dims)
    chosen = plan.choices(network.blocks)
    # A prior takes no memory, and `build` has one.
    tilings = chosen.tilings(network.blocks, prior=True) if options.differs else {}
    blocks = tuple(_sized(block, tilings.get(block.name), vars(options) | chosen.values[block.name])
                   for block in network.blocks)
    return Network(name.removesuffix(".onnx"), size, name, blocks), chosen.notes


def _size(dims):
    """Height and width of an input of dimensions `dims`, None where nobody knows which of them they are."""
    from ...network.calibration.images import picture_of

    if dims is None:
        return None
    channels, height, width, _ = picture_of(dims)
    return (height, width) if channels in (1, 3) else None


def _sized(found, tiling, given):
    """The shape of the block `found`, and what else decides its hardware; `given` are options by name."""
    from ...network.calibration.own_numbers import own_options

    form, numbers = found.float_block, found.numbers
    given = {name: given.get(name) for name in ("y_scale", "y_zero_point")} | own_options(found, given)
    if numbers.y is not None:
        given |= {"y_scale": numbers.y.scale, "y_zero_point": numbers.y.zero_point}
    return BlockShape(found.height, found.width, found.channels, found.squeeze, name=found.name, form=(
        ("mid", form.mid), ("gate", form.gate), ("residual", form.residual),
        *_formats(given, form.residual, numbers.x)), tiling=tiling)


def _formats(given, residual=False, x_format=None):
    """The formats of a block as options, pairs of name and value, from those that are `given`.

    `x_format` is the input's if it is known. The block is measured with random data, whose step is another one, so its
    outputs' step keeps the ratio of the two. Where only images would tell this, outputs have half the range of the
    default format.
    """
    data = DataType.parse(given["dtype"] or "int8")
    own = {name: given.get(name) for name in ("dtype", "weight_bits", "y_dtype", "y_scale", "y_zero_point")}
    if x_format is not None:
        own["zero_point"] = x_format.zero_point
    if own["y_dtype"] is not None or own["y_scale"] is not None:
        outputs, step = DataType.parse(own["y_dtype"] or str(data), "y_dtype"), RANDOM_SPAN / (data.steps + 1)
        if x_format is not None and isinstance(own["y_scale"], float):
            own["y_scale"] *= step / x_format.scale
        else:
            own["y_scale"] = step * (1 + residual) * 2.0 ** (data.bits - outputs.bits - 1)
        if own["y_zero_point"] is None:
            own["y_zero_point"] = outputs.offset
    return tuple((name, value) for name, value in own.items() if value is not None)
