"""The node's serial link: its buffers come back to it, and the prompt stays within reach."""

from __future__ import annotations

from tests.fuzz.targets import node_slip


class NodeSerial(node_slip.NodeSlip):
    decoder = "serial"

    def check(self, data: bytes, said: str) -> None:
        """Which messages there is room for is the link's affair."""
