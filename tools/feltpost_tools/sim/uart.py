"""A simulated board's UART and the sensor on it, the part at "uart1".

The shim asks: ``o`` u32 baud rate, u16 buffer: open; ``a``: how many bytes are there, u16; ``r``
u16: read at most so many; ``w`` bytes: send.
"""

import struct
from collections import deque
from collections.abc import Sequence
from dataclasses import replace

from feltpost_tools.sim.sensors.device import Readout
from feltpost_tools.sim.sensors.uart_device import Burst, UartDevice

# Start bit, eight data bits, stop bit.
_BITS_PER_BYTE = 10
# What a byte sent at another rate is read as has nothing to do with it.
_GARBLED = 0xA5


class Uart:
    """A UART that receives what its sensor has sent by now, and loses what its buffer can't take.

    To the sensor's observer everything that the host reads is read out, also what it throws away.
    """

    def __init__(self, device: UartDevice):
        self._device = device
        self._byte_us = _BITS_PER_BYTE * 1_000_000 // device.BAUDRATE
        self._baudrate = 0
        self._capacity = 0
        # On the line: when each byte ends, the byte, and what who reads it has read out.
        self._coming: deque[tuple[int, int, Sequence[Readout]]] = deque()
        self._buffer: deque[tuple[int, Sequence[Readout]]] = deque()

    def serve(self, request: bytes, now_us: int) -> bytes:
        """Answer the shim."""
        self._receive(now_us)
        match request[:1]:
            case b"o":
                self._baudrate, self._capacity = struct.unpack("<IH", request[1:])
                self._buffer.clear()
            case b"a":
                return struct.pack("<H", len(self._buffer))
            case b"r":
                return self._read(struct.unpack("<H", request[1:])[0], now_us)
            case b"w" if self._baudrate == self._device.BAUDRATE:
                self._device.write(request[1:], now_us)
        return b""

    def _receive(self, now_us: int) -> None:
        for burst in self._device.sent(now_us):
            self._transmit(burst)
        while self._coming and self._coming[0][0] <= now_us:
            _, byte, readouts = self._coming.popleft()
            if self._baudrate != self._device.BAUDRATE:
                byte, readouts = byte ^ _GARBLED, ()
            if len(self._buffer) < self._capacity:
                self._buffer.append((byte, readouts))

    def _transmit(self, burst: Burst) -> None:
        for i, byte in enumerate(burst.data, start=1):
            readouts = burst.readouts if i == len(burst.data) else ()
            self._coming.append((burst.start_us + i * self._byte_us, byte, readouts))

    def _read(self, most: int, now_us: int) -> bytes:
        data = bytearray()
        while self._buffer and len(data) < most:
            byte, readouts = self._buffer.popleft()
            data.append(byte)
            for readout in readouts:
                self._device.observer(replace(readout, time_us=now_us))
        return bytes(data)
