"""Slots on a board: main.py starts the right one, and no power cut leaves a board without one."""

# MicroPython has no pathlib.
# ruff: noqa: PTH102, PTH109, PTH123, PTH208

import os
import sys

import check
import nor_flash
import vfs
from nor_flash import Nor
from scripts import slots

BLOCK_BYTES = 512
BLOCKS = 64

APP = "import ran\n\ndef run():\n    ran.append({!r})\n"
COUNT = 1

with open(slots.__file__.replace("scripts/slots.py", "main.py")) as _file:
    MAIN = _file.read()
OTHER_MAIN = MAIN + "\n# Of another release.\n"
OLD_MAIN = "from feltpost import app\n\napp.run()\n"

# The names of the applications that ran, which import it.
ran = sys.modules["ran"] = []


def power_on(device):
    vfs.mount(vfs.VfsLfs2(device, readsize=16, progsize=16, lookahead=16), "/")


def power_off():
    os.chdir("/")
    vfs.umount("/")


def blank():
    """Return the device of a new file system, which is mounted."""
    device = Nor(BLOCKS, BLOCK_BYTES)
    vfs.VfsLfs2.mkfs(device, readsize=16, progsize=16, lookahead=16)
    power_on(device)
    return device


def write(path, text):
    folder = ""
    for name in path.split("/")[1:-1]:
        if name not in os.listdir(folder or "/"):
            os.mkdir(folder + "/" + name)
        folder += "/" + name
    with open(path, "w") as file:
        file.write(text)


def application(name, folder):
    write(folder + "/feltpost/__init__.py", "")
    write(folder + "/feltpost/app.py", APP.format(name))
    for i in range(COUNT):
        write(f"{folder}/feltpost/other{i}.py", "#" * 100)


def slot(name):
    application(name, "/slots/" + name)


def complete(name):
    write(f"/slots/{name}/complete", "")


def start():
    """Run main.py as a board does; return the name of the application that ran."""
    for name in [name for name in sys.modules if name.startswith("feltpost")]:
        del sys.modules[name]
    del ran[:]
    with open("/main.py") as file:
        source = file.read()
    exec(source, {"__name__": "__main__"})
    check.equal(os.getcwd(), "/")
    return ran[0]


def started(current, *names):
    """Return which application a board with those complete slots starts."""
    blank()
    write("/main.py", MAIN)
    for name in names:
        slot(name)
        complete(name)
    slot("part")
    if current is not None:
        with open("/current", "wb") as file:
            file.write(current)
    try:
        return start()
    except ImportError:
        return None
    finally:
        power_off()


def test_the_current_slot_is_started():
    check.equal(started(b"one", "one", "two"), "one")
    check.equal(started(b"two", "one", "two"), "two")


def test_any_complete_slot_is_better_than_none():
    for damaged in (None, b"", b"gone", b"part", b"\0one", b"\0\0\0", b"\xff\xfe\xfd", b".", b".."):
        check.equal(started(damaged, "one"), "one", damaged)
        check.equal(started(damaged), None, damaged)


def test_after_a_failure_the_prompt_is_at_the_top():
    blank()
    write("/main.py", MAIN)
    write("/slots/one/feltpost/__init__.py", "")
    write("/slots/one/feltpost/app.py", "def run():\n    raise KeyboardInterrupt\n")
    complete("one")
    check.raises(KeyboardInterrupt, start)
    check.equal(os.getcwd(), "/")


def cut_everywhere(prepare, change, before):
    """Cut the power at each write and erase of a change, in one way after the other.

    The application that ran before or the new one must run then, and the change be finished by
    being made again.
    """
    image = blank().image
    prepare()
    power_off()
    # Two chips for good: the heap would not take a new one each time.
    chip, after = Nor(BLOCKS, BLOCK_BYTES), Nor(BLOCKS, BLOCK_BYTES)
    seen = set()
    operation = 1
    while cut_at(chip, after, image, change, operation):
        power_on(after)
        name = start()
        assert name in (before, "new"), (operation, name)
        seen.add(name)
        for name in os.listdir("/slots"):
            if "complete" in os.listdir("/slots/" + name):
                check.equal(len(os.listdir(f"/slots/{name}/feltpost")), 2 + COUNT, name)
        change()
        check.equal(start(), "new")
        check.equal(os.listdir("/slots"), ["new"])
        assert "feltpost" not in os.listdir("/")
        power_off()
        operation += 1
    assert operation > 20, operation
    return seen


def cut_at(chip, after, image, change, operation):
    """Let `after` be what a change leaves that is cut short; return False where it is whole."""
    chip.image[:] = image
    left = [operation]

    def watch(start, data):
        # The change goes on, on a chip that nobody looks at: to end it here would leave open files
        # to the collector, which has no heap to write them.
        left[0] -= 1
        if left[0] == 0:
            after.image[:] = chip.image
            after.tear(start, data, nor_flash.MODES[operation % len(nor_flash.MODES)])

    power_on(chip)
    chip.watch = watch
    change()
    chip.watch = None
    power_off()
    return left[0] <= 0


def put_in_use():
    slots.use("new", OTHER_MAIN)
    slots.clear("new")


def test_no_cut_while_a_slot_is_put_in_use_leaves_a_board_without():
    def prepare():
        write("/main.py", MAIN)
        slot("old")
        complete("old")
        write("/current", "old")
        slot("new")

    check.equal(cut_everywhere(prepare, put_in_use, "old"), {"old", "new"})


def test_no_cut_on_the_way_from_the_former_layout_leaves_a_board_without():
    def prepare():
        write("/main.py", OLD_MAIN)
        application("former", "")
        slot("new")

    check.equal(cut_everywhere(prepare, put_in_use, "former"), {"former", "new"})


def test_room_is_made_without_the_slot_that_is_in_use():
    def prepare():
        write("/main.py", MAIN)
        slot("old")
        complete("old")
        write("/current", "old")
        slot("stale")
        complete("stale")
        slot("new")
        write("/slots/new/feltpost/app.mpy", "torn")

    def change():
        names = ["__init__.py", "app.py", "other0.py"]
        slots.make_room("new", ["feltpost/" + name for name in names])
        check.equal(sorted(os.listdir("/slots/new/feltpost")), names)
        assert "stale" not in os.listdir("/slots")
        put_in_use()

    check.equal(cut_everywhere(prepare, change, "old"), {"old", "new"})


def test_no_slot_is_removed_while_none_is_known_to_be_in_use():
    for damaged in ("", "gone", "\0", "new"):
        blank()
        slot("old")
        complete("old")
        slot("new")
        write("/current", damaged)
        slots.make_room("new", [])
        check.equal(sorted(os.listdir("/slots")), ["new", "old"])
        check.equal(len(os.listdir("/slots/old/feltpost")), 2 + COUNT)
        check.equal(os.listdir("/slots/new/feltpost"), [])
        power_off()


def test_a_complete_slot_is_not_touched():
    blank()
    slot("old")
    complete("old")
    slots.make_room("old", [])
    check.equal(len(os.listdir("/slots/old/feltpost")), 2 + COUNT)
    power_off()


def test_a_survey_tells_what_is_there():
    blank()
    slot("one")
    complete("one")
    write("/slots/two/feltpost/app.mpy", "abc")
    write("/current", "one")
    write("/feltpost.json", "{}")
    told = []
    slots.tell = lambda *values: told.append(values)
    slots.survey(["two"])
    power_off()
    found = {values[:-1]: values[-1] for values in told}
    check.equal(found[("current",)], "one")
    check.equal(found[("main",)], b"")
    check.equal(found[("configuration",)], b"{}")
    check.equal(found[("slot", "one")], True)
    check.equal(found[("slot", "two")], False)
    # FIPS 180-2, appendix B.1.
    check.equal(found[("file", "two", "feltpost/app.mpy")][:4], b"\xba\x78\x16\xbf")
    check.equal(len([values for values in told if values[0] == "file"]), 1)


# From here on nothing is found but on the board.
vfs.umount("/")
sys.path[:] = [""]

if __name__ == "__main__":
    check.main(globals())
