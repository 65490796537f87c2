"""Which class a node's readings have, and what the forwarders are told when that changes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.gateway.conftest import make_config, running
from tests.gateway.operators import operate_beside

from feltpost_gateway.publication import Publication

Run = Callable[[Any], None]


def test_the_nodes_own_class_goes_before_the_metrics(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(make_config(tmp_path)) as gateway:
            registry = gateway._registry
            changes: list[None] = []
            registry.on_change(lambda: changes.append(None))
            first, second = (row.id for row in registry.nodes)

            def classes(*metrics: str) -> list[list[str]]:
                return [
                    [registry.publication_class(metric, node_id) for metric in metrics]
                    for node_id in (first, second)
                ]

            assert classes("co2", "co2.hall") == [["internal"] * 2] * 2
            await operate_beside(tmp_path, "publication", "set", "co2", "open")
            assert classes("co2", "co2.hall", "motion") == [["open", "open", "internal"]] * 2
            await operate_beside(
                tmp_path, "nodes", "edit", "node-02", "--set", "classes=*=private motion=open"
            )
            assert classes("co2", "co2.hall", "motion") == [
                ["open", "open", "internal"],
                ["private", "private", "open"],
            ]
            assert len(changes) == 2
            said = await operate_beside(tmp_path, "publication", "list")
            assert said.output == "co2=open\n02:00:00:00:00:02 node-02: *=private motion=open\n"
            assert registry.publication_class("co2", 99) is Publication.PRIVATE
            assert registry.describe(99) is None

    run(scenario())


def test_the_file_can_say_classes(run: Run, tmp_path: Path) -> None:
    config = make_config(tmp_path)
    node = config.nodes[0].model_copy(update={"classes": {"co2": Publication.OPEN}})

    async def scenario() -> None:
        async with running(config.model_copy(update={"nodes": (node,)})) as gateway:
            (row,) = gateway._registry.nodes
            assert gateway._registry.publication_class("co2", row.id) is Publication.OPEN

    run(scenario())


def test_owners(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(make_config(tmp_path)):
            said = await operate_beside(
                tmp_path, "owners", "set", "favrskov", "--email", "nobody", status=1
            )
            assert said.output == "column email: is not an e-mail address\n"
            await operate_beside(
                tmp_path, "owners", "set", "favrskov", "--title", "Favrskov Kommune"
            )
            said = await operate_beside(
                tmp_path, "owners", "set", "favrskov", "--email", "data@example.dk"
            )
            assert "title: Favrskov Kommune\n" in said.output
            assert "licence: https://creativecommons.org/publicdomain/zero/1.0/\n" in said.output
            assert "data@example.dk" in (await operate_beside(tmp_path, "owners", "list")).output
            await operate_beside(tmp_path, "owners", "remove", "favrskov")
            said = await operate_beside(tmp_path, "owners", "remove", "favrskov", status=1)
            assert said.output == "there is no owner favrskov\n"

    run(scenario())
