"""The errors of the bot, named by whose fault they are.

`TraderError` is what a person can mend: its text goes to stderr as it is and the exit code is
2. Everything else that escapes is a bug or a dying machine, and ends the process loudly.
"""


class TraderError(Exception):
    """Something the person who started the bot has to change; the text says what."""


class StateLockedError(TraderError):
    """Another bot holds the state folder."""


class StateVersionError(TraderError):
    """The stored state has a form that this bot does not know; nothing of it was changed."""


class StateTakenOverError(OSError):
    """Another bot writes the same state now; nothing may be sent by this one any more."""


class DamagedStateError(Exception):
    """One copy of the stored state cannot be believed; the text says which and why."""


class EngineHaltedError(Exception):
    """Nothing may be sent until a person has looked; the text says why and how to go on."""


class NotConnectedError(Exception):
    """The broker could not be reached, or went away in the middle of a question."""
