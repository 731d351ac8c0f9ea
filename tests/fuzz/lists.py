# SPDX-License-Identifier: Apache-2.0
"""A sweep's TOML, networks' JSON, manifests and small ONNX files: good ones, and damaged ones."""

import copy
import functools
import json

import numpy as np
from hypothesis import strategies as st

from tests.helpers.onnx_net import Net
from tiled_se.gen.block_spec import prepare
from tiled_se.gen.manifest import manifest
from tiled_se.gen.options import BlockOptions
from tiled_se.gen.verilog import Design

from .files import edited

__all__ = ["FAILING", "HARDWARE", "WRONG_TEXTS", "WRONG_TOML", "damaged_list", "damaged_manifest", "good_networks",
           "model_bytes"]

# All of its configurations fail when they are prepared: LANES doesn't divide C.
FAILING = """# a list
defaults = {W = 6, C = 8, LANES = 3}
grid = {MID = ["relu", "silu"], STALL = [0, 0.5]}
[[configurations]]
label = "exactly K rows"
K = 3
"""
# Each is wrong as a whole.
WRONG_TOML = (
    "", "[grid]\n", "[grid]\nK = 3\n", "[grid]\nK = []\n", "[[grid]]\n", "defaults = 3\n", "grid = [1, 2]\n", "K = 3\n",
    "[other]\n", "[[defaults]]\nK = 3\n", "[configurations]\nK = 3\n", "[defaults]\nlabel = \"x\"\n",
    "\ufeff[defaults]\n", "a" + ".a" * 3000 + " = 1\n", "[" + "K" * 100_000 + "]", "a = " + "[" * 3000,
    "a = " + "[" * 100 + "]" * 100, "a = " + "{a = " * 900 + "1" + "}" * 900,
    "[grid]\nK = [0x" + "F" * 5000 + "]\n", "[defaults]\nlabel = 0x" + "F" * 5000 + "\n",
    "[grid]\n" + "".join(f"{name} = [{', '.join(map(str, range(1, 60)))}]\n" for name in ("K", "W", "C")),
    *("[[configurations]]\n" + text + "\n" for text in (
        "KK = 3", "OUT = \"x\"", "WAVES = 1", "K = 1979-05-27", "K = 07:32:00", "K = [3]", "K = {a = 1}", "K = true",
        "K = 3\nK = 4", "K = 3\n[[configurations]]\nK = 3", "label = 3\nK = 3", "label = \"\"", "label = \"a\\nb\"",
        "K = nan", "K = -inf", "K = 3.0", "STALL = nan", "STALL = 1e999", "SEEDS = \"1\"", "\"K\\u0000\" = 1",
        "NAME = \"\\u202e\"", "WEIGHTS = \"a\\u0000b\"", "K" * 100_000 + " = 1", "MID = \"" + "x" * 100_000 + "\"",
        "K = 0x" + "F" * 5000, "K = " + "9" * 5000, "K = 0b" + "1" * 20000, "K = {a = [[9223372036854775808]]}")),
)
NETWORK = {"input": [8, 8], "source": "a test", "blocks": [[2, 3, 4, 1, 1], [1, 2, 4, 2, 3]]}
# Places in it, or of an entry that it doesn't have; and what is wrong in each of them.
PLACES = (["input"], ["input", 0], ["blocks"], ["blocks", 1], ["blocks", 0, 4], ["more"])
WRONG_JSON = (None, True, -1, 0, 1.5, "8", [], {}, [[]], float("nan"), float("inf"), "\ud800", [1] * 3)
WRONG_TEXTS = (
    "", "[]", "{}", "null", "3", "[" * 100_000, "\ufeff{}", "9" * 5000, '{"networks": ' + '{"a":' * 5000,
    *(json.dumps({"networks": networks}) for networks in (
        3, [1], {}, {"a": 1}, {"a": {}}, {"": NETWORK}, {"a\nb": NETWORK}, {"\ud800": NETWORK},
        *({"a": {key: NETWORK[key] for key in NETWORK if key != lost}} for lost in NETWORK))))


def good_networks(draw):
    """A sound JSON file of a network with small blocks."""
    name = draw(st.sampled_from(("mine", "\u00e9\u4e16", "a b", "x" * 300, "$\\frac{$")))
    return json.dumps({"networks": {name: NETWORK}}).encode()


def damaged_list(draw, kind):
    """A TOML (`kind` "configs") or JSON ("network") file with something wrong; and as :func:`.files.damaged`."""
    if draw(st.integers(0, 3)) == 3:
        return edited(draw, FAILING.encode() if kind == "configs" else good_networks(draw)), False
    if kind == "configs":
        return draw(st.sampled_from(WRONG_TOML)).encode(), True
    if draw(st.booleans()):
        return draw(st.sampled_from(WRONG_TEXTS)).encode(), True
    network, (*path, last) = copy.deepcopy(NETWORK), draw(st.sampled_from(PLACES))
    functools.reduce(lambda value, key: value[key], path, network)[last] = draw(st.sampled_from(WRONG_JSON))
    return json.dumps({"networks": {"mine": network}}).encode(), True


# The options of the loadable block that `damaged_manifest` describes, and what its fields may be instead.
HARDWARE = dict(k=2, width=4, channels=4, loadable=True, y_scale=0.04)
WRONG_NUMBERS = (-1 << 80, 1 << 80, 10**400, -1e300, 1e300, 1e-300, 2, 63, 1 << 16)


@functools.cache
def _manifest():
    """The text of its manifest."""
    spec = prepare(BlockOptions(**HARDWARE))
    return json.dumps(manifest(spec, Design("se", spec.config, "", (), (), ()), {}))


def damaged_manifest(draw):
    """That manifest with another value of one or two fields that decide which streams fit, or without them."""
    if draw(st.integers(0, 5)) == 5:
        return edited(draw, _manifest().encode())
    about = json.loads(_manifest())
    places = [*(("config", name) for name in about["config"]), ("config",), ("parameters",),
              ("parameters", "fingerprint"), *(("config", "shifts", at) for at in (0, 1)), ("config", "shifts", 1, 7)]
    for *path, last in draw(st.lists(st.sampled_from(places), min_size=1, max_size=2)):
        value = draw(st.sampled_from(("lost", *WRONG_JSON, *WRONG_NUMBERS)))
        try:
            inner = functools.reduce(lambda inner, key: inner[key], path, about)
            inner[last] = value
            if value == "lost":
                del inner[last]
        except (LookupError, TypeError):
            # The first change has taken the place of the second.
            continue
    return json.dumps(about).encode()


@functools.cache
def model_bytes():
    """A small ONNX network with one squeeze-and-excite block: C=4, H=6, W=5, CR=2."""
    net, numbers = Net(17), np.random.default_rng(7)
    w1, b1, w2, b2 = (net.constant(numbers.normal(size=shape)) for shape in ((2, 4, 1, 1), 2, (4, 2, 1, 1), 4))
    hidden = net("Relu", net("Conv", net("GlobalAveragePool", "x"), w1, b1))
    # A dollar sign begins no formula, and a font may lack a letter.
    gates = net("Sigmoid", net("Conv", hidden, w2, b2, output="$\\frac{$\u4e16"))
    net("Mul", "x", gates, output="y")
    return net.model({"x": (1, 4, 6, 5)}, {"y": (1, 4, 6, 5)}).SerializeToString()
