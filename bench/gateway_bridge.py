"""A mosquitto that bridges to another one, and nodes that publish to it.

What the gateway is compared with: QoS 1 all the way, and the settings that Debian's package and
mosquitto.conf(5) have, but for a queue without a limit, since the default drops what is over 1,000
messages.
"""

import getpass
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import Self

from bench.gateway_load import NUMBER_BYTES, Prepared, Sender
from feltpost_tools.errors import FeltpostError
from feltpost_tools.sim.broker import free_port

_START_S = 10.0
_CONNACK = bytes((0x20, 2, 0, 0))
_PUBACK = bytes((0x40, 2))
_PUBLISH_QOS_1 = 0x32


class Bridge:
    """mosquitto on a port of its own, with a bridge to the broker on another; a context manager."""

    def __init__(self, folder: Path, to_port: int):
        """folder: for its configuration, database and log."""
        self._folder = folder
        self.port = free_port()
        self._to_port = to_port

    def __enter__(self) -> Self:
        """Start it and return when it takes connections."""
        self._folder.mkdir()
        configuration = self._folder / "mosquitto.conf"
        configuration.write_text(
            f"listener {self.port} 127.0.0.1\n"
            "allow_anonymous true\n"
            # As another user it could not write there; started by root, it would change.
            f"user {getpass.getuser()}\n"
            "persistence true\n"
            f"persistence_location {self._folder}/\n"
            "max_queued_messages 0\n"
            "connection to-the-municipality\n"
            f"address 127.0.0.1:{self._to_port}\n"
            "topic # out 1\n"
        )
        log = self._folder / "mosquitto.log"
        # The rig's Broker has found it already, or said that it is missing.
        command = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
        with log.open("wb") as file:
            self._process = subprocess.Popen(
                [command, "-c", str(configuration)],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )
        deadline_s = time.monotonic() + _START_S
        while not _listens(self.port):
            if self._process.poll() is not None or time.monotonic() > deadline_s:
                self.__exit__()
                raise FeltpostError(f"the bridge did not start:\n{log.read_text()}")
            time.sleep(0.05)
        return self

    def __exit__(self, *_: object) -> None:
        """Stop it."""
        self._process.terminate()
        self._process.wait()


class MqttSender(Sender):
    """One node that publishes with MQTT 3.1.1 and QoS 1, each message after the PUBACK before."""

    def __init__(self, name: str, port: int):
        connected = socket.create_connection(("127.0.0.1", port))
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().__init__(name, connected)
        # Protocol name and level, a clean session, no keep-alive (MQTT 3.1.1 section 3.1).
        connect = b"\0\4MQTT\4\2\0\0" + _text(name)
        connected.sendall(bytes((0x10, len(connect))) + connect)
        if connected.recv(len(_CONNACK), socket.MSG_WAITALL) != _CONNACK:
            raise FeltpostError(f"the bridge did not let {name} in")
        self._next_number = 0

    def prepare(self, messages: int, payload_bytes: int, readings: int) -> None:
        """Put so many publishes behind those that wait; readings: what each stands for."""
        for _ in range(messages):
            number, self._next_number = self._next_number, self._next_number + 1
            packet_id = number % 0xFFFF + 1
            payload = number.to_bytes(NUMBER_BYTES).ljust(payload_bytes, b"\0")
            rest = _text(f"feltpost/demo/bench/{self.name}/readings")
            rest += packet_id.to_bytes(2) + payload
            data = bytes((_PUBLISH_QOS_1,)) + _length(len(rest)) + rest
            self.waiting.append(Prepared(number, readings, data))

    def take(self, prepared: Prepared, answer: bytes) -> bool:
        """Tell whether it is the PUBACK."""
        return answer == _PUBACK + (prepared.number % 0xFFFF + 1).to_bytes(2)

    def send_again(self) -> None:
        """Leave that to TCP."""


def _text(text: str) -> bytes:
    return len(text).to_bytes(2) + text.encode()


def _length(number: int) -> bytes:
    # MQTT 3.1.1 section 2.2.3, up to two bytes.
    return bytes((number,)) if number < 128 else bytes((number & 127 | 128, number >> 7))


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True
