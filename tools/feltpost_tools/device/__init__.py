"""Boards on a cable: which there are, what they are doing, their prompt and their ROM's loader."""
