"""Making nodes known to their gateway: on the gateway itself, over the network, or by a file."""
