"""The order of the tests, when several processes share them.

Each begins with a part of the list, one after the other, and when it is through takes over from
what others have left. A long test that is left to the end runs while nothing else does.
"""

from collections.abc import Sequence

import pytest

# The files with the longest tests, by the process that begins with them. The first two rows mostly
# wait, and keep a processor busy only together with what other processes do: none of a row runs
# beside another.
_FIRST = (
    ("test_chaos.py",),
    ("test_flash_options.py", "test_hil_on_a_port.py", "test_flash.py"),
    ("test_long_outage.py",),
)


def long_ones_first(items: Sequence[pytest.Item], processes: int) -> list[pytest.Item]:
    """Return the tests so that, shared out in equal parts, the longest are at the parts' heads."""
    parts = min(processes, len(_FIRST))
    heads: list[list[pytest.Item]] = [[] for _ in range(parts)]
    rest = []
    for item in items:
        for number, names in enumerate(_FIRST[:parts]):
            if item.path.name in names:
                heads[number].append(item)
                break
        else:
            rest.append(item)
    ordered: list[pytest.Item] = []
    for number, head in enumerate(heads):
        missing = max(0, len(items) * number // processes - len(ordered))
        ordered += rest[:missing] + head
        rest = rest[missing:]
    return ordered + rest
