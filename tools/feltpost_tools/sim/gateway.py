"""Runs the real gateway on a simulated run's clock; all else is as in ``feltpost-gateway run``.

It ends when its standard input does, which the simulator holds open.
"""

import argparse
import asyncio
import os
import threading
from pathlib import Path

from feltpost_gateway import config, logs, service
from feltpost_tools.sim.clock import GatewayClock, SharedClock


def main() -> None:
    """Serve until a signal ends it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--clock", type=Path, required=True, help="the run's clock file")
    arguments = parser.parse_args()
    logs.configure()
    threading.Thread(target=_end_with_the_simulator, daemon=True).start()
    settings = config.load(arguments.config)
    asyncio.run(service.serve(settings, GatewayClock(SharedClock(arguments.clock))))


def _end_with_the_simulator() -> None:
    # Not by sys.stdin: its lock, held by a thread that waits, would trouble an orderly end.
    os.read(0, 1)
    os._exit(1)


if __name__ == "__main__":
    main()
