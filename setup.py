# SPDX-License-Identifier: Apache-2.0
"""Finds the packages; everything else is in pyproject.toml, which can't add the name `tiled_se` in front of them."""

from setuptools import find_packages, setup

FOLDERS = ("hdl", "golden", "cosim", "gen", "batch", "network", "verify", "evaluate", "cli")

setup(
    packages=["tiled_se"] + [f"tiled_se.{name}" for name in find_packages(include=[f"{name}*" for name in FOLDERS])],
    package_dir={"tiled_se": "package"} | {f"tiled_se.{folder}": folder for folder in FOLDERS},
)
