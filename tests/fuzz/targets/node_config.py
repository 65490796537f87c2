"""A node's feltpost.json, read on MicroPython: refused, or a configuration with its problems."""

from __future__ import annotations

import random

from tests.fuzz import node_json
from tests.fuzz.micropython import NodeTarget


class NodeConfig(NodeTarget):
    decoder = "config"
    suffix = ".json"
    tokens = node_json.TOKENS
    max_bytes = 2048
    executions = 250

    def generate(self, rng: random.Random) -> bytes:
        return node_json.generate(rng)

    def ours(self, name: str, text: str) -> bool:
        return name == "ConfigError"

    def features(self, said: str) -> tuple[str, ...]:
        return tuple(said.split(" "))
