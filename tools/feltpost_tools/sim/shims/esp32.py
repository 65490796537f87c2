"""The esp32 module of a simulated board: NVS and flash, kept by the simulator in files."""

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


class Partition:
    TYPE_APP = 0
    TYPE_DATA = 1

    _BLOCK_BYTES = 4096
    # What a write or read carries at most, so that a message to the simulator stays small.
    _PIECE_BYTES = 512

    def __init__(self, label, size):
        self._label = label
        self._size = size

    @staticmethod
    def find(type=TYPE_APP, subtype=0xFF, label=None, block_size=4096):
        size = struct.unpack("<I", _host.call(0x66, (label or "").encode()))[0]
        return [Partition(label, size)] if size and type == Partition.TYPE_DATA else []

    def info(self):
        return (self.TYPE_DATA, 0x40, 0, self._size, self._label, False)

    def readblocks(self, block, buf, offset=0):
        view = memoryview(buf)
        for start in range(0, len(buf), self._PIECE_BYTES):
            count = min(self._PIECE_BYTES, len(buf) - start)
            view[start : start + count] = _host.call(
                0x52, struct.pack("<HHH", block, offset + start, count)
            )

    def writeblocks(self, block, buf, offset=None):
        if offset is None:
            self.ioctl(6, block)
            offset = 0
        view = memoryview(buf)
        for start in range(0, len(buf), self._PIECE_BYTES):
            head = struct.pack("<HH", block, offset + start)
            _host.call(0x57, head + bytes(view[start : start + self._PIECE_BYTES]))

    def ioctl(self, op, arg):
        if op == 4:
            return self._size // self._BLOCK_BYTES
        if op == 5:
            return self._BLOCK_BYTES
        if op == 6:
            _host.call(0x45, struct.pack("<H", arg))
        return 0
