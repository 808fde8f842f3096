"""`python -m harness` is the command `crashgate`."""

from harness.cli import main

main()
