"""The lines of a history file."""


def lines_of(text: str) -> list[str]:
    """Part a history into its lines, the last of which may be cut off.

    Only a newline ends one. What a bot has printed may hold other separators of Unicode, and JSON
    lets them stand.
    """
    *lines, rest = text.split("\n")
    return [*lines, rest] if rest else lines
