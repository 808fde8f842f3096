"""What goes wrong beside the crash: files that are damaged, calls that fail, servers that stop."""
