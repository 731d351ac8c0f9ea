# SPDX-License-Identifier: Apache-2.0
"""What host and board agree on: baud rate, packets, status. The standard library is enough for it.

Packets are framed as in RFC 1055 (SLIP): END ends a packet; END and ESC inside of it are sent as two bytes. So a reader
that has lost its place finds it again at the next END. A packet is a kind and a payload. The board answers each packet
with one: the same kind, for a frame its outputs, then the status.
"""

import enum

__all__ = ["BAUD", "END", "ESC", "ESC_END", "ESC_ESC", "FIFO_BYTES", "Kind", "Status", "encode", "escape", "split"]

BAUD = 1_000_000
# Bytes that the board keeps while the block does not take them.
FIFO_BYTES = 2048

END, ESC, ESC_END, ESC_ESC = 0xC0, 0xDB, 0xDC, 0xDD


class Kind(enum.IntEnum):
    """The first byte of a packet."""

    RESET = 0x52       # "R": resets the block, which then has no parameters
    PARAMETERS = 0x50  # "P": the bytes of NAME.params.bin
    FRAME = 0x46       # "F": the bytes of a frame's beats; its end is the frame's end


class Status(enum.IntFlag):
    """The last byte of an answer. The first three are the block's status ports, the others are of this packet."""

    LOADED = 1        # parameters are loaded
    LOAD_ERROR = 2    # since the reset, a parameter stream was refused
    FRAME_ERROR = 4   # since the reset, a frame did not end at a row's end
    CUT = 8           # the packet ended inside of a beat or of a 32-bit word, which was filled up with zeros
    LINE = 16         # a byte without its stop bit, a lost byte, or an escape that is none
    REFUSED = 32      # no such kind, no payload, or a frame for a block without parameters: nothing was done


def escape(data: bytes) -> bytes:
    """Bytes of a packet as they are on the line: up to two for each."""
    return data.replace(bytes([ESC]), bytes([ESC, ESC_ESC])).replace(bytes([END]), bytes([ESC, ESC_END]))


def encode(kind: int, payload: bytes = b"") -> bytes:
    """A packet as it is on the line."""
    return escape(bytes([kind]) + payload) + bytes([END])


def split(line: bytes) -> tuple[list[bytes], bytes]:
    """The packets in bytes of the line, decoded, and the bytes after the last END. Empty packets are left out."""
    *packets, rest = line.split(bytes([END]))
    return [packet.replace(bytes([ESC, ESC_END]), bytes([END])).replace(bytes([ESC, ESC_ESC]), bytes([ESC]))
            for packet in packets if packet], rest
