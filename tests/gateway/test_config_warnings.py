"""What is allowed in a configuration and hardly meant is said, with its key."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from tests.gateway.conftest import make_config, running

from feltpost_gateway.commands import Commands
from feltpost_gateway.config import Config
from feltpost_gateway.config_warnings import find_warnings

Run = Callable[[Coroutine[Any, Any, None]], None]

FINE = {"name": "a", "host": "127.0.0.1"}


def keys(config: Config) -> list[str]:
    return [warning.key for warning in find_warnings(config)]


def test_nothing_is_said_where_all_is_meant(tmp_path: Path) -> None:
    assert keys(make_config(tmp_path, destinations=[FINE])) == []


def test_what_can_hardly_be_meant(tmp_path: Path) -> None:
    assert keys(make_config(tmp_path)) == ["destinations"]
    nobody = make_config(tmp_path, udp=None, nodes=[], destinations=[FINE])
    assert keys(nobody) == ["udp", "nodes"]
    relative = make_config(tmp_path, store={"path": "feltpost.db"}, destinations=[FINE])
    assert keys(relative) == ["store.path"]
    open_metrics = make_config(tmp_path, metrics={"bind": "0.0.0.0"}, destinations=[FINE])
    assert keys(open_metrics) == ["metrics.bind"]


def test_destinations(tmp_path: Path) -> None:
    def with_keys(**more: Any) -> list[str]:
        return keys(make_config(tmp_path, destinations=[FINE, {**FINE, "name": "b", **more}]))

    login = {"username": "u", "password": "p", "client_id": "x"}
    assert with_keys(client_id="x", tls=True, port=1883) == ["destinations[1].port"]
    assert with_keys(client_id="x", port=8883) == ["destinations[1].tls"]
    assert with_keys(**login) == []
    assert with_keys(**login, host="mqtt.example") == ["destinations[1].tls"]
    assert with_keys(**login, host="mqtt.example", tls=True) == []
    filters = {"owners": ["favrskov", "silkeborg"], "sites": ["hal"], "nodes": ["node-01", "x"]}
    assert with_keys(filter=filters) == [
        "destinations[1].filter.owners",
        "destinations[1].filter.sites",
        "destinations[1].filter.nodes",
    ]
    accounts = [{"node": name, "username": "u", "password": "p"} for name in ("node-01", "x")]
    assert with_keys(client_id="{eui64}", accounts=accounts) == [
        "destinations[1].accounts[1].node",
        "destinations[1].accounts",
    ]


def test_positions_come_from_the_registry(run: Run, tmp_path: Path) -> None:
    config = make_config(tmp_path, destinations=[{**FINE, "format": "ngsi-ld"}])
    assert keys(config) == ["destinations[0].format"] * 2
    placed = config.nodes[0].model_copy(update={"latitude": 56.3, "longitude": 9.9})
    assert len(keys(config.model_copy(update={"nodes": (placed, config.nodes[1])}))) == 1

    async def scenario() -> None:
        async with running(config) as gateway:
            commands = Commands(
                gateway._registry, gateway._store, gateway._clock, gateway.retry_refused
            )
            place = {"mac": "02:00:00:00:00:01", "latitude": "56.3", "longitude": "9.9"}
            await commands.call("save-nodes", {"rows": [place]})

    run(scenario())
    (warning,) = find_warnings(config)
    assert "favrskov/skole/node-02 has no position" in str(warning.what)
