"""Feltpost's node: samples sensors, keeps the readings in custody, delivers them to a gateway."""

VERSION = "0.1.0"
