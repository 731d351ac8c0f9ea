# SPDX-License-Identifier: Apache-2.0
"""Texts of errors: never empty, never "None"."""

import os
from unittest import mock

import pytest

from tiled_se.batch.campaign import _difference
from tiled_se.gen.files import discard, write_all
from tiled_se.hdl.config import ConfigError
from tiled_se.hdl.errors import ending, reason

ERRORS = [(OSError(28, "No space left on device", "a"), "No space left on device"), (OSError("odd\nmore"), "odd"),
          (OSError(), "OSError"), (ValueError("  "), "ValueError"), (KeyError("x"), "'x'")]


@pytest.mark.parametrize(("error", "text"), ERRORS)
def test_reason(error, text):
    assert reason(error) == text


@pytest.mark.parametrize(("status", "text"), [
    (0, "ended with status 0"), (3, "ended with status 3"), (-9, "was killed by SIGKILL"),
    (-200, "was killed by signal 200")])
def test_ending(status, text):
    assert ending(status) == text


@pytest.mark.parametrize(("error", "text"), ERRORS[:3])
@pytest.mark.parametrize("call", ["replace", "listdir"])
def test_files(tmp_path, monkeypatch, call, error, text):
    monkeypatch.setattr(os, call, mock.Mock(side_effect=error))
    where = error.filename or tmp_path
    with pytest.raises(ConfigError) as raised:
        write_all(str(tmp_path), {"b": b""}) if call == "replace" else discard(str(tmp_path), ["b"])
    assert raised.value.allowed == f"can't be written: {text} ({where})"


def test_worker_without_a_tool():
    assert _difference({"icarus": None}, {"icarus": "12.0"}) == "its worker has icarus missing and not 12.0"
    assert _difference({"icarus": "12.0"}, {"icarus": None}) == "its worker has icarus 12.0 and not missing"
