# SPDX-License-Identifier: Apache-2.0
"""Options of the commands that verify the generator itself."""

import dataclasses

from ..gen import formats
from ..gen.fields import option, restated
from ..gen.options import BatchOptions, BlockOptions, DataOptions, OutputOptions

__all__ = ["CrosscheckOptions", "MutateOptions", "ProveOptions", "SoakOptions", "VerifyOptions"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ProveOptions(BatchOptions, OutputOptions):
    """Options of ``tiled-se prove``."""

    only: tuple[str, ...] | None = option("verification", "ONLY", formats.names, None, "NAME,NAME,...",
        "proofs to do (default: all)")


@dataclasses.dataclass(frozen=True, kw_only=True)
class MutateOptions(BatchOptions, OutputOptions):
    """Options of ``tiled-se mutate``.

    From Python, ``block`` may name one block to mutate; without it they are those of the documentation.
    """

    mutants: int = option("verification", "N", formats.integer(1, 100_000), 1000, "N",
        "mutants to draw, over all blocks")
    seed: int = restated(DataOptions, "seed", text="of which mutants are drawn")
    block: BlockOptions | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class CrosscheckOptions(BatchOptions, OutputOptions):
    """Options of ``tiled-se crosscheck``."""

    only: tuple[str, ...] | None = restated(ProveOptions, "only",
        text="configurations to compare, by words that their names have (default: all)")


@dataclasses.dataclass(frozen=True, kw_only=True)
class SoakOptions(BatchOptions, OutputOptions):
    """Options of ``tiled-se soak``."""

    only: tuple[str, ...] | None = restated(ProveOptions, "only",
        text="numbers of the configurations to run (default: all)")
    beats: int = option("verification", "BEATS", formats.integer(1, 10**12), 10_000_000, "N", "to stream in all")
    builds: int = option("verification", "BUILDS", formats.integer(1, 100_000), 200, "N",
        "random configurations to build")
    seed: int = restated(DataOptions, "seed", text="of configurations, frames and pauses")


@dataclasses.dataclass(frozen=True, kw_only=True)
class VerifyOptions(BatchOptions, OutputOptions):
    """Options of ``tiled-se verify``."""

    only: tuple[str, ...] | None = restated(ProveOptions, "only",
        text="commands to run: prove, mutate, crosscheck, soak (default: all)")
    docs: str = option("verification", "DOCS", formats.file_name, "docs", "FOLDER",
        "folder whose verification.md takes the figures")
