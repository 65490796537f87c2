"""The ways to the nodes, each an aiocoap message interface: serial ports and UDP."""
