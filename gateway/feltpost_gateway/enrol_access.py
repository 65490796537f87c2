"""The enrolment codes that are valid now, and the OSCORE contexts of those who use them.

Each flashing program has a context of its own under a code, by the ID Context that it drew
(RFC 8613 section 3.1), so that no two of them share a key and a nonce. All of it is in memory
only: a gateway that starts anew knows no code, and no request that could be replayed.
"""

import asyncio
from dataclasses import dataclass
from time import monotonic
from typing import Any

from aiocoap.message import Message

from feltpost_gateway.enrol_codes import ID_CONTEXT_BYTES, CodeSecrets, derive, make_code
from feltpost_gateway.security import NodeContext, Speaker

_MINUTE_S = 60.0
_NO_ROW = 0
# Programs that use one code; a technician starts `feltpost flash` a few times.
_MAX_SESSIONS = 64


@dataclass(frozen=True)
class CodeState:
    """A valid code as operators see it: its number, what it is for, and how much of it is left."""

    number: int
    nodes: int
    enrolled: int
    seconds_left: int
    replaces: bool


class Code:
    """A valid code; `nodes` is how many it may enrol, `replaces` whether also with other keys."""

    def __init__(
        self, number: int, known: CodeSecrets, nodes: int, until_s: float, replaces: bool
    ) -> None:
        self.number = number
        self.secrets = known
        self.nodes = nodes
        self.until_s = until_s
        self.replaces = replaces
        self.enrolled: set[bytes] = set()
        """The addresses of the nodes that were enrolled by it."""
        self.lock = asyncio.Lock()
        """Held while a node is enrolled, so that two don't take the last place."""
        self.sessions: dict[bytes, CodeContext] = {}

    @property
    def name(self) -> str:
        """What logs call it."""
        return f"enrolment code {self.number}"

    def state(self) -> CodeState:
        """Return what operators see of it."""
        seconds_left = int(self.until_s - monotonic())
        return CodeState(self.number, self.nodes, len(self.enrolled), seconds_left, self.replaces)

    def may_enrol(self, eui64: bytes) -> bool:
        """Tell whether a place is left, or this node has one; the same node may come again."""
        return eui64 in self.enrolled or len(self.enrolled) < self.nodes


class CodeContext(NodeContext):
    """The gateway's side of one program's security context under a code.

    The first request that is authentic makes it known (`Code.sessions`); what anybody can send
    takes no memory. Its replay window lives as long as its keys, so that it never needs an Echo.
    """

    id_context: bytes

    def __init__(self, code: Code, id_context: bytes) -> None:
        self.id_context = id_context
        self.code = code
        super().__init__(Speaker(_NO_ROW, code.name, ""), code.secrets.key_id, code.secrets.secret)
        self.recipient_replay_window.initialize_empty()
        self.echo_recovery = None

    @property
    def has_sender_numbers(self) -> bool:
        """Whether a message can go out with a Partial IV of the gateway's own: always."""
        return True

    def unprotect(self, message: Message, request_id: Any = None) -> Any:
        """Decrypt a request, as aiocoap's contexts do."""
        opened = super().unprotect(message, request_id)  # type: ignore[no-untyped-call]
        # Between `Codes.find` and this the event loop is not left, so that there is never a second
        # context, with a replay window of its own, for one ID Context.
        self.code.sessions.setdefault(self.id_context, self)
        return opened


class Codes:
    """The valid codes; it belongs to the event loop."""

    def __init__(self) -> None:
        self._codes: dict[bytes, Code] = {}
        self._made = 0

    def make(self, nodes: int, minutes: int, replaces: bool) -> tuple[str, Code]:
        """Make a code and return it with its text, which is kept nowhere."""
        written = make_code()
        self._made += 1
        until_s = monotonic() + minutes * _MINUTE_S
        code = Code(self._made, derive(written), nodes, until_s, replaces)
        self._codes[code.secrets.key_id] = code
        return written, code

    def withdraw(self, number: int) -> bool:
        """End a code at once; return whether it was valid."""
        for code in self._valid():
            if code.number == number:
                del self._codes[code.secrets.key_id]
                return True
        return False

    def states(self) -> list[CodeState]:
        """Return the valid codes, the oldest first."""
        return [code.state() for code in self._valid()]

    def find(self, key_id: bytes, id_context: bytes | None) -> CodeContext | None:
        """Return the context for a request, known or new; None where no valid code has it."""
        if id_context is None or len(id_context) != ID_CONTEXT_BYTES:
            return None
        code = next((code for code in self._valid() if code.secrets.key_id == key_id), None)
        if code is None:
            return None
        context = code.sessions.get(id_context)
        if context is None and len(code.sessions) < _MAX_SESSIONS:
            context = CodeContext(code, id_context)
        return context

    def _valid(self) -> list[Code]:
        now_s = monotonic()
        for key_id in [key for key, code in self._codes.items() if code.until_s <= now_s]:
            del self._codes[key_id]
        return list(self._codes.values())
