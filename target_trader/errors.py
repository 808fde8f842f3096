"""The errors of the bot, named by whose fault they are.

`TraderError` is what a person can mend: its text goes to stderr as it is and the exit code is
2. Everything else that escapes is a bug or a dying machine, and ends the process loudly.
"""


class TraderError(Exception):
    """Something the person who started the bot has to change; the text says what."""


class StateLockedError(TraderError):
    """Another bot holds the state folder."""


class DamagedStateError(Exception):
    """One copy of the stored state cannot be believed; the text says which and why."""


class NotConnectedError(Exception):
    """The broker could not be reached, or went away in the middle of a question."""
