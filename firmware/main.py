"""What the board starts after boot: the Feltpost application."""

from feltpost import app

app.run()
