"""Connects taps with a ledger: what a node was promised, what a message to the broker carries."""

from collections.abc import Callable

from feltpost_tools.faults.mqtt_packets import Published
from feltpost_tools.sim.board import Board
from feltpost_tools.sim.broker import numbers_of
from feltpost_tools.sim.gateway_process import Enrolled
from feltpost_tools.sim.ledger import Ledger
from feltpost_tools.sim.tap import Promise, Tap


def connect(board: Board, node: Enrolled, ledger: Ledger, now_us: Callable[[], int]) -> None:
    """Listen in on a board's links, which it must have, and enter what its node is promised."""

    def promised(promise: Promise) -> None:
        ledger.acknowledged(node.name, promise.journal, promise.first, promise.count)

    def answered() -> None:
        ledger.contact(node.name, now_us())

    board.tap = Tap(node.key_id, node.key, promised, answered)
    if board.air:
        board.air.tap = board.tap


def numbers_in(message: Published) -> tuple[str, int, list[int]]:
    """Return the node, the journal and the numbers that a message has readings of.

    One of another kind, such as the gateway's status, has none.
    """
    properties = dict(message.properties)
    if "seq" not in properties:
        return "", 0, []
    *_, node, _ = message.topic.split("/")
    return node, int(properties["journal"]), numbers_of(properties["seq"])
