"""A kill at a random moment, made exact: where the dart lands is a point that can be hit again.

From outside a process its state can change only by a system call. So the bot is let run for the
random time and is then held at its next call on its state or its sockets, or when it is quiet:
disk and wire are as they were at the moment, and the place has a name.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Dart:
    """When the dart is thrown.

    Attributes:
        step: after so many steps of the market, 0 right after the launch.
        seconds: so long after that step, on the wall's clock.
    """

    step: int
    seconds: float
