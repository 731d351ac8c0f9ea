# SPDX-License-Identifier: Apache-2.0
"""Lattice ECP5: memories and multipliers from primitives, with the primitives' own registers.

Two kinds of register decide the clock of this family, and yosys infers neither: those of the multiplier (MULT18X18D
takes 3.9 ns without, 0.7 ns after its output register) and the block RAM's output register (5.6 ns without, 1.0 with).
See Lattice FPGA-TN-02204 (memories) and FPGA-TN-02205 (sysDSP).
"""

import dataclasses

from amaranth.hdl import Cat, ClockSignal, Const, Instance, Module, Signal

from .arithmetic import delay
from .latency import SHALLOW
from .technology import Technology

__all__ = ["BLOCK_BITS", "Bank", "Ecp5", "Ecp5Inferred", "plan"]

# Bits of a DP16KD, and its shapes: words to bits of a word.
BLOCK_BITS = 18 * 1024
SHAPES = {16384: 1, 8192: 2, 4096: 4, 2048: 9, 1024: 18, 512: 36}
ADDRESS = 14
OPERAND = 18


@dataclasses.dataclass(frozen=True)
class Bank:
    """A part of a memory: ``words`` words from address ``start``, in block RAMs of that depth."""

    start: int
    words: int

    def blocks(self, width):
        return -(-width // SHAPES[self.words])

    def selects(self, address):
        """Whether `address` is in the bank. A bank's size is a power of two, and its start a multiple of the size."""
        low = self.words.bit_length() - 1
        upper = address[low:]
        return upper == self.start >> low if len(upper) else Const(1)


def plan(width, depth):
    """The banks with the fewest block RAMs for `depth` words of `width` bits; the largest come first.

    A depth that is no power of two takes several banks, together no larger than the next multiple of the smallest.
    """
    smallest = min(SHAPES)
    # For each multiple of the smallest bank's size: (block RAMs, banks, words), and the bank that was added last.
    best = [((0, 0, 0), None)]
    for count in range(1, -(-depth // smallest) + 1):
        options = []
        for words in SHAPES:
            blocks, banks, total = best[max(count - words // smallest, 0)][0]
            options.append(((blocks + Bank(0, words).blocks(width), banks + 1, total + words), words))
        best.append(min(options))
    sizes, count = [], len(best) - 1
    while count > 0:
        sizes.append(best[count][1])
        count -= sizes[-1] // smallest
    sizes.sort(reverse=True)
    return tuple(Bank(sum(sizes[:i]), words) for i, words in enumerate(sizes))


def _contents(words, bits):
    """The parameters of a DP16KD that has `words`, of which the lowest `bits` count; none for no words.

    Its memory is a row of bytes of 9 bits. Narrow words leave the ninth bit of a byte unused. A parameter has 16 pairs
    of bytes, each in 20 bits.
    """
    memory = 0
    for number, word in enumerate(words):
        place = number * bits if bits >= 9 else number * bits // 8 * 9 + number * bits % 8
        memory |= (word & ((1 << bits) - 1)) << place
    pairs = [memory >> 18 * i & 0x3FFFF for i in range(BLOCK_BITS // 18)] if words else []
    return {f"p_INITVAL_{i // 16:02X}": Const(sum(pair << 20 * j for j, pair in enumerate(pairs[i:i + 16])), 320)
            for i in range(0, len(pairs), 16)}


class Ecp5(Technology):
    """Elaboration for ECP5. Shallow memories stay generic: synthesis maps them to distributed RAM."""

    name = "ecp5"

    def ram(self, ram):
        """Banks of DP16KD with their output registers; a third register follows the multiplexer of several banks."""
        if ram.depth <= SHALLOW:
            return super().ram(ram)
        return self._memory(ram, write=(ram.we, ram.waddr, ram.wdata), read=(ram.re, ram.raddr))

    def rom(self, rom):
        """The same with initial contents."""
        if rom.depth <= SHALLOW:
            return super().rom(rom)
        # A full address, so that word i is the block's own word i.
        address = Cat(rom.raddr, Const(0, ADDRESS))
        return self._memory(rom, write=(Const(0), Const(0, ADDRESS), Const(0, rom.width)), read=(Const(1), address),
                            init=rom.words)

    def _memory(self, memory, *, write, read, init=()):
        """A port is its enable and address, and data to write: port A writes, port B reads."""
        (we, waddr, wdata), (_, raddr) = write, read
        m, leaf = Module(), Module()
        m.submodules.leaf = leaf
        banks = plan(memory.width, memory.depth)
        # A deep memory has a latency of three, even with a single bank, which needs no multiplexer.
        late = memory.latency - 2
        data = []
        for number, bank in enumerate(banks):
            q = Signal(memory.width, name=f"bank_{number}")
            self._bank(leaf, f"bank{number}", bank, q, write=(bank.selects(waddr) & we, waddr, wdata), read=read,
                       init=init[bank.start:bank.start + bank.words])
            if len(banks) > 1:
                chosen = delay(leaf, bank.selects(raddr), 2, name=f"bank_{number}_chosen")
                q = q & chosen.replicate(memory.width)
            data.append(q)
        total = data[0]
        for q in data[1:]:
            total = total | q
        leaf.d.comb += memory.rdata.eq(delay(leaf, total, late, name="met"))
        return m

    def _bank(self, m, name, bank, q, *, write, read, init):
        """Block RAMs side by side."""
        (we, waddr, wdata), (re, raddr) = write, read
        bits = SHAPES[bank.words]
        low = bank.words.bit_length() - 1
        for number in range(bank.blocks(len(q))):
            first = number * bits
            part = wdata[first:first + bits]
            out = Signal(36, name="read")
            pins = {"i_CLKA": ClockSignal(), "i_CLKB": ClockSignal(), "i_CEA": Const(1), "i_WEA": we,
                    "i_CEB": re, "i_WEB": Const(0), "i_OCEA": Const(1), "i_OCEB": Const(1),
                    "i_RSTA": Const(0), "i_RSTB": Const(0)}
            pins |= {f"i_CS{port}{i}": Const(0) for port in "AB" for i in range(3)}
            pins |= self._address("A", waddr[:low], bits) | self._address("B", raddr[:low], bits)
            data = Cat(part, Const(0, 36 - len(part)))
            pins |= {f"i_DIA{i}": data[i] for i in range(18)}
            # A word of 36 bits uses the data pins of both ports.
            wide = bits > 18
            pins |= {f"i_DIB{i}": data[18 + i] if wide else Const(0) for i in range(18)}
            pins |= {f"o_DO{'A' if wide else 'B'}{i}": out[i] for i in range(18)}
            if wide:
                pins |= {f"o_DOB{i}": out[18 + i] for i in range(18)}
            m.submodules[f"{name}_{number}"] = Instance(
                "DP16KD", p_DATA_WIDTH_A=bits, p_DATA_WIDTH_B=bits, p_REGMODE_A="OUTREG", p_REGMODE_B="OUTREG",
                p_RESETMODE="SYNC", p_WRITEMODE_A="NORMAL", p_WRITEMODE_B="NORMAL", p_GSR="AUTO", **pins,
                **_contents([word >> first for word in init], bits))
            m.d.comb += q[first:first + bits].eq(out[:len(part)])

    @staticmethod
    def _address(port, address, bits):
        """The address pins. Wide words use the lowest pins as byte enables."""
        unused = ADDRESS - len(address)
        low = Const((1 << max(1, bits // 9)) - 1, unused) if bits >= 18 else Const(0, unused)
        return {f"i_AD{port}{i}": pin for i, pin in enumerate(Cat(low, address))}

    def multiplier(self, multiplier):
        """One MULT18X18D with input and output registers. Synthesis maps wider multipliers."""
        a, b = multiplier.i_a, multiplier.i_b
        if max(len(a), len(b)) > OPERAND:
            return super().multiplier(multiplier)
        m = Module()
        product = Signal(36)
        pins = {}
        for port, value in (("A", a), ("B", b)):
            top = value[-1] if value.shape().signed else Const(0)
            operand = Cat(value, top.replicate(OPERAND - len(value)))
            pins |= {f"i_{port}{i}": operand[i] for i in range(OPERAND)}
            pins |= {f"i_SIGNED{port}": Const(int(value.shape().signed)), f"i_SOURCE{port}": Const(0)}
        pins |= {f"i_C{i}": Const(0) for i in range(OPERAND)}
        pins |= {f"o_P{i}": product[i] for i in range(36)}
        for i in range(4):
            pins |= {f"i_CLK{i}": Const(0) if i else ClockSignal(), f"i_CE{i}": Const(1), f"i_RST{i}": Const(0)}
        m.submodules.leaf = Instance(
            "MULT18X18D", p_REG_INPUTA_CLK="CLK0", p_REG_INPUTB_CLK="CLK0", p_REG_OUTPUT_CLK="CLK0",
            p_REG_PIPELINE_CLK="NONE", p_SOURCEB_MODE="B_SHIFT", p_RESETMODE="SYNC", p_GSR="DISABLED", **pins)
        m.d.comb += multiplier.o.eq(product)
        return m


class Ecp5Inferred(Ecp5):
    """The same with memories that synthesis makes what their attributes say. It infers no output register."""

    def ram(self, ram):
        """The generic leaf, of any depth."""
        return Technology.ram(self, ram)
