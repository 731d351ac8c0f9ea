# SPDX-License-Identifier: Apache-2.0
"""What the commands on a network print and write about tilings and priors."""

import dataclasses
import enum
from collections.abc import Collection, Iterable, Iterator, Sequence

from ...gen.wording import prior_alone
from ...golden.range_method import RangeMethod
from ...hdl.config import Context, Order, Tiling
from ...hdl.tiling import DEFAULT_MAX_ROWS
from ..calibration.own_numbers import requantised
from ..match.match import NetworkBlock

__all__ = ["fields", "of_numbers", "of_prior", "tiles"]


def fields(tiling: Tiling) -> dict:
    """The parameters of a tiling, JSON-serialisable."""
    return {name: value.value if isinstance(value, enum.Enum) else value
            for name, value in dataclasses.asdict(tiling).items()}


def tiles(tiling: Tiling, height: int | None = None, width: int | None = None) -> str:
    """The tiling of a block whose maps have this size, None if it is open."""
    by_columns = tiling.order is Order.COLUMNS
    row, size = ("column", width) if by_columns else ("row", height)
    of_all = "" if size is None else f" of {size}"

    why = prior_alone(tiling, size) if size else ""
    alone = f"; {why}" if why else ""

    def several(count):
        return f"{count} {row}{'' if count == 1 else 's'}"

    if tiling.window is not None:
        first, count = tiling.window
        stop = first + count if size is None else min(first + count, size)
        return why or f"gates from {row}s {first} to {stop - 1}{of_all}"
    if tiling.context is Context.TILE:
        narrow = "" if tiling.tile_width is None else \
            f", {tiling.tile_width} {'rows high' if by_columns else 'columns wide'}"
        return f"tiles of {several(tiling.k)}{of_all}{narrow}"
    prior = f", with {several(tiling.prior_rows)} of the prior" if tiling.prior_rows else ""
    most = f", of which the first {several(tiling.max_rows)} count" if tiling.max_rows != DEFAULT_MAX_ROWS else ""
    return f"{tiling.context.value} gates for tiles of {several(tiling.k)}{of_all}{most}{prior}{alone}"


def of_numbers(blocks: Sequence[NetworkBlock], calibrated: Collection[str],
               calibrate_by: RangeMethod | None) -> Iterator[str]:
    """Lines about what is not as a quantised network or CALIBRATE_BY has it; `calibrated` are the names of blocks that
    got a format from images."""
    own = [block.name for block in blocks if block.name not in calibrated]
    if own and calibrate_by is not None:
        yield f"CALIBRATE_BY={calibrate_by} is ignored, as the network has the numbers: {', '.join(own)}"
    for block in blocks:
        if reasons := requantised(block):
            yield f"{block.name}: weights are quantised anew: " + "; ".join(
                f"{name}, as {reason}" for name, reason in reasons.items())


def of_prior(tilings: Iterable[Tiling], images: int) -> list[str]:
    """A line, if there is a prior in any of these, about where it comes from: from so many images, or from none."""
    if not any(tiling.prior_rows for tiling in tilings):
        return []
    return ["the prior of each block is " + (f"the mean of its maps on {images} image{'' if images == 1 else 's'}"
                                             if images else "0, as there is no CALIBRATION")]
