"""An outside reader can read the bot's state at every instant, also at that of a kill.

The harness asks the bot's `state` command after each kill. A reader that fails, or that prints no
belief, is an event:

    unreadable   life, when ("after kill" or "end"), code (its exit code), words (its last line)

No reader has to understand a state that was damaged on purpose before the bot has dealt with it,
nor one whose server is down.
"""

from harness.checks import Invariant, Needs
from harness.history import Event, History
from harness.invariants.loud_halt import over
from harness.result import Finding

NAME = "CheckpointReadable"


def check(history: History) -> list[Finding]:
    """Find readings that failed."""
    return [
        Finding(
            invariant=NAME,
            sentence=f"The bot's state cannot be read {event.data.get('when')} of life "
            f"{event.data.get('life')}: its state command ended with exit code "
            f"{event.data.get('code')}: {event.data.get('words')}",
            seqs=(event.seq,),
        )
        for event in history.of_kind("unreadable")
        if not excused(history, event)
    ]


def excused(history: History, reading: Event) -> bool:
    """Whether the state is not the bot's work at this moment, or cannot be reached."""
    ready = [event.seq for event in history.of_kind("ready") if event.seq < reading.seq]
    since = max(ready, default=0)
    if any(since < event.seq < reading.seq for event in history.of_kind("storage")):
        return True
    return any(
        event.seq < reading.seq
        and not over(history, str(event.data.get("fault")), before=reading.seq)
        for event in history.of_kind("outage")
    )


INVARIANT = Invariant(
    name=NAME,
    law="an outside reader can read the bot's state at every instant",
    needs=Needs.BOOKS,
    check=check,
)
