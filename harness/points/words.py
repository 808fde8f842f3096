"""How numbers are said: the 1st, the 2nd, the 11th."""


def ordinal(number: int) -> str:
    """Say a positive whole number as an ordinal, "2nd" for 2."""
    if number % 100 in {11, 12, 13}:
        return f"{number}th"
    return f"{number}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th') }"
