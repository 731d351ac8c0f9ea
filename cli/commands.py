# SPDX-License-Identifier: Apache-2.0
"""The commands of `tiled-se`: one row each, from which parser, help, and Make's targets and variables come."""

import dataclasses
import importlib
import textwrap
from collections.abc import Callable
from typing import Any

__all__ = ["COMMANDS", "Command"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Command:
    """One command.

    ``function`` is "module:function" below ``tiled_se``; it takes the options and returns whether the result is right.
    It is imported only when it is called. ``options`` is "module:class", which is imported for help and for parsing.

    ``short`` says in a line what the command is for, ``text`` in full. ``statuses`` are the meanings of the exit
    statuses, but for 2, which is bad input. ``examples`` are command lines, without ``tiled-se`` and the name; the
    first is also Make's. ``extra`` is the extra of the package that brings what the command needs beside the usual
    packages; if it is ``optional``, the command can do without. ``tools`` tells whether the command needs Perl and a
    C++ compiler, as simulations do, and ``torch`` whether it needs PyTorch, as the golden model does.
    """

    name: str
    function: str
    options: str
    short: str
    text: str
    statuses: dict[int, str]
    examples: tuple[str, ...]
    extra: str | None = None
    optional: bool = False
    tools: bool = True
    torch: bool = True

    def load_function(self) -> Callable[[Any], bool]:
        """The function, which may import whatever it needs."""
        return _load(self.function)

    def load_options(self) -> type:
        """The dataclass of options, without importing anything large."""
        return _load(self.options)

    @property
    def description(self) -> str:
        """`text` with the extra and the exit statuses."""
        statuses = dict(sorted((self.statuses | {2: "bad input"}).items()))
        needs = f" Needs the packages of tiled-se[{self.extra}]." if self.extra and not self.optional else ""
        ends = ", ".join(f"{status} {meaning}" for status, meaning in statuses.items())
        return textwrap.fill(" ".join(f"{self.text}{needs}".split()), 118) + "\n" + textwrap.fill(
            f"Exit status: {ends}.", 118)


def _load(path: str) -> Any:
    module, name = path.split(":")
    return getattr(importlib.import_module(f"..{module}", __package__), name)


_FAILED = {3: "a tool failed"}
_EXACT = {0: "bit-exact", 1: "a mismatch"} | _FAILED
_ALL_EXACT = {0: "all are bit-exact", 1: "some are not or failed"}

COMMANDS = {command.name: command for command in (
    Command(
        name="sim", function="gen.simulation:simulate", options="gen.options:SimOptions",
        short="build the block, simulate it and compare every output with the golden model",
        text="""Build the block's RTL, run frames through it in a simulator, compare every output with the golden model
            and with float64. Writes OUT/report.json and OUT/output.npz.""",
        statuses=_EXACT,
        examples=("--k 7 --width 56 --channels 64",
                  "--k 7 --weights se.npz --input frames.npz --stall 0.3",
                  "--k 3 --width 8 --channels 16 --height 10 --mid silu --macs 4 --waves")),
    Command(
        name="verilog", function="gen.manifest:write_verilog", options="gen.options:VerilogOptions", tools=False,
        torch=False,
        short="write the block's Verilog, a bench, and files with which other tools take it",
        text="""Write OUT/NAME.v, and OUT/manifest.json with its ports, parameters, number formats, latency and
            memories. With --weights the parameters are baked in. Without, the block is loaded through w_axis, and a
            parameter stream is written, too: OUT/NAME.params.bin (32-bit words, little-endian) and OUT/NAME.params.hex
            (the same for $readmemh). Beside them are a bench with vectors of the golden model, and what other tools
            take the block with: a FuseSoC core, IP-XACT, a script for Vivado, Bender.yml, constraints, instantiations
            in Verilog, SystemVerilog and VHDL, and constants for C and Python. Options that only concern a simulation
            or a synthesis are accepted and change nothing.""",
        statuses={0: "done"} | _FAILED,
        examples=("--k 7 --width 56 --channels 64",
                  "--k 7 --width 56 --weights se.npz --name se_block3 --out build/rtl")),
    Command(
        name="synth", function="gen.fpga.synth:synthesise", options="gen.options:SynthOptions", extra="synth",
        tools=False, torch=False,
        short="synthesise the block for an FPGA: cells, block RAM, clock",
        text="""Map the block to an FPGA's cells with yosys; for ecp5 and ice40, place and route it with nextpnr, once a
            seed. Writes OUT/synth.json, OUT/NAME.v and the tools' logs. A block that fits no part is reported with cell
            counts but without a clock. So is every block for xilinx, as pip has no nextpnr for it.""",
        statuses={0: "done", 3: "a tool is missing or failed"},
        examples=("--k 7 --width 56 --channels 64",
                  "--target xilinx --k 7 --width 56 --channels 64 --lanes 1",
                  "--target ice40 --k 2 --width 8 --channels 16 --lanes 1 --macs 1 --seeds 1,2,3,4,5")),
    Command(
        name="bench", function="evaluate.bench.command:bench", options="evaluate.options:BenchOptions", extra="bench",
        short="measure the blocks of known networks, and write tables and plots",
        text="""Measure memory, cycles and synthesis of every squeeze-and-excite block of known networks, with the
            original form and cumulative and causal blocks beside the tiled one, and write DOCS/benchmarks.md with its
            plots. Each result is kept in OUT as soon as it is there, so that nothing is measured twice.""",
        statuses={0: "all was measured and right", 1: "something failed"},
        examples=("", "--network EfficientDet-D2", "--blocks 56x56x64x16,7x7x1152x48 --jobs 4")),
    Command(
        name="simspeed", function="evaluate.simspeed.command:simspeed", options="evaluate.options:SimspeedOptions",
        extra="simspeed", optional=True,
        short="measure how fast the block simulates, by four benches",
        text="""Run the same Verilog with the same frames under four benches in turn: this project's own, its drivers in
            Python, cocotbext-axi's source and sink, and a plain C++ loop. Each compares every output with the golden
            model. Writes cycles per CPU second and their ratios into OUT/simspeed.json, and into DOCS/benchmarks.md if
            DOCS is given. Without width, channels, weights and input it takes 56 columns and 64 channels. cocotbext-axi
            comes with tiled-se[simspeed]; without it, that bench is left out.""",
        statuses={0: "done", 1: "a mismatch"} | _FAILED,
        examples=("", "--k 4 --width 20 --channels 16 --stall 0.3 --seconds 1")),
    Command(
        name="sweep", function="evaluate.sweep.command:sweep", options="evaluate.options:SweepOptions", extra="sweep",
        short="simulate a list of configurations, on all cores or on a cluster",
        text="""Build, simulate and compare every configuration that a TOML file lists, each as `tiled-se sim` does.
            Each report is kept in OUT/reports as soon as it is there, so that an interrupted sweep continues. A
            configuration that fails doesn't stop the others. Writes OUT/results.csv, OUT/summary.json and
            OUT/timings.csv.""",
        statuses=_ALL_EXACT | {3: "the scheduler has gone"},
        examples=("", "--configs mine.toml --jobs 4", "--configs mine.toml --scheduler tcp://node1:8786")),
    Command(
        name="inspect", function="network.commands.inspect:inspect", options="network.commands.options:InspectOptions",
        tools=False, torch=False,
        short="list the squeeze-and-excite blocks of an ONNX network",
        text="""Find the squeeze-and-excite blocks of an ONNX network, whatever nodes they are spelt with: size of the
            feature map, channels, squeezed channels, functions, parameters, and elements that wait with and without
            tiles. The model is only read. Nothing in it is run, except where the sizes can't be inferred from
            --input-shape.""",
        statuses={0: "done (also without a block)"},
        examples=("model.onnx", "model.onnx --input-shape 3x640x640 --json blocks.json")),
    Command(
        name="swap", function="network.commands.swap:swap", options="network.commands.options:SwapOptions", tools=False,
        torch=False,
        short="tile the squeeze-and-excite blocks of an ONNX network, with the same weights",
        text="""Write the network again with tiled squeeze-and-excite in place of the original, for any height, in
            operators that every runtime has; all else stays as it is.""",
        statuses={0: "done"},
        examples=("model.onnx --k 7 -o tiled.onnx", "model.onnx --k 7 --skip Mul.55,Mul.57")),
    Command(
        name="build", function="network.commands.build:build", options="network.commands.options:BuildOptions",
        short="quantise, build and co-simulate every squeeze-and-excite block of an ONNX network",
        text="""Run the network, tiled, on calibration images; quantise every block by the feature maps that reach it;
            generate its RTL, simulate it on the feature maps of some of the images, and compare with the golden model.
            Writes a folder for each block: NAME.v, manifest.json, report.json, output.npz, and weights.npz and
            input.npz to repeat the run by; and OUT/report.json over all of them. MODEL may be a folder of blocks that
            export_blocks has written of a quantised PyTorch network: their numbers and maps are in it, and every
            output is compared with the PyTorch module's own integer, too.""",
        statuses=_ALL_EXACT | {1: "some are not, or can't be built as the options ask",
                               3: "a tool is missing or failed, and no block has a mismatch"},
        examples=("model.onnx --calibration images/ --input-shape 3x640x640 --k 7 -o rtl/",)),
    Command(
        name="report", function="evaluate.report.command:report", options="evaluate.options:ReportOptions",
        short="count what tiles save and cost in a network, block by block",
        text="""For every squeeze-and-excite block of a network, and in sum, the original beside the tiled form:
            elements that wait, bits of memory in the RTL and of its tile buffers alone, multiplications, cycles to the
            first output; elements, bits, multipliers and cycles with cumulative and causal gates; for the networks of
            the paper its printed figures beside ours. Writes OUT/report.json and OUT/report.svg. Measurements are kept
            in OUT.""",
        statuses={0: "done", 1: "something failed"},
        examples=("EfficientDet-D2", "paper", "model.onnx --input-shape 3x640x640")),
    Command(
        name="sensitivity", function="network.commands.sensitivity:sensitivity",
        options="network.commands.options:SensitivityOptions",
        short="see how well the tiles of an ONNX network stand for its whole feature maps",
        text="""For every squeeze-and-excite block and several heights of a tile: how well the tiles' means and gates
            agree with those of the whole map, on images, for tiles with means of their own, cumulative and causal ones;
            and the quantised gates beside the float ones. Blocks that agree badly are better left as they are: a line
            for each context and K names them. Correlations in the table are for the
            K nearest to 7. Writes OUT/sensitivity.json and OUT/sensitivity.svg.""",
        statuses={0: "done"} | _FAILED,
        examples=("model.onnx images/ --input-shape 3x640x640",)),
    Command(
        name="plan", function="evaluate.plan.command:plan", options="evaluate.options:PlanOptions", extra="bench",
        tools=False,
        short="choose context, K and output format of each block of an ONNX network for a memory budget",
        text="""Choose for every squeeze-and-excite block of an ONNX network a tile's rows, a context and a format of
            the outputs, so that the memories of all blocks, as `build` makes them, keep within --budget, and the gates
            of the blocks change least on the calibration images; what the formats round counts as such a change. Writes
            OUT/plan.json, which `swap`, `build`, `report` and `evaluate` take, and OUT/plan.svg, the change for every
            budget.""",
        statuses={0: "done"} | _FAILED,
        examples=("model.onnx images/ --input-shape 3x640x640 --budget 64KiB",
                  "model.onnx images/ --budget 0.1 --ks 1,2,4,8 -o plan/")),
    Command(
        name="evaluate", function="evaluate.accuracy.command:evaluate", options="evaluate.options:EvaluateOptions",
        tools=False,
        short="compare an ONNX network with its tiled forms, in float and in integers, on your data",
        text="""Score the forms of a network on images with labels: as it is; with tiles in float as `swap` writes it,
            of a quantised network also as --keep-quantised of `swap` does; and with every block in integers, quantised
            as `build` does it and computed by the golden model. Prints the differences with 95 % intervals; with
            --each also those of one block at a time. A metric of your own is a Python file, which is executed; nothing
            else is. Writes OUT/evaluate.json and, with the numbers of every image, OUT/evaluate.csv.""",
        statuses={0: "done"},
        examples=("model.onnx --data images/ --k 7", "model.onnx --data images/ --metric top1,top5 --each",
                  "model.onnx --data images/ --labels labels.csv --metric mine.py --calibration others/")),
    Command(
        name="demo", function="evaluate.demo.command:demo", options="evaluate.options:DemoOptions", extra="demo",
        short="run a trained text detector with tiled blocks, in float, in integers and in RTL",
        text="""Detect lines of text on rendered pages and on a scan with a trained network: as it is, with tiles of K
            rows, with cumulative gates and with causal gates; each of these in float, and with every block computed by
            the integer golden model, one of them by the RTL. SEEDS run one after the other, and their pages are
            scored together; the results of a seed are kept in a folder of OUT, and taken from there the next time.
            Writes OUT/demo.json and, of one seed, OUT/demo.png.""",
        statuses={0: "done", 1: "the RTL was wrong, a block's error over 1 LSB, or, on 40 pages or more, the F-score "
                  "of tiles or a context more than 2 points under that of SE, or in integers more than 1 point from "
                  "that in float",
                  3: "a tool failed"},
        examples=("", "--seeds 11,12,13,14,15")),
    Command(
        name="study", function="evaluate.study.command:study", options="evaluate.options:StudyOptions", tools=False,
        short="train networks with tiled blocks, and compare their accuracy with that of squeeze-and-excite",
        text="""Train small networks without attention, with squeeze-and-excite and with tiles, cumulative and causal
            gates; put tiles into those trained with squeeze-and-excite, and fine-tune them; make blocks integers, after
            training and while training; and test all networks on the same images. Networks and results are kept in OUT
            as soon as they are there, so that an interrupted study continues. Writes OUT/study.json, with 95 %
            intervals of the differences.""",
        statuses={0: "done", 1: "a network has learnt nothing, or a task failed"},
        examples=("", "--data images/ --quick --jobs 2")),
    Command(
        name="prove", function="verify.formal.command:prove", options="verify.options:ProveOptions", extra="verify",
        torch=False,
        short="prove that the block loses, repeats and mixes up nothing",
        text="""Prove the properties of every component and of the block's control with a model checker, show that each
            proof's assumptions allow what matters, and that each of its planted faults makes it fail. Writes
            OUT/prove.json.""",
        statuses={0: "all proved and every fault found", 1: "not"} | _FAILED,
        examples=("", "--only queue,tile_buffer --jobs 2")),
    Command(
        name="mutate", function="verify.mutation.command:mutate", options="verify.options:MutateOptions",
        extra="verify",
        short="measure how many faults in the netlist the regression notices",
        text="""Put N small changes into the netlist of generated blocks, one at a time, and run the regression on each.
            What survives is proved equivalent if possible. Writes OUT/mutate.json.""",
        statuses={0: "at least 99 % were killed or proved equivalent", 1: "less"} | _FAILED,
        examples=("", "--mutants 200 --seed 5")),
    Command(
        name="crosscheck", function="verify.simulators.command:crosscheck", options="verify.options:CrosscheckOptions",
        extra="verify",
        short="compare simulators, and the synthesised netlist, on every named configuration",
        text="""Run the same frames, pauses, resets and parameter streams through each simulator, and through the
            netlist as synthesised for ECP5: outputs, status and cycles must be the same. Simulators that are not there
            are left out. Writes OUT/crosscheck.json.""",
        statuses={0: "all agree", 1: "not"} | _FAILED,
        examples=("", "--only headline")),
    Command(
        name="soak", function="verify.soak.command:soak", options="verify.options:SoakOptions", extra="verify",
        short="stream millions of beats through random blocks",
        text="""Build random configurations and stream frames through them with random pauses, resets, cut frames and
            broken parameter streams, every beat compared with the golden model. Writes OUT/soak.json.""",
        statuses={0: "nothing was lost or wrong", 1: "something was"} | _FAILED,
        examples=("", "--builds 20 --beats 1000000")),
    Command(
        name="verify", function="verify.command:verify", options="verify.options:VerifyOptions", extra="verify",
        short="run prove, mutate, crosscheck and soak, and write their figures into the documentation",
        text="""Run prove, mutate, crosscheck and soak with their usual options, each in a folder of its own in OUT, and
            write its figures into its section of DOCS/verification.md. Commands whose result is complete, and made from
            the same sources and tools, are not run again.""",
        statuses={0: "everything held", 1: "something did not"} | _FAILED,
        examples=("", "--only prove,mutate --jobs 2")),
)}
