"""What can be made to go wrong between a node and a broker, on simulated and on real equipment."""
