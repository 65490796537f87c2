"""Templates of MQTT topics and client ids: checked when loaded, filled in when used.

Names come from people. What MQTT would take for a level or a wildcard in one is written as in a
URL (`%2F` for `/`), so no name can lead a reading to another topic, and no two names meet.
"""

import re
from collections.abc import Mapping

_FIELD = re.compile(r"\{([^{}]*)\}")
_UNSAFE = re.compile(r"[%/+#$\x00-\x1f\x7f-\x9f]")
_TOPIC_MAX_BYTES = 65_535


def fields_of(template: str) -> frozenset[str]:
    """Return the names in braces."""
    return frozenset(_FIELD.findall(template))


def check_template(template: str, allowed: tuple[str, ...]) -> None:
    """Raise `ValueError` for a field that is not allowed, a stray brace, or an empty template."""
    rest = _FIELD.sub("", template)
    if fields_of(template) - set(allowed) or "{" in rest or "}" in rest:
        *names, last = (f"{{{name}}}" for name in allowed)
        raise ValueError(f"has a field other than {', '.join(names)} and {last}")
    if not template or not rest.isprintable():
        raise ValueError("is empty or has control characters")


def check_topic(template: str, allowed: tuple[str, ...]) -> None:
    """Raise `ValueError` where nothing could be published to what `template` gives."""
    check_template(template, allowed)
    if "+" in template or "#" in template or len(template.encode()) > _TOPIC_MAX_BYTES // 2:
        raise ValueError("is not a topic that can be published to (no +, no #, not too long)")


def fill(template: str, values: Mapping[str, str]) -> str:
    """Return `template` with its fields filled in."""
    return _FIELD.sub(lambda match: _UNSAFE.sub(_escaped, values[match[1]]), template)


def _escaped(match: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in match[0].encode())
