"""Who may see a reading: the publication classes, and which class may go where."""

from enum import StrEnum


class Publication(StrEnum):
    """A metric's class: for everybody, for those whom the owner lets, or for the owner alone.

    Of a route, such as a destination, it is the most guarded class that it may carry.
    """

    OPEN = "open"
    INTERNAL = "internal"
    PRIVATE = "private"

    def may_carry(self, other: "Publication") -> bool:
        """Tell whether a route of this class may carry a reading of the class `other`."""
        return _GUARDED[other] <= _GUARDED[self]


_GUARDED = {Publication.OPEN: 0, Publication.INTERNAL: 1, Publication.PRIVATE: 2}
