"""The fixtures of pytest-feltpost: a board, and what is around it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from feltpost_tools.errors import FeltpostError
from feltpost_tools.hil import session

if TYPE_CHECKING:
    from feltpost_tools.hil.board import Board
    from feltpost_tools.hil.book import Book
    from feltpost_tools.hil.faults import Faults
    from feltpost_tools.hil.inventory import BoardEntry
    from feltpost_tools.hil.services import Broker, Gateway
    from feltpost_tools.hil.station import Station


@pytest.fixture(scope="session")
def _bench_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("boards")


@pytest.fixture
def board_entry(request: pytest.FixtureRequest) -> BoardEntry:
    """Give what is known of the board without asking it; each test runs once for every board."""
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def _station(
    request: pytest.FixtureRequest, board_entry: BoardEntry, _bench_folder: Path
) -> Iterator[Station]:
    test = request.node
    log = session.log_file(request.config, _bench_folder, test)
    test.user_properties += [("board", board_entry.name), ("board.log", str(log))]
    bench = session.bench(request.config, _bench_folder)
    failure = ""
    try:
        station = bench.open(board_entry, log)
    except FeltpostError as error:
        bench.give_up(board_entry, error, test.name)
        failure = str(error)
    if failure:
        # Out here, where no traceback comes with it.
        pytest.fail(failure, pytrace=False)
    test.stash[session.STATION] = station
    test.user_properties += station.board.identity.properties()
    yield station
    station.close()


@pytest.fixture
def board(_station: Station) -> Board:
    """Give a board that has just started the firmware under test, with an empty journal."""
    return _station.board


@pytest.fixture
def ledger(_station: Station) -> Book:
    """Give the ledger, which has all that the board's sensors handed out since it started."""
    return _station.book


@pytest.fixture
def broker(_station: Station) -> Iterator[Broker]:
    """Give a running broker, whose messages are entered in the ledger."""
    _station.broker.start()
    yield _station.broker
    _station.broker.close()


@pytest.fixture
def gateway(_station: Station, broker: Broker) -> Iterator[Gateway]:
    """Give a running gateway that knows the board and sends its readings to the broker."""
    _station.gateway.configure(broker.address)
    _station.gateway.start()
    yield _station.gateway
    _station.gateway.stop()


@pytest.fixture
def faults(_station: Station, gateway: Gateway) -> Faults:
    """Give what can go wrong around the board."""
    return _station.faults
