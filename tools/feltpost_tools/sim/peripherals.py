"""What a simulated board's shims reach on the chip and around it: parts, NVS, flash, radio, RTC."""

import errno
import struct

from feltpost_tools.device.partitions import JOURNAL
from feltpost_tools.sim import channel
from feltpost_tools.sim.air import Air
from feltpost_tools.sim.channel import Kind, Request
from feltpost_tools.sim.chipflash import ChipFlash
from feltpost_tools.sim.flash import BLOCK_BYTES, NorFlash
from feltpost_tools.sim.hardware import Hardware
from feltpost_tools.sim.nvs import Nvs
from feltpost_tools.sim.rtc import RtcMemory


class Peripherals:
    """Serves the requests that no reset, sleep or interrupt comes of.

    Raises PowerCut and WriteTorn where a write was torn: the board must stop before it hears more.
    """

    def __init__(self, hardware: Hardware, chip: ChipFlash, nvs: Nvs, rtc: RtcMemory):
        self._hardware = hardware
        self._chip = chip
        self._nvs = nvs
        self._rtc = rtc
        self.air: Air | None = None

    def serve(self, request: Request, now_us: int) -> bytes:
        """Return the reply; ENOSYS for what this board does not have."""
        match request.kind:
            case Kind.PART:
                return self._ask_part(request, now_us)
            case Kind.UNIQUE_ID:
                return channel.reply(request, self._hardware.mac)
            case Kind.NVS_GET | Kind.NVS_PUT | Kind.NVS_ERASE | Kind.NVS_COMMIT:
                return self._use_nvs(request)
            case Kind.FLASH_SIZE:
                return self._flash_size(request)
            case Kind.FILES_WRITE | Kind.FILES_ERASE:
                return _use_flash(request, self._chip.files)
            case Kind.FLASH_READ | Kind.FLASH_WRITE | Kind.FLASH_ERASE if self._chip.journal:
                return _use_flash(request, self._chip.journal)
            case Kind.WLAN_STATE | Kind.WLAN_JOIN | Kind.WLAN_LEAVE if self.air:
                return self._use_radio(request, self.air)
            case Kind.RTC_READ:
                return channel.reply(request, self._rtc.read())
            case Kind.RTC_WRITE:
                length, start = struct.unpack_from("<HH", request.payload)
                self._rtc.take(length, start, request.payload[4:])
                return channel.reply(request)
            case _:
                return channel.reply(request, errno=errno.ENOSYS)

    def _ask_part(self, request: Request, now_us: int) -> bytes:
        place_end = 1 + request.payload[0]
        part = self._hardware.parts.get(request.payload[1:place_end].decode())
        if part is None:
            return channel.reply(request, errno=errno.ENODEV)
        try:
            answer = part.serve(request.payload[place_end:], now_us)
        except OSError as error:
            return channel.reply(request, errno=error.errno or errno.EIO)
        return channel.reply(request, answer)

    def _use_nvs(self, request: Request) -> bytes:
        payload = request.payload
        match request.kind:
            case Kind.NVS_GET:
                return _found(request, self._nvs.get(payload[1:].decode()))
            case Kind.NVS_ERASE:
                return _found(request, b"" if self._nvs.erase(payload.decode()) else None)
            case Kind.NVS_PUT:
                name_end = 2 + payload[1]
                self._nvs.put(payload[2:name_end].decode(), payload[name_end:])
            case _:
                self._nvs.commit()
        return channel.reply(request)

    def _flash_size(self, request: Request) -> bytes:
        size = 0
        if request.payload.decode() == JOURNAL and self._chip.journal:
            size = self._chip.journal.blocks * BLOCK_BYTES
        return channel.reply(request, struct.pack("<I", size))

    def _use_radio(self, request: Request, air: Air) -> bytes:
        match request.kind:
            case Kind.WLAN_STATE:
                return channel.reply(request, air.radio.state())
            case Kind.WLAN_JOIN if not air.radio.join(request.payload):
                return channel.reply(request, errno=errno.ENOSYS)
            case Kind.WLAN_LEAVE:
                air.radio.leave()
        return channel.reply(request)


def _use_flash(request: Request, flash: NorFlash) -> bytes:
    block, position, count = struct.unpack_from("<HHH", request.payload + bytes(4))
    match request.kind:
        case Kind.FLASH_READ:
            return channel.reply(request, flash.read(block, position, count))
        case Kind.FLASH_WRITE | Kind.FILES_WRITE:
            flash.write(block, position, request.payload[4:])
        case _:
            flash.erase(block)
    return channel.reply(request)


def _found(request: Request, value: bytes | None) -> bytes:
    if value is None:
        return channel.reply(request, errno=errno.ENOENT)
    return channel.reply(request, value)
