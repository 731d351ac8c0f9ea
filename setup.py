# SPDX-License-Identifier: Apache-2.0
"""Finds the packages; everything else is in pyproject.toml, which can't add the name `tiled_se` in front of them."""

from setuptools import find_packages, setup

NAMES = find_packages(exclude=["package", "tests", "tests.*"])

setup(
    packages=["tiled_se"] + [f"tiled_se.{name}" for name in NAMES],
    package_dir={"tiled_se": "package"} | {f"tiled_se.{name}": name for name in NAMES if "." not in name},
)
