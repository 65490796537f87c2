"""Hardware in the loop: the pytest plugin that runs the same tests on simulated and real boards."""
