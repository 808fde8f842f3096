"""What the broker costs, measured (`make bench-broker`)."""
