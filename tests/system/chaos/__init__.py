"""Chaos: whole runs in which faults of every kind are injected, decided from a seed."""
