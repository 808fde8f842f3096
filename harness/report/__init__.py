"""What people read: a failure that teaches, and the table of a gate run."""
