"""Days of the exchange, and what was entered and earned on one of them."""

from datetime import date, datetime, time
from decimal import Decimal

from harness.history import Fill, History
from harness.history.records import root_of
from harness.points.quiet import NEW_YORK

OPEN = time(9, 30)


def day_of(moment: datetime) -> date:
    """The exchange's date of a moment."""
    return moment.astimezone(NEW_YORK).date()


def after_open(moment: datetime) -> bool:
    """Whether a moment is not before 09:30 of its day; a bot may begin to count there."""
    return moment.astimezone(NEW_YORK).time() >= OPEN


def entries_of(history: History) -> list[Fill]:
    """The first fill of each order of the bot that met a flat account, in order.

    An execution that is corrected enters nothing again, and one that is taken back never did.
    """
    found: dict[int, Fill] = {}
    for fill in history.fills:
        if fill.position_before != 0 or fill.client_id == 0 or fill.seq in history.corrections:
            continue
        if root_of(fill.exec_id) not in history.busted:
            found.setdefault(fill.perm_id, fill)
    return list(found.values())


def enlarging(history: History, day: date) -> int:
    """How many orders, by hand or of the bot, have made a position of a day larger or new."""
    return len(
        {
            fill.perm_id
            for fill in history.fills
            if day_of(fill.time) == day and fill.position_after * fill.signed_shares > 0
        }
    )


def profits(history: History, day: date | None, *, before: int) -> tuple[Decimal, Decimal]:
    """What the broker reports as earned before a place in the history.

    Args:
        history: the run.
        day: of fills on this day; None: of all.
        before: reports at this place or later do not count.

    Returns:
        dollars since midnight, and since 09:30.
    """
    fills = {fill.exec_id: fill for fill in history.fills}
    whole, session = Decimal(0), Decimal(0)
    for event in history.of_kind("commission"):
        fill = fills.get(str(event.data.get("exec_id")))
        told = event.data.get("realized_pnl")
        moment = event.time if fill is None else fill.time
        if told is None or event.seq >= before or (day is not None and day_of(moment) != day):
            continue
        whole += Decimal(str(told))
        session += Decimal(str(told)) if after_open(moment) else 0
    return whole, session
