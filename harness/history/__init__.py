"""One append-only JSONL with everything that happened in a run, in one order, and its readers."""

from fakebroker.control_messages import Books
from harness.history.belief import Belief, BotRules
from harness.history.history import History
from harness.history.records import (
    Event,
    Exited,
    Fill,
    Killed,
    Life,
    OrderRecord,
    StateRead,
    WireMessage,
)

__all__ = [
    "Belief",
    "Books",
    "BotRules",
    "Event",
    "Exited",
    "Fill",
    "History",
    "Killed",
    "Life",
    "OrderRecord",
    "StateRead",
    "WireMessage",
]
