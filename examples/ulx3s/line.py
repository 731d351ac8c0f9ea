# SPDX-License-Identifier: Apache-2.0
"""The host's serial port in a simulation: bits on the board's pins, with the interface of pyserial."""

import cocotb
from cocotb.queue import Queue
from cocotb.task import resume
from cocotb.triggers import Event, FallingEdge, First, Timer

__all__ = ["Line"]

UNIT = "ps"
# Bytes that wait to be sent before a write waits, as an operating system has it.
BUFFER = 512


class Line:
    """A UART at the far end of the pins `rx` and `tx` of the board.

    ``bit_ps`` is the time of a bit as the host's own clock has it, and ``patience`` the seconds of simulated time that
    :meth:`read` waits. ``errors`` has a text for each byte from the board that was no start bit, eight bits, stop bit.
    The methods are for code in :func:`cocotb.task.bridge`.
    """

    def __init__(self, rx, tx, bit_ps, patience=20e-3):
        self.rx, self.tx, self.bit_ps, self.patience, self.errors = rx, tx, bit_ps, patience, []
        self._leaving, self._came, self._event = Queue(), bytearray(), Event()
        self._tasks = [cocotb.start_soon(task()) for task in (self._send, self._receive)]

    def close(self):
        for task in self._tasks:
            task.cancel()

    @property
    def in_waiting(self):
        return len(self._came)

    def write(self, data, stop=1):
        """Have bytes sent, after those before; with ``stop=0`` they get a wrong stop bit, and a bit of rest."""
        for byte in data:
            while self._leaving.qsize() >= BUFFER:
                resume(self._pause)()
            self._leaving.put_nowait((0, *(byte >> number & 1 for number in range(8)), *((1,) if stop else (0, 1))))

    def read(self, size):
        """One byte to `size` of them; none if none comes."""
        if not self._came:
            resume(self._wait)()
        data = bytes(self._came[:size])
        del self._came[:size]
        return data

    async def _wait(self):
        self._event.clear()
        await First(self._event.wait(), Timer(round(self.patience * 1e12), UNIT))

    async def _pause(self):
        await Timer(10 * self.bit_ps, UNIT)

    async def _send(self):
        bit = Timer(self.bit_ps, UNIT)
        while True:
            for value in await self._leaving.get():
                self.rx.value = value
                await bit

    async def _receive(self):
        half, bit = Timer(self.bit_ps // 2, UNIT), Timer(self.bit_ps, UNIT)
        while True:
            await FallingEdge(self.tx)
            await half
            bits = [int(self.tx.value)]
            for _ in range(9):
                await bit
                bits.append(int(self.tx.value))
            if bits[0] or not bits[9]:
                self.errors.append(f"start and stop bit are {bits[0]} and {bits[9]}")
            self._came.append(sum(value << number for number, value in enumerate(bits[1:9])))
            self._event.set()
