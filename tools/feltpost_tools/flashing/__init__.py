"""Putting Feltpost on a board: application, configuration, key; and finding out that it works."""
