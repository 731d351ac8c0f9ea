# SPDX-License-Identifier: Apache-2.0
"""The loadable block that a parameter stream is made for, as its manifest describes it."""

import dataclasses
import json
import math
from typing import Any, NoReturn

from ..golden.block import FloatBlock
from ..golden.quantise import Quantised, quantise_fixed_widths
from ..hdl.config import Config, ConfigError
from .fields import options_of, shortened
from .files import decoded, read_bytes
from .options import BlockOptions
from .wording import config_fields

__all__ = ["Hardware", "load_hardware"]

KIND = "the manifest.json of a loadable block"
# What the parameters decide of a loadable block's hardware. The options decide the rest.
WIDTHS = ("operand_bits", "hidden_frac", "segment_bits", "requant_bits", "multiplier_bits")
# The options that decide which streams fit, by their names in a manifest. MACS=auto follows from the others.
DECIDING = {name: name for name in (
    "k", "width", "height", "channels", "squeeze", "weight_bits", "mid", "gate", "residual", "context",
    "tile_width", "prior_rows", "max_rows", "window")} | {"data": "dtype", "outputs": "y_dtype", "macs": "macs"}


@dataclasses.dataclass(frozen=True)
class Hardware:
    """A loadable block: ``config`` of the manifest `path`, and the first word of its streams, in hexadecimal."""

    path: str
    config: dict[str, Any]
    fingerprint: str

    @property
    def widths(self) -> dict[str, int]:
        """Those of WIDTHS."""
        return {name: self.config[name] for name in WIDTHS}

    @property
    def max_ratio(self) -> float | None:
        """The largest ratio of the scales that it takes; None if it loads none."""
        return self.config["max_ratio"]

    def quantise(self, config: Config, block: FloatBlock, x_scale: float,
                 options: BlockOptions) -> tuple[Config, Quantised]:
        """`config` with these widths, and the `block` quantised for it.

        Raises ConfigError where a stream of `config` does not fit, or where the widths don't keep ``options.error``.
        """
        if options.operand_bits not in (None, self.widths["operand_bits"]):
            self._differs("operand_bits", options.operand_bits, self.widths["operand_bits"])
        try:
            config = dataclasses.replace(config, shifts=self.config["shifts"],
                                         **self.widths)  # type: ignore[arg-type]  # they are integers
            self._check(config)
            return config, quantise_fixed_widths(config, block, x_scale, options.error)
        except ConfigError as error:
            if error.option not in WIDTHS:
                raise
            raise ConfigError("hardware", self.path, f"its {error.option} of {error.value} {error.allowed}") from None

    def _check(self, config: Config) -> None:
        """Raise ConfigError, which names an option, unless the streams of `config`, which has these widths, fit."""
        if f"{config.fingerprint:08x}" == self.fingerprint:
            return
        # As it is in a file.
        own = json.loads(json.dumps(config_fields(config)))
        for name, option in DECIDING.items():
            if name in own and own[name] != self.config.get(name):
                self._differs(option, own[name], self.config.get(name))
        if config.requantised and self.max_ratio is None:
            raise ConfigError("hardware", self.path, "loads no format of the outputs; Y_DTYPE, Y_SCALE and "
                                                     "Y_ZERO_POINT must be as by default")
        raise ConfigError("hardware", self.path, f"has the fingerprint {shortened(self.fingerprint)}, these options "
                                                 f"{config.fingerprint:08x}: was it another version?")

    def _differs(self, option: str, value: object, stored: object) -> NoReturn:
        about = options_of(BlockOptions)[option]
        # A file has lists for tuples.
        given, needed = (about.text_of(tuple(one) if isinstance(one, list) else one) or "none"
                         for one in (value, stored))
        raise ConfigError(option, given, f"must be {shortened(needed)}, as HARDWARE={self.path} has it")


def load_hardware(options: BlockOptions) -> Hardware | None:
    """The :class:`Hardware` that `options` name, if any; ConfigError if it is no manifest of a loadable block."""
    path = options.hardware
    if path is None:
        return None
    try:
        about = json.loads(decoded(read_bytes("hardware", path, KIND, 1 << 30)))
        config, fingerprint = about["config"], about["parameters"]["fingerprint"]
        ratio = config["max_ratio"]
        integers = [*(config[name] for name in WIDTHS), *(shift for shifts in config["shifts"] for shift in shifts)]
        legal = all(type(integer) is int for integer in integers) and isinstance(fingerprint, str) and (
            ratio is None or type(ratio) in (int, float) and math.isfinite(ratio))
    except ConfigError:
        raise
    except (ValueError, LookupError, TypeError, RecursionError):
        legal = False
    if not legal:
        raise ConfigError("hardware", path, f"must be {KIND}")
    if options.loadable is False:
        raise ConfigError("loadable", False, f"must be 1 for HARDWARE={path}")
    return Hardware(path, config, fingerprint)
