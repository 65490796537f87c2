"""pytest-feltpost itself: which tests run on which boards, and what its reports say."""

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from feltpost_tools.hil import lock
from feltpost_tools.hil.lock import BoardLock

pytest_plugins = ["pytester"]

GUIDE = Path(__file__).parents[2] / "docs" / "hardware-in-the-loop.md"
INVENTORY = """
[boards.bench-1]
port = "{port}"
[boards.bench-1.wiring]
i2c = [{{ id = 0, scl = 22, sda = 21 }}]
sensors = [{{ driver = "bme280", bus = 0, channels = {{ temperature = "temperature" }} }}]
"""
TWO_TESTS = """
def test_first(board):
    pass

def test_second(board):
    pass
"""


@pytest.fixture
def bench(pytester, monkeypatch):
    """Return a function that runs the plugin on tests; bench-1 is at a port that is not there."""
    monkeypatch.setattr(lock, "_LOCKS", pytester.path)
    port = pytester.path / "tty"
    (pytester.path / "hil.toml").write_text(INVENTORY.format(port=port))

    def run(tests, *arguments, run=pytester.runpytest):
        pytester.makepyfile(tests)
        return run("-rs", *arguments)

    run.port = port
    return run


def test_it_is_registered(pytester):
    assert pytester.runpytest("--help").stdout.str().count("--board-wait") == 1
    pytester.runpytest("--markers").stdout.fnmatch_lines(["@pytest.mark.needs(what, …)*"])


def test_every_test_on_every_board(bench):
    result = bench(TWO_TESTS, "--collect-only", "-q", "--board", "bench-1", "--board", "sim-wifi")
    found = [line.partition("::")[2] for line in result.outlines if "::" in line]
    assert found == [
        *("test_first[bench-1]", "test_first[sim-wifi]"),
        *("test_second[bench-1]", "test_second[sim-wifi]"),
    ]


def test_the_simulated_board_is_the_default(bench):
    result = bench(TWO_TESTS, "--collect-only", "-q")
    assert "::test_first[sim]" in result.stdout.str()


def test_a_fixture_of_the_tests_own_is_theirs(bench):
    result = bench(
        """
        import pytest

        @pytest.fixture(params=["red", "blue"])
        def board(request):
            return request.param

        def test_colour(board):
            assert board in ("red", "blue")
        """,
        *("--board", "bench-1"),
    )
    result.assert_outcomes(passed=2)


def test_what_a_board_lacks_is_the_reason(bench):
    result = bench(
        """
        import pytest

        @pytest.mark.needs("bme280", "scd41")
        def test_air(board):
            pass

        @pytest.mark.needs("power")
        def test_power(board):
            pass
        """,
        *("--board", "bench-1"),
    )
    result.assert_outcomes(skipped=2)
    result.stdout.fnmatch_lines_random(
        [
            "SKIPPED*board 'bench-1' has no scd41; wired: bme280; else: serial",
            "SKIPPED*board 'bench-1' has no power; wired: bme280; else: serial",
        ]
    )


def test_a_broken_board_skips_the_rest_of_its_tests(bench):
    result = bench(TWO_TESTS, "--board", "bench-1")
    result.assert_outcomes(errors=1, skipped=1)
    result.stdout.fnmatch_lines_random(
        [
            f"{bench.port}: There is no such port. Plug the board in;*",
            "SKIPPED*board 'bench-1' can't be used since test_first*: *There is no such port*",
        ]
    )
    assert "Traceback" not in result.stdout.str()


def test_a_board_of_another_run_is_waited_for_and_then_left(bench):
    other = BoardLock(str(bench.port))
    other.take("anna on bench, process 7", wait_s=0)
    try:
        result = bench(TWO_TESTS, "--board", "bench-1", "--board-wait", "0.1")
    finally:
        other.release()
    result.assert_outcomes(errors=1, skipped=1)
    result.stdout.fnmatch_lines(["*in use by anna on bench, process 7*--board-wait*"])


def test_a_site_that_leads_elsewhere_is_told(bench, pytester):
    (pytester.path / "site.toml").write_text(
        '[[links]]\nkind = "udp"\nhost = "192.0.2.1"\nssid = "bench"\n'
    )
    with (pytester.path / "hil.toml").open("r+") as file:
        text = file.read().replace("[boards.bench-1.w", 'site = "site.toml"\n[boards.bench-1.w')
        file.seek(0)
        file.write(text)
    result = bench(TWO_TESTS, "--board", "bench-1")
    result.assert_outcomes(errors=1, skipped=1)
    result.stdout.fnmatch_lines(["board bench-1: 192.0.2.1 port 5683,*It must be this computer*"])


def test_mistakes_are_told_before_any_test_runs(bench):
    result = bench(TWO_TESTS, "--board", "bench-2")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*no such board; known are sim, sim-wifi, bench-1*"])
    result = bench(TWO_TESTS, "--board", "bench-1", "-n2", "--dist=load")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--dist=loadgroup*"])


@pytest.mark.timeout(300)
def test_reports(bench, pytester):
    """On a simulated board: who it was is in every test's properties, what it said is kept in a
    file and shown where a test failed, and a board that stops to answer is not asked again."""
    result = bench(
        """
        from feltpost_tools.errors import NoAnswer

        def test_good(board):
            assert board.execute("print('here I am')") == "here I am\\n"

        def test_bad(board):
            raise NoAnswer("tty", "The board says nothing.", "Press RESET.")

        def test_after(board):
            pass
        """,
        *("--junitxml", "report.xml", "--board-logs", "logs"),
        # Some of what the simulation imports can't be imported twice, as pytester would have it.
        run=pytester.runpytest_subprocess,
    )
    result.assert_outcomes(passed=1, failed=1, skipped=1)
    result.stdout.fnmatch_lines(
        ["*console of sim (call)*", "*Z feltpost * 0 readings in it, 4 sensors"]
    )
    result.stdout.fnmatch_lines(
        ["SKIPPED*test_reports.py*can't be used since test_bad*The board says nothing*"]
    )
    report = ElementTree.parse(pytester.path / "report.xml")
    good, bad, after = (
        {each.get("name"): each.get("value") for each in case.iter("property")}
        for case in report.iter("testcase")
    )
    assert good["board"] == "sim"
    assert good["board.chip"] == "ESP32 (simulated)"
    assert good["board.eui64"] == "020046fffe500101"
    assert good["board.micropython"].count(".") == 2
    assert len(good["board.firmware-digest"]) == 8
    assert good["board.log"] != bad["board.log"]
    assert "board.log" not in after
    assert "journal" in Path(bad["board.log"]).read_text()


@pytest.mark.timeout(300)
def test_the_guides_example_passes(bench, pytester):
    (example,) = re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    boards = ["--board", "sim", "--board", "sim-wifi"]
    result = bench(example, *boards, run=pytester.runpytest_subprocess)
    result.assert_outcomes(passed=2)
