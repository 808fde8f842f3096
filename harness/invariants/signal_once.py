"""I16: a signal is acted on once: no bar leads to two entries.

From the broker's books: an entry is sent in a later life although the market has not moved in its
symbol since an earlier life sent one that was filled or still works, for the same strategy and
side. Nothing new can have asked for it. An entry that never got anything may be sent again, and so
may what is left of one. A bot that tells the signals of its trades is judged by these, too, unless
its memory was harmed: it has to guess them then. One that does not know a signal tells none.
"""

from dataclasses import dataclass
from datetime import datetime

from harness.checks import Invariant, Needs
from harness.history import History, OrderRecord
from harness.history.records import ENTRY_LEG, EXIT_LEGS
from harness.invariants.harm import HARMS
from harness.invariants.ledger import Ledger, replay
from harness.result import Finding

NAME = "SignalOnce"
MARKET = ("bar", "tick")


@dataclass(frozen=True, slots=True)
class Entry:
    """An order that opens a position: when the market had last moved, and in which life."""

    order: OrderRecord
    market: int
    life: int


def check(history: History) -> list[Finding]:
    """Find second entries of one bar."""
    return [*entered_again(history), *told_twice(history)]


def entered_again(history: History) -> list[Finding]:
    """Entries of two lives between which the market did not move."""
    findings: list[Finding] = []
    entries: list[Entry] = []
    moved: dict[str, int] = {}
    orders = {order.seq: order for order in history.orders}
    for event, ledger in replay(history):
        if event.kind in MARKET:
            moved[str(event.data.get("symbol"))] = event.seq
        order = orders.get(event.seq)
        if order is None or order.perm_id in ledger.orders or not is_entry(order, ledger):
            continue
        new = Entry(order, market=moved.get(order.symbol, 0), life=ledger.life)
        twins = [old for old in entries if acts_again(old, new, ledger)]
        entries.append(new)
        findings += [finding(twin, new, ledger) for twin in twins[:1]]
    return findings


def is_entry(order: OrderRecord, ledger: Ledger) -> bool:
    """Whether a new order of the bot would open a position or make it larger."""
    if not order.by_bot or order.parent_perm_id is not None:
        return False
    if order.leg == ENTRY_LEG:
        return True
    held = ledger.position(order.symbol)
    reduces = (held > 0 and order.action == "SELL") or (held < 0 and order.action == "BUY")
    return order.leg not in EXIT_LEGS and not order.is_stop and not reduces


def acts_again(old: Entry, new: Entry, ledger: Ledger) -> bool:
    """Whether a new entry repeats what an older one asked for."""
    same = (
        old.order.symbol == new.order.symbol
        and old.order.action == new.order.action
        and old.market == new.market
        and old.life != new.life
        and strategy_of(old.order) == strategy_of(new.order)
    )
    if not same:
        return False
    now = ledger.orders.get(old.order.perm_id, old.order)
    # What was never released goes with the session that sent it, without a word.
    over = now.done or now.event == "lost" or not now.transmitted
    taken = now.filled if over else now.quantity
    return taken > 0 and taken + new.order.quantity > old.order.quantity


def strategy_of(order: OrderRecord) -> str:
    """The first part of an orderRef; empty for a bot without refs."""
    return order.order_ref.split("|")[0] if "|" in order.order_ref else ""


def finding(old: Entry, new: Entry, ledger: Ledger) -> Finding:
    """Say that a signal was acted on twice."""
    price = ledger.prices.get(new.order.symbol)
    return Finding(
        invariant=NAME,
        sentence=f"Life {new.life} acted again on a signal of life {old.life}: "
        f"{new.order.describe()} after {old.order.describe()}, and the market had not moved.",
        seqs=(old.order.seq, new.order.seq),
        at_risk=None if price is None else new.order.quantity * price,
    )


def told_twice(history: History) -> list[Finding]:
    """Two trades that the bot explains with the signal of one bar."""
    if any(history.of_kind(kind) for kind in HARMS):
        return []
    entered = {
        fill.order_ref.rpartition("|")[0] for fill in history.fills if fill.order_ref.count("|") > 1
    }
    for state in history.states:
        seen: dict[tuple[str, str, str, datetime], str] = {}
        for name, trade in sorted((state.belief.trades or {}).items()):
            if trade.signal_time is None or name not in entered:
                continue
            key = (trade.strategy, trade.symbol, trade.side, trade.signal_time)
            other = seen.setdefault(key, name)
            if other != name:
                words = f"The trades {other} and {name} follow one signal, of the bar at "
                words += f"{trade.signal_time.isoformat()}."
                return [Finding(invariant=NAME, sentence=words, seqs=(state.seq,))]
    return []


INVARIANT = Invariant(
    name=NAME,
    law="a signal is acted on once: no bar leads to two entries",
    needs=Needs.BOOKS,
    check=check,
)
