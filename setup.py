# SPDX-License-Identifier: Apache-2.0
"""Finds the packages; everything else is in pyproject.toml, which can't add the name `tiled_se` in front of them."""

from setuptools import find_packages, setup

FOLDERS = ("hdl", "golden", "cosim", "gen", "batch", "network", "verify", "evaluate", "cli")

setup(
    packages=[f"tiled_se.{name}" for name in find_packages(include=[f"{folder}*" for folder in FOLDERS])],
    package_dir={f"tiled_se.{folder}": folder for folder in FOLDERS},
)
