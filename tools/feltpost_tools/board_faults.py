"""What `boards.check` can find wrong with a configuration: how bad, and in which words."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum, unique
from typing import Self

from feltpost_tools.language import _, marked


class Severity(StrEnum):
    """Whether a configuration must not be flashed, or needs a second look."""

    ERROR = "error"
    WARNING = "warning"


@unique
class Fault(Enum):
    """What can be wrong: how bad it is, what to say, and what to do about it.

    Every text that `check` can produce is here, as a template, for `_` to translate.
    """

    NOT_A_PIN = (
        Severity.ERROR,
        marked("must be the number of a GPIO, is {value!r}"),
        marked("write the number that the pin table gives it, without quotes"),
    )
    NO_I2C = (
        Severity.ERROR,
        marked("the chip has no I2C bus {id}"),
        marked("use one of {ids}"),
    )
    NO_UART = (
        Severity.ERROR,
        marked("the chip has no UART {id} for sensors"),
        marked("use one of {ids}"),
    )
    ABSENT = (
        Severity.ERROR,
        marked("the board has no GPIO {gpio} on its headers"),
        marked("use another pin ({free})"),
    )
    TWICE = (
        Severity.ERROR,
        marked("GPIO {gpio} is already used by {other}"),
        marked("use another pin ({free})"),
    )
    FLASH = (
        Severity.ERROR,
        marked(
            "GPIO {gpio} (pin {label}) belongs to the flash, and the board crashes when it is used"
        ),
        marked("use another pin ({free})"),
    )
    CONSOLE = (
        Severity.ERROR,
        marked("GPIO {gpio} (pin {label}) carries the console, by which the board is reached"),
        marked("use another pin ({free})"),
    )
    INPUT_ONLY = (
        Severity.ERROR,
        marked("GPIO {gpio} (pin {label}) can only be read, and this use has to drive it"),
        marked("use another pin ({free})"),
    )
    NO_PULL = (
        Severity.ERROR,
        marked(
            "GPIO {gpio} (pin {label}) has no pull-up or pull-down, and without one this use "
            "counts disturbances"
        ),
        marked("use another pin ({free})"),
    )
    STRAPPED_LOW = (
        Severity.ERROR,
        marked(
            "GPIO {gpio} (pin {label}) must be low at reset for the board to start or to be "
            "flashed, and this line rests high"
        ),
        marked("use another pin ({free})"),
    )
    NO_ADC = (
        Severity.ERROR,
        marked("GPIO {gpio} (pin {label}) can't measure a voltage"),
        marked("use another pin ({free})"),
    )
    ADC_BROKEN = (
        Severity.ERROR,
        marked(
            "GPIO {gpio} (pin {label}) is on {adc}, which gives no reliable readings on this chip"
        ),
        marked("use another pin ({free})"),
    )
    ADC_WIFI = (
        Severity.ERROR,
        marked("GPIO {gpio} (pin {label}) is on {adc}, which Wi-Fi uses while it is on"),
        marked("use another pin ({free}), or links without Wi-Fi"),
    )
    STRAPPING = (
        Severity.WARNING,
        marked("GPIO {gpio} (pin {label}) is looked at on reset and decides how the board starts"),
        marked(
            "use another pin ({free}), or see to it that what is connected leaves it alone on reset"
        ),
    )
    STRAPPED = (
        Severity.WARNING,
        marked(
            "GPIO {gpio} (pin {label}) must be {level} at reset for the board to start or to be "
            "flashed"
        ),
        marked("use another pin ({free}), or see to it that it is {level} on reset"),
    )
    PSRAM = (
        Severity.WARNING,
        marked(
            "GPIO {gpio} (pin {label}) belongs to flash or PSRAM in some of the modules that the "
            "board is sold with"
        ),
        marked("use another pin ({free}), or make sure that the module leaves it free"),
    )
    USB = (
        Severity.WARNING,
        marked("GPIO {gpio} (pin {label}) belongs to the chip's USB, which this use turns off"),
        marked("use another pin ({free}), or do without the chip's USB"),
    )
    LED = (
        Severity.WARNING,
        marked("GPIO {gpio} (pin {label}) is wired to the board's LED"),
        marked("use another pin ({free})"),
    )


@dataclass(frozen=True)
class Problem:
    """Something in a configuration that does not fit the board.

    key: where in the configuration. what and remedy: sentences without capital and full stop.
    """

    board: str
    key: str
    fault: Fault
    what: str
    remedy: str

    @classmethod
    def of(cls, board: str, key: str, fault: Fault, **fields: object) -> Self:
        """Return a problem whose texts are the fault's, in the language in use, filled in."""
        _severity, what, remedy = fault.value
        return cls(board, key, fault, _(what).format(**fields), _(remedy).format(**fields))

    @property
    def severity(self) -> Severity:
        """Return whether this forbids flashing."""
        return self.fault.value[0]

    def __str__(self) -> str:
        """Return the whole message, on one line."""
        return f"{self.board}: {self.key}: {self.what}; {self.remedy}"
