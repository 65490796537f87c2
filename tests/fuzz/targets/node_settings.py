"""A node's configuration as the tools check it, before a board gets it."""

from __future__ import annotations

import json
import random

from tests.fuzz import node_json
from tests.fuzz.target import Target

from feltpost_tools import boards
from feltpost_tools.errors import ConfigurationError
from feltpost_tools.flashing import configuration


class NodeSettings(Target):
    refusals = (ConfigurationError,)
    traced = ("feltpost_tools.flashing.configuration", "feltpost_tools.boards")
    tokens = node_json.TOKENS
    suffix = ".json"
    max_bytes = 4096
    executions = 150

    def generate(self, rng: random.Random) -> bytes:
        return node_json.generate(rng)

    def run(self, data: bytes) -> None:
        settings = configuration.parsed(data)
        if settings is None:
            raise ConfigurationError
        board = boards.load(boards.names()[len(data) % len(boards.names())])
        configuration.check(settings, board)
        assert configuration.diff(settings, settings) == []
        again = configuration.parsed(configuration.Settings(settings, {}).text.encode())
        assert json.dumps(again, sort_keys=True) == json.dumps(settings, sort_keys=True)
