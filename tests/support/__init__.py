"""Real counterparts for tests: a broker, a subscriber, a node."""
