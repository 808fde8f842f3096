"""How a bot is launched, watched from outside and spoken of."""

from harness.targets.bot import BotSpec, Session
from harness.targets.process import Child, launch
from harness.targets.quiet import Gone, Halted, Held, Quieted, Watch

__all__ = ["BotSpec", "Child", "Gone", "Halted", "Held", "Quieted", "Session", "Watch", "launch"]
