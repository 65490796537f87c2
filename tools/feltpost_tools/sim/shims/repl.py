"""The prompt of a simulated board, friendly and raw.

The unix port's own prompt is made for a terminal and has no raw mode before 1.27; this one speaks
what MicroPython's reference manual describes under "The MicroPython interactive interpreter mode"
and does what shared/runtime/pyexec.c does: Ctrl-A raw, Ctrl-B friendly, Ctrl-C new line, Ctrl-D run
or soft reboot, Ctrl-E paste mode, or in raw mode raw paste with its flow control.
"""

import io
import select
import sys

import micropython
import uselect

_CTRL_A = 0x01
_CTRL_B = 0x02
_CTRL_C = 0x03
_CTRL_D = 0x04
_CTRL_E = 0x05
_BACKSPACES = (0x08, 0x7F)

# Of a traceback: those of the shims that others' code runs in, and of what started this process.
_OWN_FRAMES = ('  File "repl.py"', '  File "_flash.py"', '  File "{}"'.format(sys.argv[0]))

_RAW_BANNER = b"raw REPL; CTRL-B to exit\r\n"
_PASTE_BANNER = b"\r\npaste mode; Ctrl-C to cancel, Ctrl-D to finish\r\n=== "

# Half of the buffer that a board has for its input (MICROPY_REPL_STDIN_BUFFER_MAX).
_WINDOW_BYTES = 128


def _write(data):
    sys.stdout.buffer.write(data)


def _greet():
    _write(
        "MicroPython v{}.{}.{} on simulated board; {}\r\n"
        'Type "help()" for more information.\r\n'.format(
            *sys.implementation.version[:3], sys.implementation._machine
        ).encode()
    )


def _quiet():
    # Make Ctrl-C a character again, also when one that interrupts is still on its way.
    while True:
        try:
            micropython.kbd_intr(-1)
            return
        except KeyboardInterrupt:
            pass


def show(error):
    """Print an exception as a board does, without the frames of the shims that ran the code."""
    text = io.StringIO()
    sys.print_exception(error, text)
    for line in text.getvalue().splitlines():
        if not line.startswith(_OWN_FRAMES):
            print(line)


def reboot(raw):
    """Announce a soft reboot; return raw."""
    _quiet()
    _write(b"MPY: soft reboot\r\n")
    return raw


class _Prompt:
    def __init__(self, scope):
        self._scope = scope
        self._byte = bytearray(1)
        self._poll = select.poll()
        self._poll.register(sys.stdin.buffer, select.POLLIN)
        self._ready = uselect.poll()
        self._ready.register(sys.stdin.buffer, select.POLLIN)

    def _read(self):
        # Waiting through our poll lets the simulated clock run on meanwhile; it takes ten times as
        # long to see that there is input.
        if not self._ready.poll(0):
            self._poll.poll(-1)
        if sys.stdin.buffer.readinto(self._byte) == 0:
            sys.exit(0)
        return self._byte[0]

    def _run(self, source, kind, end=b""):
        # Run code, which Ctrl-C interrupts, and print end after its output and after its error;
        # return False when it wants a soft reboot.
        caught = None
        try:
            micropython.kbd_intr(_CTRL_C)
            exec(compile(source, "<stdin>", kind), self._scope)
        except BaseException as error:
            caught = error
        _quiet()
        _write(end)
        exits = isinstance(caught, SystemExit)
        if caught and not exits:
            show(caught)
        _write(end)
        return not exits

    def friendly(self):
        """Serve the friendly prompt; return True when raw mode is wanted, False to reboot."""
        _greet()
        while True:
            _write(b">>> ")
            line = bytearray()
            while True:
                byte = self._read()
                if byte == _CTRL_A:
                    _write(b"\r\n")
                    return True
                if byte == _CTRL_B:
                    _write(b"\r\n")
                    _greet()
                    break
                if byte == _CTRL_C:
                    _write(b"\r\n")
                    break
                if byte == _CTRL_D and not line:
                    _write(b"\r\n")
                    return False
                if byte == _CTRL_E and not line:
                    if not self._paste():
                        return False
                    break
                if byte in (0x0D, 0x0A):
                    _write(b"\r\n")
                    if not self._run(line.decode(), "single"):
                        return False
                    break
                if byte in _BACKSPACES:
                    if line:
                        line = line[:-1]
                        _write(b"\x08 \x08")
                elif byte >= 0x20:
                    line.append(byte)
                    _write(self._byte)

    def _paste(self):
        _write(_PASTE_BANNER)
        source = bytearray()
        while True:
            byte = self._read()
            if byte == _CTRL_C:
                _write(b"\r\n")
                return True
            if byte == _CTRL_D:
                _write(b"\r\n")
                return self._run(source.decode(), "exec")
            if byte == 0x0D:
                source.append(0x0A)
                _write(b"\r\n=== ")
            else:
                source.append(byte)
                _write(self._byte)

    def raw(self):
        """Serve raw mode; return True when the friendly prompt is wanted, False to reboot."""
        _write(_RAW_BANNER + b">")
        source = bytearray()
        while True:
            byte = self._read()
            if byte == _CTRL_A:
                if len(source) == 2 and source[0] == _CTRL_E:
                    if not self._raw_paste(source[1]):
                        return False
                else:
                    _write(_RAW_BANNER)
                _write(b">")
                source = bytearray()
            elif byte == _CTRL_B:
                _write(b"\r\n")
                return True
            elif byte == _CTRL_C:
                source = bytearray()
            elif byte == _CTRL_D:
                _write(b"OK")
                if not source:
                    _write(b"\r\n")
                    return False
                if not self._run(source.decode(), "exec", b"\x04"):
                    return False
                _write(b">")
                source = bytearray()
            else:
                source.append(byte)

    def _raw_paste(self, command):
        if command != 0x41:
            _write(b"R\x00")
            return True
        # Two windows are free: the reply's window itself, and the one that 0x01 grants.
        _write(b"R\x01" + bytes((_WINDOW_BYTES, 0, 0x01)))
        source = bytearray()
        left = _WINDOW_BYTES
        while True:
            byte = self._read()
            if byte in (_CTRL_C, _CTRL_D):
                break
            source.append(byte)
            left -= 1
            if left == 0:
                _write(b"\x01")
                left = _WINDOW_BYTES
        _write(b"\x04")
        if byte == _CTRL_C:
            source = b"raise KeyboardInterrupt"
        return self._run(source.decode(), "exec", b"\x04")


def run(scope, raw):
    """Serve the prompt, raw or friendly at first; return at a soft reboot whether it was raw."""
    _quiet()
    prompt = _Prompt(scope)
    while True:
        if raw and not prompt.raw():
            return reboot(True)
        if not prompt.friendly():
            return reboot(False)
        raw = True
