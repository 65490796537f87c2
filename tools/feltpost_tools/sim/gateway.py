"""Runs the real gateway on a simulated run's clock; all else is as in ``feltpost-gateway run``."""

import argparse
import asyncio
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
    settings = config.load(arguments.config)
    asyncio.run(service.serve(settings, GatewayClock(SharedClock(arguments.clock))))


if __name__ == "__main__":
    main()
