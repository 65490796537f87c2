"""What the board starts after boot: the Feltpost application, from the slot that is current.

A slot is a folder of /slots that holds a whole application. It has a file `complete` once every
other file in it has been read back and compared. Where /current can't be read, or names no such
slot, any other one is better than none.
"""

import os


def enter_slot():
    """Make the slot the working directory; without one it stays at the top.

    Modules are looked for there first, and their paths, each of which is kept on the heap, stay as
    short as if they lay at the top.
    """
    names = []
    try:
        names += os.listdir("/slots")
        with open("/current") as file:
            names.insert(0, file.read())
    except (OSError, ValueError):
        # One of them is not there or is damaged.
        pass
    for name in names:
        try:
            os.chdir("/slots/" + name)
            os.stat("complete")
            return
        except OSError:
            os.chdir("/")


enter_slot()
try:
    from feltpost import app

    app.run()
finally:
    # Whoever comes to the prompt expects to be at the top.
    os.chdir("/")
