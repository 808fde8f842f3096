"""Broken traders, one bug a file. Each must be caught; see the canary in the gate."""
