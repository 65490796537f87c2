"""The esp32 module of a simulated board: NVS, kept by the simulator in a file."""

import struct

import _host

# What ESP-IDF answers for a key that is not there: ESP_ERR_NVS_NOT_FOUND.
_NOT_FOUND = -0x1102


class NVS:
    def __init__(self, namespace):
        self._prefix = namespace + "/"

    def _get(self, kind, key):
        try:
            return _host.call(0x67, kind + (self._prefix + key).encode())
        except OSError:
            raise OSError(_NOT_FOUND, "ESP_ERR_NVS_NOT_FOUND")

    def _set(self, kind, key, data):
        name = (self._prefix + key).encode()
        _host.call(0x70, kind + bytes((len(name),)) + name + data)

    def get_i32(self, key):
        return struct.unpack("<i", self._get(b"i", key))[0]

    def set_i32(self, key, value):
        self._set(b"i", key, struct.pack("<i", value))

    def get_blob(self, key, buf):
        data = self._get(b"b", key)
        buf[: len(data)] = data
        return len(data)

    def set_blob(self, key, value):
        self._set(b"b", key, bytes(value))

    def erase_key(self, key):
        try:
            _host.call(0x65, (self._prefix + key).encode())
        except OSError:
            raise OSError(_NOT_FOUND, "ESP_ERR_NVS_NOT_FOUND")

    def commit(self):
        _host.call(0x6D)
