# SPDX-License-Identifier: Apache-2.0
"""Have a block on the board scale frames. It needs numpy and pyserial, and of this folder protocol.py."""

import argparse
import json
import pathlib
import sys

import numpy as np
from protocol import BAUD, END, ESC, FIFO_BYTES, Kind, Status, encode, escape, split

__all__ = ["Block", "Host", "HostError", "main"]

# Seconds without a byte after which an answer is not expected any more.
PATIENCE = 2.0
# Bytes that are given to the port at a time.
CHUNK = 64


class HostError(Exception):
    """What the user should know; one line."""


class Block:
    """The block in a folder that block.py has written: ``parameters``, the frames, and the form of a frame."""

    def __init__(self, folder):
        folder = pathlib.Path(folder)
        try:
            about = json.loads((folder / "manifest.json").read_text())
            self.parameters = (folder / f"{about['top']}.params.bin").read_bytes()
            with np.load(folder / "frames.npz", allow_pickle=False) as arrays:
                count = len(arrays.files) // 2
                self.frames = [(arrays[f"x_{number}"], arrays[f"y_{number}"]) for number in range(count)]
            config = about["config"]
            line = config["height"] if config["order"] == "columns" else config["width"]
            self.line = (line, config["channels"])
            self.x, self.y = self.frames[0][0].dtype, self.frames[0][1].dtype
            self.beat_bytes = config["lanes"] * self.x.itemsize
            # Elements that the block takes before the first of them leaves.
            self.waiting = about["sram"]["bound_bits"] // (8 * self.x.itemsize)
        except OSError as error:
            raise HostError(f"{error.filename}: {error.strerror}; block.py writes it") from None
        except (ValueError, LookupError, TypeError):
            raise HostError(f"{folder}: must be a folder that block.py has written") from None


class Host:
    """Talks to a board through `port`, which has pyserial's ``write``, ``read`` and ``in_waiting``.

    Its methods raise HostError where no answer comes, where the answer says that something was wrong (then
    ``status`` has its bits, and ``payload`` what came), and where it can't be of the packet that was sent.
    """

    def __init__(self, port, block):
        self.port, self.block, self.status, self.payload = port, block, Status(0), b""
        # What has come of an answer: as it is on the line, and its bytes.
        self.pieces, self.came = [], 0

    def reset(self):
        """Reset the block. Whatever was sent or answered before, the next answer is of the next packet."""
        # END ends what an earlier host has begun; answers to that come first.
        self.port.write(bytes([END]) + encode(Kind.RESET))
        while True:
            packets = self._receive()
            if any(packet[0] == Kind.RESET and len(packet) == 2 for packet in packets):
                self.status = Status(packets[-1][-1])
                return

    def load(self, parameters=None):
        """Load the bytes of a parameter stream, by default the block's."""
        self.port.write(encode(Kind.PARAMETERS, self.block.parameters if parameters is None else parameters))
        self.answer(Kind.PARAMETERS, 0)

    def scale(self, x):
        """The outputs of a frame, integers (rows, *block.line), in the order of the stream."""
        form = self.block.line
        if x.ndim != 3 or x.shape[1:] != form or x.dtype != self.block.x or not x.size:
            raise HostError(f"a frame of {x.dtype} {list(x.shape)}: must be {self.block.x} [rows, {form[0]}, "
                            f"{form[1]}]")
        answer = self.send_frame(x.astype(x.dtype.newbyteorder("<")).tobytes(), x.size * self.block.y.itemsize)
        return np.frombuffer(answer, self.block.y.newbyteorder("<")).astype(self.block.y).reshape(x.shape)

    def send_frame(self, data, answered):
        """Send the bytes of a frame's elements, for which `answered` bytes must come back; those bytes.

        The board keeps FIFO_BYTES of the line, on which a byte may take two, and the block takes what must wait. So
        that nothing is lost, the host is never further ahead of the outputs than that.
        """
        x_size, y_size = self.block.x.itemsize, self.block.y.itemsize
        ahead = FIFO_BYTES // 2 - 2 * CHUNK + self.block.waiting * x_size
        self.port.write(bytes([Kind.FRAME]))
        sent, packets = 0, []
        while sent < len(data) and not packets:
            # The first byte that has come is the kind.
            room = (self.came - 1) // y_size * x_size + ahead - sent
            if room > 0:
                chunk = data[sent:sent + min(room, CHUNK)]
                self.port.write(escape(chunk))
                sent += len(chunk)
            if room <= 0 or self.port.in_waiting:
                packets = self._read()
        self.port.write(bytes([END]))
        return self.answer(Kind.FRAME, answered, packets)

    def answer(self, kind, size, packets=()):
        """The payload of the next packet, which must be of this kind and size, without any complaint."""
        packets = packets or self._receive()
        packet = packets[0]
        if len(packets) > 1 or packet[0] != kind or len(packet) < 2:
            raise HostError(f"an answer that is none to what was sent: {packet[:8].hex()}...; reset")
        self.status, self.payload = Status(packet[-1]), packet[1:-1]
        if self.status != Status.LOADED:
            raise HostError(f"the board answers {self.status!r}")
        if len(packet) != size + 2:
            raise HostError(f"{len(packet) - 2} bytes came back instead of {size}")
        return self.payload

    def _receive(self):
        packets = []
        while not packets:
            packets = self._read()
        return packets

    def _read(self):
        """Read what has come, a byte at least; the packets that it completes."""
        data = self.port.read(max(self.port.in_waiting, 1))
        if not data:
            raise HostError(f"no answer within {PATIENCE:.0f} s: is the bitstream loaded, and is it the right port?")
        self.pieces.append(data)
        if END not in data:
            self.came += len(data) - data.count(ESC)
            return []
        packets, rest = split(b"".join(self.pieces))
        self.pieces, self.came = [rest], len(rest) - rest.count(ESC)
        return packets


def session(port, block, say=print):
    """Reset the board, load the parameters, compare all frames with the golden model; whether all are equal."""
    host, equal = Host(port, block), []
    host.reset()
    host.load()
    say(f"loaded      {len(block.parameters)} bytes of parameters")
    for x, y in block.frames:
        equal.append(np.array_equal(host.scale(x), y))
        say(f"frame       {' x '.join(map(str, x.shape))}: {'bit-exact' if equal[-1] else 'WRONG'}")
    return bool(equal) and all(equal)


def main():
    parser = argparse.ArgumentParser(description=__doc__, prog="host.py")
    parser.add_argument("port", help="serial port of the board, such as /dev/ttyUSB0")
    parser.add_argument("block", help="folder that block.py has written for the bitstream")
    arguments = parser.parse_args()
    try:
        block = Block(arguments.block)
        try:
            import serial
        except ImportError:
            raise HostError("pyserial is missing: pip install pyserial") from None
        try:
            with serial.Serial(arguments.port, BAUD, timeout=PATIENCE) as port:
                return 0 if session(port, block) else 1
        except OSError as error:
            # pyserial's errors are of that kind.
            raise HostError(f"{arguments.port}: {error}") from None
    except HostError as error:
        print(f"host.py: error: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
