"""Finds out whether a board has what a node needs, and whether it works: for who puts it up.

Run at the prompt by the tools, and loaded by nothing else. Each check prints a line, "feltpost:"
and a JSON object: ``check``, ``of`` (which sensor or link), ``ok``, ``why`` it is not, and what was
measured. The journal is left alone, and no sequence number is used.
"""

import asyncio
import gc
import json
import os

import esp32
from micropython import const

from . import coap, sensor
from .config import ConfigError, load
from .links_opening import open_link
from .ports import Ports
from .reserve import blob

_NAMESPACE = "feltpost"
_NVS_NAME = "selftest"
_NVS_VALUE = const(0x2A55)
_KEY_BYTES = const(16)

_FILE = "/selftest.tmp"
_FILE_BYTES = const(4096)
_PATTERN = bytes(range(256))

_TRIES = const(3)
# A sensor may be busy with what the application had begun when it was interrupted.
_PAUSE_MS = const(1_000)
_ANSWER_MS = const(2_000)


def run():
    """Make all checks, in 20 s for each network and what the sensors take."""
    _heap()
    _nvs()
    _files()
    _journal()
    tell("key", "", "" if blob(esp32.NVS(_NAMESPACE), "key", _KEY_BYTES) else "there is none")
    try:
        settings = load()
    except ConfigError as error:
        tell("configuration", "", str(error))
        return
    tell("configuration", "", "; ".join(settings.problems))
    asyncio.run(_sensors(settings))
    asyncio.run(_links(settings.links))


def tell(check, of, why, **measured):
    """Print what came of a check; it went well where why is empty."""
    result = {"check": check, "of": of, "ok": not why, "why": why}
    result.update(measured)
    print("feltpost:" + json.dumps(result))


def _heap():
    gc.collect()
    tell("heap", "", "", bytes=gc.mem_free() + gc.mem_alloc())


def _nvs():
    try:
        nvs = esp32.NVS(_NAMESPACE)
        nvs.set_i32(_NVS_NAME, _NVS_VALUE)
        nvs.commit()
        why = "" if nvs.get_i32(_NVS_NAME) == _NVS_VALUE else "reads back otherwise"
        nvs.erase_key(_NVS_NAME)
        nvs.commit()
    except OSError as error:
        why = str(error)
    tell("nvs", "", why)


def _files():
    # A page of the file system, written and read back.
    why = ""
    try:
        with open(_FILE, "wb") as file:
            for _ in range(_FILE_BYTES // len(_PATTERN)):
                file.write(_PATTERN)
        with open(_FILE, "rb") as file:
            for _ in range(_FILE_BYTES // len(_PATTERN)):
                if file.read(len(_PATTERN)) != _PATTERN:
                    why = "reads back otherwise"
        os.remove(_FILE)
    except OSError as error:
        why = str(error)
    tell("files", "", why)


def _journal():
    found = esp32.Partition.find(esp32.Partition.TYPE_DATA, label="journal")
    if not found:
        tell("journal", "", "no partition")
        return
    try:
        found[0].readblocks(0, bytearray(16), 0)
    except OSError as error:
        tell("journal", "", str(error))
        return
    tell("journal", "", "", bytes=found[0].info()[3])


async def _sensors(settings):
    ports = Ports(settings)
    for entry in settings.sensors:
        values = {}
        try:
            why = await _measure(sensor.load(entry.driver).connect(ports, entry.options), values)
        except (ConfigError, ValueError, OSError) as error:
            # An unknown driver, or a pin or bus that the board doesn't have.
            why = str(error)
        tell("sensor", entry.name, why, values=values)


async def _measure(device, values):
    # Fill in what the sensor measures, in its own units; return why it can't, "" where it can.
    raw: list = [None] * len(device.CHANNELS)
    why = ""
    for _ in range(_TRIES):
        try:
            await device.start()
            await device.sample(raw)
            await device.stop()
        except sensor.SensorError as error:
            why = str(error)
            device.recover()
            await asyncio.sleep_ms(_PAUSE_MS)
            continue
        for i, (quantity, digits) in enumerate(device.CHANNELS):
            values[quantity] = None if raw[i] is None else raw[i] / 10**digits
        return ""
    return why


async def _links(entries):
    for entry in entries:
        if entry.kind == "udp":
            link = open_link(entry, None)
            try:
                await link.connect()
                why = "" if await _answers(link) else "no answer from the gateway"
                tell("link", link.name, why, joined=True, rssi=link.rssi())
            except OSError as error:
                tell("link", link.name, str(error), joined=False)
            link.close()


async def _answers(link):
    # RFC 7252 section 4.3: a confirmable empty message is answered by a reset.
    for message_id in range(_TRIES):
        link.send(_empty(coap.CON, message_id))
        answer = await link.receive(_ANSWER_MS)
        if answer and bytes(answer) == _empty(coap.RST, message_id):
            return True
    return False


def _empty(kind, message_id):
    buf = bytearray(4)
    coap.Writer(buf).header(kind, coap.EMPTY, message_id)
    return bytes(buf)
