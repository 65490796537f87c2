"""How readings look to a destination; one module for each format."""
