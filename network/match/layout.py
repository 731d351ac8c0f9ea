# SPDX-License-Identifier: Apache-2.0
"""How a tensor holds vectors: along which axis their numbers lie, and along which a constant beside it varies."""

import dataclasses

import numpy as np

__all__ = ["Layout", "Symbol"]

# What the size of an axis is called: a declared name, or a tensor's name and the axis.
Symbol = str | tuple[str, int]


@dataclasses.dataclass(frozen=True)
class Layout:
    """How a tensor holds one vector for each image.

    `axes` has a letter for each axis: N for the images, V for the vector's numbers, 1 for an axis of size one. Declared
    to be one image, it has no N. `size` is the count of the vector's numbers and `images` that of images, None where
    they are open; `size_symbol` and `images_symbol` are the axes that have the same sizes. `repeated` are the sizes to
    which an Expand repeats the vectors, each in the spellings of :func:`~.shape_arithmetic.known_sizes`; empty for
    none.
    """

    axes: str
    size: int | None
    images: int | None
    images_symbol: Symbol
    size_symbol: Symbol | None = None
    repeated: tuple = ()

    def with_vector_at(self, axis: int) -> "Layout | None":
        """The same layout if the vector lies along that axis; a vector of one number lies along any of size one."""
        if not -len(self.axes) <= axis < len(self.axes):
            return None
        axis %= len(self.axes)
        if self.size == 1 and self.axes[axis] == "1":
            axes = self.axes.replace("V", "1")
            return self.arranged(axes[:axis] + "V" + axes[axis + 1:])
        return self if self.axes[axis] == "V" else None

    def arranged(self, axes: str) -> "Layout | None":
        """The same vectors with these axes; None if there is not one vector for each image."""
        return dataclasses.replace(self, axes=axes) if axes.count("V") == 1 and axes.count("N") <= 1 else None

    def along(self, array: np.ndarray) -> np.ndarray | None:
        """The numbers of the constant `array` by index of the vector, or one number that stands for all of them.

        None if the constant varies along another axis, or if a tensor of this layout gets larger when it is combined
        with the constant. Axes are aligned from the right.
        """
        if not array.size:
            return None
        uniform = bool((array == array.flat[0]).all())
        if len(self.axes) < array.ndim and any(size != 1 for size in array.shape[:array.ndim - len(self.axes)]):
            return None
        for letter, size in zip(self.axes[::-1], array.shape[::-1], strict=False):
            if size != 1 and not (letter == "V" and size == self.size or
                                  letter == "N" and size == self.images and uniform):
                return None
        return array.reshape(-1)[:1] if uniform else array.reshape(-1)

    def raised(self, rank: int) -> "Layout":
        """The layout after an operation with a tensor of that many axes of size one."""
        return dataclasses.replace(self, axes="1" * (rank - len(self.axes)) + self.axes)

    def transposed(self, perm: list | None) -> "Layout | None":
        """After a Transpose by `perm`, or one that turns the axes around."""
        perm = list(range(len(self.axes)))[::-1] if perm is None else perm
        if sorted(perm) != list(range(len(self.axes))):
            return None
        return self.arranged("".join(self.axes[axis] for axis in perm))

    def flattened(self, axis: int) -> "Layout | None":
        """After a Flatten before that axis."""
        axis += len(self.axes) if axis < 0 else 0
        parts = [part.replace("1", "") or "1" for part in (self.axes[:axis], self.axes[axis:])]
        return self.arranged("".join(parts)) if max(map(len, parts)) == 1 else None

    def squeezed(self, removed: list | None) -> "Layout | None":
        """Without these axes, or without all of size one."""
        if removed is None:
            # An axis of one image is removed, too, where their number is open. What follows then has one axis less.
            return self.arranged(self.axes.replace("1", "")) if self.size not in (None, 1) else None
        removed = [axis % len(self.axes) for axis in removed]
        if any(self.axes[axis] != "1" for axis in removed):
            return None
        return self.arranged("".join(letter for axis, letter in enumerate(self.axes) if axis not in removed))

    def unsqueezed(self, added: list) -> "Layout | None":
        """With these axes of size one."""
        rank = len(self.axes) + len(added)
        added = {axis % rank for axis in added}
        letters = iter(self.axes)
        return self.arranged("".join("1" if axis in added else next(letters) for axis in range(rank)))

    def reshaped(self, sizes: list[tuple], keep_zeros: bool) -> "Layout | None":
        """After a Reshape to `sizes`, as :func:`~.shape_arithmetic.known_sizes` gives them.

        None unless each image's numbers stay together, in their order. With `keep_zeros` a zero is a size, else it
        copies the size of that axis.
        """
        if "N" in self.axes and self.axes.index("N") > self.axes.index("V"):
            return None
        letters = [self._letter(axis, size, keep_zeros) for axis, size in enumerate(sizes)]
        if None in letters or letters.count("-") + letters.count("?") > 1:
            return None
        if self.size is not None and self.size == self.images and "V" in letters:
            # Both are of that size, and the images are first.
            at = letters.index("V")
            letters[at] = "N" if "N" not in letters and {"V", "-"} & set(letters[at + 1:]) else "V"
        rest = "".join(letters)
        missing = "".join(set(self.axes) - set(rest) - {"1"})
        if len(missing) > 1 and {"-", "?"} & set(letters):
            return None
        # The count of all numbers stays: the one size that is left, or is not known, is what is missing.
        rest = rest.replace("-", missing or "1").replace("?", missing or "1")
        if self.size == 1 and "V" not in rest and "1" in rest:
            at = 1 if len(rest) > 1 and rest[1] == "1" else rest.index("1")
            rest = rest[:at] + "V" + rest[at + 1:]
        # A Reshape to one image is valid for one image alone.
        images_kept = ("N" in rest) == ("N" in self.axes) or "N" not in rest and self.images is None
        in_order = "N" not in rest or "V" in rest and rest.index("N") < rest.index("V")
        return self.arranged(rest) if images_kept and in_order else None

    def _letter(self, axis, size, keep_zeros):
        """The letter for one size of a Reshape: "-" for what is left, "?" for what is not known."""
        if size == (0, ()):
            return None if keep_zeros or axis >= len(self.axes) else self.axes[axis]
        if size == (-1, ()):
            return "-"
        if size == (1, ()):
            return "1"
        if size in ((self.size, ()), (1, (self.size_symbol,))):
            return "V"
        if size in ((self.images, ()), (1, (self.images_symbol,))):
            return "N" if "N" in self.axes else "1"
        return "?" if size[1] else None

    def expanded(self, sizes: list[set]) -> "Layout":
        """After an Expand to `sizes`, each of them in every spelling that is known."""
        rank = max(len(sizes), len(self.axes))
        raised, sizes = self.raised(rank), [{(1, ())}] * (rank - len(sizes)) + sizes
        own = {"1": {(1, ())}, "V": {(1, ()), (self.size, ()), (1, (self.size_symbol,))},
               "N": {(1, ()), (self.images, ()), (1, (self.images_symbol,))}}
        same = all(size & own[letter] for letter, size in zip(raised.axes, sizes, strict=True))
        return raised if same else dataclasses.replace(raised, repeated=tuple(map(frozenset, sizes)))

    def scales(self, channels: int, channels_last: bool, sizes: list[set]) -> bool:
        """Whether a product with a map of four axes scales its channels, and leaves its shape.

        The map has that many channels; `sizes` are those of its axes, in each spelling that is known.
        """
        axis, rank = (-1 if channels_last else -3), len(self.axes)
        placed = self.with_vector_at(axis) if self.size == channels else None
        if placed is None or rank > len(sizes) or "N" in placed.axes and placed.axes.index("N") != rank - len(sizes):
            return False
        # A vector of several numbers can't be repeated along its own axis.
        return all((1, ()) in size or size & known or at == -axis - 1 and channels > 1
                   for at, (size, known) in enumerate(zip(self.repeated[::-1], sizes[::-1], strict=False)))
