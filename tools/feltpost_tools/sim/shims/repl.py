"""The prompt of a simulated board, friendly and raw.

The unix port's own prompt is made for a terminal and has no raw mode; this one speaks what
MicroPython's reference manual describes under "The MicroPython interactive interpreter mode":
Ctrl-A raw, Ctrl-B friendly, Ctrl-C new line, Ctrl-D run or soft reboot. Raw-paste mode is declined,
so that tools fall back to plain raw mode.
"""

import select
import sys

import micropython

_CTRL_A = 0x01
_CTRL_B = 0x02
_CTRL_C = 0x03
_CTRL_D = 0x04
_CTRL_E = 0x05
_BACKSPACES = (0x08, 0x7F)

_BANNER = (
    'MicroPython v{}.{}.{} on simulated board; Feltpost\r\nType "help()" for more information.\r\n'
)
_RAW_BANNER = b"raw REPL; CTRL-B to exit\r\n>"


def _write(data):
    sys.stdout.buffer.write(data)


def _run(source, kind, scope):
    # While somebody's code runs, Ctrl-C interrupts it; at the prompt it is a character.
    micropython.kbd_intr(_CTRL_C)
    try:
        exec(compile(source, "<stdin>", kind), scope)
    finally:
        micropython.kbd_intr(-1)


class _Prompt:
    def __init__(self, scope):
        self._scope = scope
        self._byte = bytearray(1)
        self._poll = select.poll()
        self._poll.register(sys.stdin.buffer, select.POLLIN)

    def _read(self):
        # Waiting through poll lets the simulated clock run on meanwhile.
        self._poll.poll(-1)
        if sys.stdin.buffer.readinto(self._byte) == 0:
            sys.exit(0)
        return self._byte[0]

    def friendly(self):
        """Serve the friendly prompt; return True when raw mode is wanted, False to reboot."""
        _write(_BANNER.format(*sys.implementation.version[:3]).encode())
        while True:
            _write(b">>> ")
            line = bytearray()
            while True:
                byte = self._read()
                if byte == _CTRL_A:
                    return True
                if byte == _CTRL_B:
                    _write(b"\r\n" + _BANNER.format(*sys.implementation.version[:3]).encode())
                    break
                if byte == _CTRL_C:
                    _write(b"\r\n")
                    break
                if byte == _CTRL_D and not line:
                    return False
                if byte in (0x0D, 0x0A):
                    _write(b"\r\n")
                    self._execute(bytes(line))
                    break
                if byte in _BACKSPACES:
                    if line:
                        line = line[:-1]
                        _write(b"\x08 \x08")
                elif byte >= 0x20:
                    line.append(byte)
                    _write(self._byte)

    def _execute(self, line):
        try:
            _run(line.decode(), "single", self._scope)
        except SystemExit:
            raise
        except BaseException as error:
            sys.print_exception(error)

    def raw(self):
        """Serve raw mode; return True when the friendly prompt is wanted, False to reboot."""
        _write(_RAW_BANNER)
        source = bytearray()
        while True:
            byte = self._read()
            if byte == _CTRL_A:
                _write(_RAW_BANNER)
                source = bytearray()
            elif byte == _CTRL_B:
                _write(b"\r\n")
                return True
            elif byte == _CTRL_C:
                source = bytearray()
            elif byte == _CTRL_D:
                if not source:
                    return False
                self._execute_raw(bytes(source))
                source = bytearray()
            elif byte == _CTRL_E and not source:
                # Ctrl-E A Ctrl-A asks for raw-paste mode: R and 0 say that it is known, and off.
                self._read()
                self._read()
                _write(b"R\x00")
            else:
                source.append(byte)

    def _execute_raw(self, source):
        _write(b"OK")
        try:
            _run(source.decode(), "exec", self._scope)
            _write(b"\x04")
        except SystemExit:
            raise
        except BaseException as error:
            _write(b"\x04")
            sys.print_exception(error)
        _write(b"\x04>")


def run(scope, raw):
    """Serve the prompt, raw or friendly at first; return at a soft reboot whether it was raw."""
    micropython.kbd_intr(-1)
    prompt = _Prompt(scope)
    while True:
        if raw and not prompt.raw():
            _write(b"OK\r\nMPY: soft reboot\r\n")
            return True
        if not prompt.friendly():
            _write(b"MPY: soft reboot\r\n")
            return False
        raw = True
