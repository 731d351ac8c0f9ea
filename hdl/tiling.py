# SPDX-License-Identifier: Apache-2.0
"""Which elements share a descriptor: the paper's tilings, and contexts in which one row, or none, waits.

This module imports neither amaranth nor torch. Hardware, golden model, quantiser, converters and reports ask a
:class:`Tiling`; only the float64 reference computes descriptors on its own.
"""

import dataclasses
import enum

from .errors import ConfigError, check_integer, integer

__all__ = ["Context", "Order", "Tiling"]

# Most columns of a tile, rows of a prior or a window, rows before a window.
MOST_ROWS = 1 << 16
# Most rows of a tile. It may exceed any map's height; a Config, which has a buffer, allows MOST_ROWS.
MOST_K = 1 << 30
DEFAULT_MAX_ROWS = 4096
# The paper's own choice, with which memories of all contexts are compared.
PAPER_ROWS = 7


class Context(enum.Enum):
    """The rows that a tile's descriptor averages."""

    TILE = "tile"
    CUMULATIVE = "cumulative"
    CAUSAL = "causal"
    WINDOW = "window"

    @property
    def streams(self) -> bool:
        """Whether a tile's gates may be there before its last beat, so that it is read before it has ended."""
        return self in (Context.CAUSAL, Context.WINDOW)

    @property
    def running(self) -> bool:
        """Whether the sums go on from tile to tile, so that a descriptor averages any number of rows."""
        return self in (Context.CUMULATIVE, Context.CAUSAL)


class Order(enum.Enum):
    """The order of a stream's pixels: row by row, or column by column."""

    ROWS = "rows"
    COLUMNS = "columns"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tiling:
    """Which elements of a frame share a descriptor, and which elements that descriptor averages.

    Tile j has the rows ``j * k`` to ``min((j + 1) * k, H) - 1``. Of a stream by columns, "row" stands for a column and
    W for H everywhere in this class. Integers may be those of numpy, and are stored as int. TypeError or ConfigError
    names a parameter that is not legal, or that the context excludes.

    Parameters
    ----------
    k : int
        Rows of a tile; strips with ``k >= H`` are the original squeeze-and-excite. WINDOW ignores it: its tile is the
        frame.
    context : Context
        TILE: the mean of the tile itself. CUMULATIVE: of all rows of the frame up to the tile's last one. CAUSAL: of
        all rows before the tile. WINDOW: of the frame's rows `window`, for the whole frame.
    tile_width : int, optional
        TILE only: columns of a tile; None is the whole width.
    prior_rows : int
        CUMULATIVE and CAUSAL: P imaginary rows, all equal to the block's prior, that are averaged with the real ones.
        CAUSAL needs at least 1. In WINDOW a frame without a row in the window has the prior as its descriptor, which
        is one such row, unless the window begins with row 0; TILE has none. These two replace any number.
    max_rows : int
        CUMULATIVE and CAUSAL: rows beyond it leave the descriptor as it is.
    window : (int, int), optional
        WINDOW only: first row and number of rows.
    order : Order
        How the map becomes a stream.
    """

    k: int
    context: Context = Context.TILE
    tile_width: int | None = None
    prior_rows: int = 0
    max_rows: int = DEFAULT_MAX_ROWS
    window: tuple[int, int] | None = None
    order: Order = Order.ROWS

    def __post_init__(self) -> None:
        self._take_integer("k", 1, MOST_K)
        for option, kind in (("context", Context), ("order", Order)):
            if not isinstance(getattr(self, option), kind):
                raise TypeError(f"{option}={getattr(self, option)!r}: must be a {kind.__name__}")
        if self.tile_width is not None:
            self._take_integer("tile_width", 1, MOST_ROWS)
            if self.context is not Context.TILE:
                raise ConfigError("tile_width", self.tile_width, f"context={self.context.value} has tiles of full "
                                                                 "rows; only context=tile has narrower ones")
        self._take_integer("prior_rows", 0, MOST_ROWS)
        if self.context is Context.CAUSAL and not self.prior_rows:
            raise ConfigError("prior_rows", 0, "must be at least 1 for context=causal, whose first tile has no rows "
                                               "before it")
        self._take_integer("max_rows", 1, MOST_ROWS)
        self._take_window()
        if not self.context.running:
            # Every frame has a row 0.
            object.__setattr__(self, "prior_rows", int(self.window is not None and self.window[0] > 0))

    def _take_integer(self, option: str, low: int, high: int) -> None:
        """Check a field, and store it as an int."""
        object.__setattr__(self, option, check_integer(option, getattr(self, option), low, high))

    def _take_window(self) -> None:
        """Check the window, and store it as a tuple of int."""
        if self.window is not None:
            try:
                values = [integer(value) for value in self.window]
            except TypeError:
                values = []
            if len(values) != 2 or None in values:
                raise ConfigError("window", repr(self.window), "must be two integers: the first row and the number of "
                                                               "rows")
            object.__setattr__(self, "window", tuple(values))
        if self.context is not Context.WINDOW:
            if self.window is not None:
                raise ConfigError("window", self._window_text, "needs context=window")
            return
        if self.window is None:
            raise ConfigError("window", "", "is needed for context=window: the first row and the number of rows")
        first, count = self.window
        if not (0 <= first <= MOST_ROWS and 1 <= count <= MOST_ROWS):
            raise ConfigError("window", self._window_text,
                              f"must be a first row from 0 and a number of rows from 1, up to {MOST_ROWS}")

    @property
    def _window_text(self) -> str:
        return ":".join(str(value) for value in self.window or ())

    @staticmethod
    def of(k: "int | Tiling") -> "Tiling":
        """The tiling alone, of `k` that has more; an integer `k` stands for tiles of so many full rows."""
        return k.tiling if isinstance(k, Tiling) else Tiling(k=k)

    @property
    def tiling(self) -> "Tiling":
        """The tiling alone, of an object that has more."""
        return Tiling(**{field.name: getattr(self, field.name) for field in dataclasses.fields(Tiling)})

    # What a descriptor averages.

    @property
    def most_rows(self) -> int:
        """The largest number of rows that a descriptor averages, imaginary ones included."""
        if self.context.running:
            return self.prior_rows + self.max_rows
        return self.window[1] if self.window is not None else self.k

    @property
    def scale_rows(self) -> int:
        """The rows whose sum has the largest range: ``most_rows``, or the next power of two where sums go on.

        A descriptor is a sum of n rows times ``scale_rows / n``. For any n up to thousands that is a division in the
        hardware, which is simplest for a power of two; for a few n it is a table, and full tiles should be exact.
        """
        return 1 << (self.most_rows - 1).bit_length() if self.context.running else self.most_rows

    @property
    def tile_rows(self) -> int:
        """Rows of a full tile; in WINDOW, where the tile is the frame, the rows up to the window's end."""
        return self.k if self.window is None else sum(self.window)

    def tile_columns(self, width: int) -> int:
        """Columns of a full tile of a map of `width` columns."""
        return min(self.tile_width or width, width)

    def across(self, width: int) -> int:
        """Tiles side by side."""
        return -(-width // self.tile_columns(width))

    def spans(self, width: int) -> list[tuple[int, int]]:
        """The columns ``(first, stop)`` of each of these, from the left."""
        columns = self.tile_columns(width)
        return [(first, min(first + columns, width)) for first in range(0, width, columns)]

    def strips(self, height: int) -> list[tuple[int, int]]:
        """The rows ``(first, stop)`` of each tile of a frame, or row of tiles, from the top."""
        if self.context is Context.WINDOW:
            return [(0, height)]
        return [(first, min(first + self.k, height)) for first in range(0, height, self.k)]

    def averaged(self, height: int) -> list[tuple[int, int]]:
        """For each of :meth:`strips` the real rows ``(first, stop)`` that its descriptor averages; maybe none."""
        strips = self.strips(height)
        if self.context is Context.TILE:
            return strips
        if self.window is not None:
            first, count = self.window
            return [(min(first, height), min(first + count, height))]
        causal = self.context is Context.CAUSAL
        return [(0, min(first if causal else stop, self.max_rows)) for first, stop in strips]

    def imaginary(self, height: int) -> list[int]:
        """For each of :meth:`strips` the imaginary rows of the prior that its descriptor averages, too."""
        if self.context is Context.WINDOW:
            return [int(first == stop) for first, stop in self.averaged(height)]
        return [self.prior_rows] * len(self.strips(height))

    # What waits.

    def waiting(self, width: int) -> int:
        """Pixels of a map of `width` columns that must wait for their gates, if there are enough rows."""
        if self.context is Context.CAUSAL:
            return 0
        if self.window is not None:
            return sum(self.window) * width
        return (self.k - 1) * width + self.tile_columns(width)

    @property
    def line_name(self) -> str:
        """The variable that has the length of the stream's lines: W, or H of a stream by columns."""
        return "H" if self.order is Order.COLUMNS else "W"

    @property
    def waiting_formula(self) -> str:
        """The elements that must wait, :meth:`waiting` times C, as a formula of variables."""
        if self.context is Context.CAUSAL:
            return "0"
        if self.window is not None:
            return f"(FIRST+COUNT)*{self.line_name}*C"
        return f"K*{self.line_name}*C" if self.tile_width is None else f"((K-1)*{self.line_name}+TILE_W)*C"
