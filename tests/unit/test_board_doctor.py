"""What boards say at start, and what the doctor makes of what was found out."""

from dataclasses import replace

import pytest

from feltpost_tools import board_doctor
from feltpost_tools.device.console import Said
from feltpost_tools.device.state import BoardState, Doing
from feltpost_tools.errors import PortUnavailable

WELL = BoardState(
    port="/dev/ttyUSB0",
    doing=Doing.APPLICATION,
    chip="ESP32-C3",
    mac=bytes(6),
    micropython=(1, 26, 1),
    feltpost="0.1.0",
    key_id=b"\x01",
    has_key=True,
    has_journal=True,
)

# Read off boards: an ESP32 with a weak supply, a blank ESP32-C3, an ESP32-S3 at its prompt.
BROWN_OUT = (
    "Brownout detector was triggered\n\nets Jul 29 2019 12:21:46\n\n"
    "rst:0xc (SW_CPU_RESET),boot:0x13 (SPI_FAST_FLASH_BOOT)\n"
)
BROWN_OUT_C3 = "E BOD: Brownout detector was triggered\nESP-ROM:esp32c3-api1-20210207\nrst:0x3\n"
BLANK_C3 = "ESP-ROM:esp32c3-api1-20210207\nrst:0x7 (TG0WDT_SYS_RST)\ninvalid header: 0xffffffff\n"
S3 = "MicroPython v1.27.0-preview.12.gab on 2025-11-22; Generic ESP32S3 module with ESP32S3\n>>>"


def said(unasked="", answer="", frames=0, prompt=False):
    return Said(unasked, answer, frames, prompt)


def test_starts_and_brown_outs_are_counted():
    assert (said(BROWN_OUT * 2).starts, said(BROWN_OUT * 2).brown_outs) == (2, 2)
    assert said(BROWN_OUT_C3).brown_outs == 1
    assert said(BLANK_C3, BLANK_C3).starts > 1


def test_the_banner_tells_version_and_machine():
    at_prompt = said("", f"MicroPython v1.9.4 on x; y\n{S3}", prompt=True)
    assert at_prompt.micropython == (1, 27, 0)
    assert at_prompt.machine == "Generic ESP32S3 module with ESP32S3"
    assert said().micropython is None and said().machine is None


@pytest.mark.parametrize(
    ("text", "unreadable"),
    [("", False), ("Temperatur: 21 °C\r\n", False), ("\ufffd\x03~\ufffd\x00rs", True)],
)
def test_a_wrong_speed_is_recognised(text, unreadable):
    assert said(text).unreadable is unreadable


def test_only_the_last_word_makes_a_loader():
    assert said("boot:0x3\nwaiting for download\n").in_loader
    assert not said("waiting for download\nMicroPython").in_loader


def test_a_board_that_is_well_has_no_finding():
    assert board_doctor.of_state(WELL) == []


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"brown_outs": 1}, "voltage"),
        ({"chip": "ESP8266"}, "ESP8266"),
        ({"micropython": (1, 24, 1)}, "1.24.1"),
        ({"feltpost": None}, "no Feltpost"),
        ({"has_key": False}, "no key"),
        ({"key_id": b""}, "no key"),
        ({"configuration_fault": "feltpost.json: can't be read"}, "can't be read"),
        ({"left_out": ("sensors[0]: no such driver",)}, "no such driver"),
        ({"has_journal": False}, "partition for the journal"),
        ({"safe_mode": True}, "safe mode"),
        ({"crash": "Traceback\n  File\nOSError: 5"}, "OSError: 5"),
        ({"doing": Doing.LOADER}, "loader"),
        ({"doing": Doing.UNREADABLE}, "no text"),
        ({"doing": Doing.SILENT}, "says nothing"),
        ({"doing": Doing.OTHER, "heard": "one\ntwo"}, "two"),
        ({"doing": Doing.BOOT_LOOP, "heard": "rst:0x7\ninvalid header: 0xffffffff"}, "nothing in"),
        ({"doing": Doing.BOOT_LOOP, "heard": "csum err:0x00!=0xef"}, "csum err"),
    ],
)
def test_each_fault_is_one_finding(change, word):
    findings = board_doctor.of_state(replace(WELL, **change))
    assert len(findings) == 1
    assert word in findings[0].seen
    assert findings[0].means and findings[0].advice


def test_a_silent_board_is_not_said_to_lack_what_nobody_could_see():
    silent = BoardState(port="x", doing=Doing.SILENT)
    assert [finding.seen for finding in board_doctor.of_state(silent)] == [
        "The board says nothing and does not answer."
    ]


def test_no_port_and_a_port_that_can_not_be_used():
    assert "cable" in board_doctor.of_no_port().advice
    error = PortUnavailable("x", "It is in use by screen (process 7).", "End it.")
    finding = board_doctor.of_error(error)
    assert (finding.seen, finding.advice) == (error.happened, error.advice)
