"""When a bot that ends by itself has done right: its memory was harmed, and it says so.

A bot whose memory was damaged, or that cannot save, may refuse to trade. It does so loudly when it
ends with exit code 2 (a person has to mend something) or 3 (halted until a person has looked), and
with words. Exit code 1 is what an error that nobody handles ends with as well, so it counts only
where the bot could not save. A signal, an end without words, and exit code 0 are never loud.

What the harness noted decides, `harness/faults/storage.py` and `servers.py` have the events:

- `storage` between two lives excuses the next life, and those after it until one has become ready:
  one that was killed in its recovery has left the damage to its successor. Where it `blocks` every
  save, it does so for the next life alone. Where it came in a life, under a bot that ran (a Redis
  that is back and has lost something), it excuses that life, too.
- `outage` excuses every end until its `outage_over`, `call_fault` every later end of its life: the
  bot could not save.
"""

from harness.history import Event, History, Life

LOUD = frozenset({2, 3})
LOUD_WHEN_BLOCKED = LOUD | {1}


def halted_loudly(history: History, life: Life) -> bool:
    """Whether a life ended as a bot may end whose memory was harmed."""
    gone = life.exited
    if gone is None or not gone.last_words.strip():
        return False
    if blocked(history, life, before=gone.seq):
        return gone.code in LOUD_WHEN_BLOCKED
    ready = [each.ready_seq for each in history.lives if each.ready_seq is not None]
    since = max((seq for seq in ready if seq < life.first_seq), default=0)
    damages = [each for each in history.of_kind("storage") if since < each.seq < gone.seq]
    return bool(damages) and gone.code in LOUD


def blocked(history: History, life: Life, *, before: int) -> bool:
    """Whether a life could not save, as far as the history goes before a place in it."""
    past = [event for event in history.events if event.seq < before]
    return any(keeps_from_saving(history, event, life, before=before) for event in past)


def keeps_from_saving(history: History, event: Event, life: Life, *, before: int) -> bool:
    """Whether an event keeps a life from saving, up to a place in the history."""
    told = event.data
    match event.kind:
        case "storage":
            return told.get("blocks") is True and told.get("life") == life.number - 1
        case "call_fault":
            return told.get("life") == life.number
        case "outage":
            return not over(history, str(told.get("fault")), before=before)
        case _:
            return False


def over(history: History, fault: str, *, before: int) -> bool:
    """Whether an outage has ended before a place in the history."""
    ends = history.of_kind("outage_over")
    return any(event.seq < before and event.data.get("fault") == fault for event in ends)


def excused(history: History) -> frozenset[int]:
    """The places in the history of the ends that are loud halts."""
    ends = [life.exited for life in history.lives if halted_loudly(history, life)]
    return frozenset(gone.seq for gone in ends if gone is not None)
