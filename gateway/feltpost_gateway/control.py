"""The control socket: how the command line speaks to the running gateway.

A Unix stream socket beside the store, which only the gateway's user (and root) can open. One
connection carries one command, as one line of JSON each way:

    {"command": "show-node", "arguments": {"node": "gym"}}
    {"result": …}  or  {"faults": [{"row": 3, "column": "mac", "template": …, "values": {…}}]}
    or  {"unavailable": "…"} where the store refused for now

A fault is a text's template and values (`texts`), so that it is said in the asker's language.
"""

import asyncio
import json
import os
import socket
import stat
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from feltpost_gateway.commands import RowFault, RowsError
from feltpost_gateway.errors import ControlError, StoreUnavailableError
from feltpost_gateway.logs import EventLog
from feltpost_gateway.nodes import FieldFault, FieldsError, OperatorError
from feltpost_gateway.texts import Text, text

Json = Any
Call = Callable[[str, dict[str, Json]], Awaitable[Json]]

# Some 20,000 nodes, as a CSV file of all of Denmark's schools would have.
_LINE_MAX_BYTES = 16 << 20
_MODE = 0o600


def socket_path(store: Path) -> Path:
    """Return where the gateway with that store listens."""
    return store.with_name(f"{store.name}.control")


class ControlServer:
    """Answers commands at `path`; the caller keeps every other gateway away from there."""

    def __init__(self, path: Path, call: Call) -> None:
        self._path = path
        self._call = call
        self._log = EventLog("control")
        self._server: asyncio.Server | None = None
        self._under_way: set[asyncio.Task[dict[str, Json]]] = set()

    async def start(self) -> None:
        """Listen; where that can't be, say so in the log and let the gateway run without."""
        try:
            with _bindable(self._path) as address:
                if self._path.exists() and stat.S_ISSOCK(self._path.lstat().st_mode):
                    # Left by a gateway that was killed.
                    self._path.unlink()
                listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                os.fchmod(listener.fileno(), _MODE)
                listener.bind(address)
            self._server = await asyncio.start_server(
                self._serve, sock=listener, limit=_LINE_MAX_BYTES
            )
        except OSError as error:
            self._log.error("not-listening", socket=self._path, reason=error)

    async def close(self) -> None:
        """Stop listening, after the command that is under way."""
        server, self._server = self._server, None
        if server is None:
            return
        self._path.unlink(missing_ok=True)
        server.close()
        await asyncio.gather(*self._under_way, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            line = await reader.readline()
            task = asyncio.create_task(self._answer(line))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)
            answer = await task
            writer.write(json.dumps(answer).encode() + b"\n")
            await writer.drain()
        except (OSError, ValueError) as error:
            self._log.limited((), "not-answered", reason=error)
        finally:
            writer.close()

    async def _answer(self, line: bytes) -> dict[str, Json]:
        try:
            request = json.loads(line)
            name, arguments = request["command"], request["arguments"]
            return {"result": await self._call(name, arguments)}
        except OperatorError as error:
            return {"faults": _pack(error)}
        except StoreUnavailableError as error:
            return {"unavailable": str(error)}
        except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
            # The command line is of another version than the gateway.
            self._log.warning("not-understood", reason=error)
            fault = text("the running gateway does not understand this command. Restart it")
            return {"faults": _pack(OperatorError(fault))}


def ask(path: Path, name: str, arguments: dict[str, Json]) -> Json:
    """Have the gateway that listens at `path` carry out a command, and return its result.

    Raises `OperatorError` as the command does, `StoreUnavailableError`, `ControlError` where the
    socket may not be used or the answer does not come, and `ConnectionError` or
    `FileNotFoundError` where no gateway listens.
    """
    request = json.dumps({"command": name, "arguments": arguments}).encode() + b"\n"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        try:
            with _bindable(path) as address:
                connection.connect(address)
        except PermissionError:
            raise ControlError(
                str(text("{file}: only the gateway's user may use it", file=str(path)))
            ) from None
        try:
            connection.sendall(request)
            with connection.makefile("rb") as answers:
                answer = json.loads(answers.readline())
        except (OSError, ValueError) as error:
            lost = text(
                "the gateway did not answer ({reason}). Look into its log", reason=str(error)
            )
            raise ControlError(str(lost)) from error
    if "faults" in answer:
        raise _unpack(answer["faults"])
    if "unavailable" in answer:
        raise StoreUnavailableError(answer["unavailable"])
    return answer["result"]


@contextmanager
def _bindable(path: Path) -> Iterator[str]:
    """Give an address for `path` that fits the 108 bytes of a Unix socket's, however long it is."""
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{directory}/{path.name}"
    finally:
        os.close(directory)


def _pack(error: OperatorError) -> list[dict[str, Json]]:
    faults: list[tuple[int | None, str, Text]]
    match error:
        case RowsError():
            faults = [(fault.row, fault.column, fault.text) for fault in error.faults]
        case FieldsError():
            faults = [(None, fault.column, fault.text) for fault in error.faults]
        case _:
            faults = [(None, "", error.text)]
    return [
        {"row": row, "column": column, "template": said.template, "values": dict(said.values)}
        for row, column, said in faults
    ]


def _unpack(faults: list[dict[str, Json]]) -> OperatorError:
    texts = [Text(fault["template"], fault["values"]) for fault in faults]
    if faults[0]["row"] is not None:
        return RowsError(
            [RowFault(f["row"], f["column"], said) for f, said in zip(faults, texts, strict=True)]
        )
    if faults[0]["column"]:
        return FieldsError(
            [FieldFault(f["column"], said) for f, said in zip(faults, texts, strict=True)]
        )
    return OperatorError(texts[0])
