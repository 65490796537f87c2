"""The short id of a node: what people read out from a label, on the phone or into a search."""


def short_id(eui64: bytes) -> str:
    """Return the last three bytes of the MAC address in hexadecimal: ``1A-2B-3C``.

    These tell a maker's chips apart; the bytes before them name the maker. They are the same in
    the MAC address of 48 bits and in the EUI-64 made of it (RFC 9039). Two chips with different
    makers' prefixes may share a short id, so that it finds a node but does not name one in data.
    """
    return eui64[-3:].hex("-").upper()
