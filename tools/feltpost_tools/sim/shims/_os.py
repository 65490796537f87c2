"""The os module of a simulated board: the real one, without what a board's root does not show."""

import os as _real

_HIDDEN = ".shims"


def ilistdir(path=""):
    return (entry for entry in _real.ilistdir(path) if entry[0] != _HIDDEN)


def listdir(path=""):
    return [entry[0] for entry in ilistdir(path)]


def __getattr__(name):
    return getattr(_real, name)
