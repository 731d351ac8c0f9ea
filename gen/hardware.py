# SPDX-License-Identifier: Apache-2.0
"""The loadable block that a parameter stream is made for, as its manifest describes it."""

import dataclasses
import json
from typing import NoReturn

from ..golden.block import FloatBlock
from ..golden.quantise import Quantised, quantise_fixed_widths
from ..hdl.config import Config, ConfigError, Order
from .fields import options_of, shortened
from .files import decoded, read_bytes
from .options import BlockOptions
from .wording import config_from

__all__ = ["Hardware", "load_hardware"]

KIND = "the manifest.json of a loadable block"
# What the parameters decide of a loadable block's hardware. The options decide the rest.
WIDTHS = ("operand_bits", "hidden_frac", "segment_bits", "requant_bits", "multiplier_bits", "shifts")
# The options that decide which streams fit, by their names in a Config: what the operation is; the outputs, and MACS,
# which is by default that of the hardware.
OPERATION = {name: name for name in (
    "k", "width", "channels", "squeeze", "weight_bits", "mid", "gate", "residual", "context", "tile_width",
    "prior_rows", "max_rows", "window")} | {"data": "dtype"}
DECIDING = OPERATION | {"outputs": "y_dtype", "macs": "macs"}


@dataclasses.dataclass(frozen=True)
class Hardware:
    """A loadable block: the ``config`` of the manifest `path`."""

    path: str
    config: Config

    @property
    def max_ratio(self) -> float | None:
        """The largest ratio of the scales that it takes; None if it loads none."""
        return self.config.largest_ratio if self.config.rescales else None

    def quantise(self, config: Config, block: FloatBlock, x_scale: float,
                 options: BlockOptions) -> tuple[Config, Quantised]:
        """`config` with these widths, and the `block` quantised for it.

        Raises ConfigError where a stream of `config` does not fit, or where the widths don't keep ``options.error``.
        """
        if options.operand_bits not in (None, self.config.operand_bits):
            self._differs("operand_bits", options.operand_bits, self.config.operand_bits)
        try:
            fitted = dataclasses.replace(config, **{name: getattr(self.config, name) for name in WIDTHS})
            if fitted.fingerprint == self.config.fingerprint:
                return fitted, quantise_fixed_widths(fitted, block, x_scale, options.error)
        except ConfigError as error:
            # Widths may be illegal for another operation.
            self.check(config, DECIDING)
            if error.option not in WIDTHS:
                raise
            raise ConfigError("hardware", self.path, f"its {error.option} of {error.value} {error.allowed}") from None
        self.check(config, DECIDING)
        raise ConfigError("hardware", self.path, "loads no format of the outputs; Y_DTYPE, Y_SCALE and Y_ZERO_POINT "
                                                 "must be as by default")

    def check(self, config: Config, names: dict[str, str] = OPERATION) -> None:
        """Raise ConfigError, which names an option, if one of `names` differs. Streams may fit nevertheless."""
        windows = None not in (config.window, self.config.window)
        for name, option in names.items():
            own, stored = getattr(config, name), getattr(self.config, name)
            # Blocks with windows ignore these.
            if own != stored and not (windows and name in ("k", "max_rows")):
                by_columns = name == "width" and config.order is Order.COLUMNS
                self._differs("height" if by_columns else option, own, stored)

    def _differs(self, option: str, value: object, stored: object) -> NoReturn:
        about = options_of(BlockOptions)[option]
        given, needed = (about.text_of(one) or "none" for one in (value, stored))
        raise ConfigError(option, given, f"must be {shortened(needed)}, as HARDWARE={self.path} has it")


def load_hardware(options: BlockOptions) -> Hardware | None:
    """The :class:`Hardware` that `options` name, if any; ConfigError if it is no manifest of a loadable block."""
    path = options.hardware
    if path is None:
        return None
    content = read_bytes("hardware", path, KIND, 1 << 30)
    try:
        about = json.loads(decoded(content))
        config, fingerprint = config_from(about["config"]), about["parameters"]["fingerprint"]
        if not config.loadable or not isinstance(fingerprint, str):
            raise ValueError
    except (ValueError, LookupError, TypeError, OverflowError, RecursionError):
        raise ConfigError("hardware", path, f"must be {KIND}") from None
    if fingerprint != f"{config.fingerprint:08x}":
        raise ConfigError("hardware", path, f"has the fingerprint {shortened(fingerprint)}, its config "
                                            f"{config.fingerprint:08x}: was it another version?")
    if options.loadable is False:
        raise ConfigError("loadable", False, f"must be 1 for HARDWARE={path}")
    return Hardware(path, config)
