"""`python -m fakebroker`: a paper account without a network."""

from fakebroker.command_line import main

if __name__ == "__main__":
    main()
