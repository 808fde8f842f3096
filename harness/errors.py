"""The two ways in which the harness itself gives up; a wrong bot is neither, it is a Finding.

The type says whose fault it is: `UserError` the user's (a file that is not there, a token that no
longer fits), `HarnessError` ours or the machine's. Both carry words for a person.
"""


class UserError(Exception):
    """Something that the user gave cannot be used. The message says what, and what to do.

    The command line prints it on stderr and ends with exit code 2, without a traceback.
    """


class HarnessError(Exception):
    """The harness could not do its own work, so the run proves nothing: INCONCLUSIVE."""


class QuietTimeoutError(HarnessError):
    """The bot did not go quiet before the deadline; the message says what it was seen doing."""
