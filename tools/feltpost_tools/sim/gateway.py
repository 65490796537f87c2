"""Runs the real gateway on a simulated run's clock; all else is as in ``feltpost-gateway run``.

Its standard input, which the simulator holds open, brings the commands of `gateway_faults`, a line
each; it ends when that does. Without a command it is the gateway as it is.
"""

import argparse
import asyncio
import os
import sys
import threading
from pathlib import Path

from feltpost_gateway import config, logs, service
from feltpost_tools.errors import FeltpostError
from feltpost_tools.sim.clock import GatewayClock, SharedClock
from feltpost_tools.sim.gateway_faults import GatewayFaults

_READ_BYTES = 4096


def main() -> None:
    """Serve until a signal ends it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--clock", type=Path, required=True, help="the run's clock file")
    parser.add_argument(
        "--command", action="append", default=[], help="a command to obey before it starts"
    )
    arguments = parser.parse_args()
    logs.configure()
    faults = GatewayFaults()
    for command in arguments.command:
        _obey(faults, command)
    threading.Thread(target=_obey_the_simulator, args=(faults,), daemon=True).start()
    settings = config.load(arguments.config)
    asyncio.run(service.serve(settings, GatewayClock(SharedClock(arguments.clock))))


def _obey_the_simulator(faults: GatewayFaults) -> None:
    # Not by sys.stdin: its lock, held by a thread that waits, would trouble an orderly end.
    unread = b""
    while received := os.read(0, _READ_BYTES):
        *lines, unread = (unread + received).split(b"\n")
        for line in lines:
            _obey(faults, line.decode())
    os._exit(1)


def _obey(faults: GatewayFaults, command: str) -> None:
    try:
        faults.obey(command)
    except FeltpostError as error:
        # Whoever gave that command waits for what it was to bring about.
        print(error, file=sys.stderr, flush=True)
        os._exit(2)


if __name__ == "__main__":
    main()
