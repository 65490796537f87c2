"""Labels for nodes: what is on them, the sheets and rolls they come on, and PDF and PNG files."""
