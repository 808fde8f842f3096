"""Holds a real process at an exact system call: seccomp user notification, no root, no ptrace."""
