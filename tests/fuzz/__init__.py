"""Fuzzing of every decoder that faces a wire or a file of somebody else's (docs/fuzzing.md)."""
