"""Which clock a bot is run by: the machine's, or one that the harness moves."""

from typing import Literal, Self

from pydantic import Field

from harness.errors import UserError
from harness.values import Value

SHAPE = "lockstep, faked, real or real:SPEED, for example real:60"
SPEED_LEAST, SPEED_MOST = 0.001, 100_000.0


class BotClock(Value):
    """How the bot's time and the market's go together.

    Attributes:
        kind: "lockstep": the market moves when the bot is quiet, the bot has the machine's clock,
            and its timers are not waited for. "faked": the same, and the bot sees a clock that
            the harness moves, so that its timers fire in the market's time. "real": the tape is
            played by the machine's clock.
        speed: in real time, how many seconds of the market pass in one of ours.
    """

    kind: Literal["lockstep", "faked", "real"] = "lockstep"
    speed: float = Field(default=1.0, ge=SPEED_LEAST, le=SPEED_MOST)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what stands behind `--clock`.

        Raises:
            UserError: it is no clock; the message shows those that there are.
        """
        kind, colon, speed = text.partition(":")
        if kind == "lockstep" and not colon:
            return cls(kind="lockstep")
        if kind == "faked" and not colon:
            return cls(kind="faked")
        if kind != "real":
            raise UserError(f"--clock {text!r}: there is no such clock; give {SHAPE}")
        try:
            times = float(speed) if colon else 1.0
        except ValueError as error:
            raise UserError(f"--clock {text!r}: {speed!r} is no number; give {SHAPE}") from error
        if not SPEED_LEAST <= times <= SPEED_MOST:
            raise UserError(
                f"--clock {text!r}: the speed must lie between {SPEED_LEAST:g} and {SPEED_MOST:g}"
            )
        return cls(kind="real", speed=times)

    def __str__(self) -> str:
        return f"real:{self.speed:g}" if self.kind == "real" and self.speed != 1 else self.kind
