"""Fills are booked once; positions, counters and money are folds over what is booked.

Nothing is ever added to a quantity. Every booking folds all executions of a trade again (a
handful), so that a repeat changes nothing and a correction (same execId stem, higher last part,
tws-protocol.md section 3.5) replaces what it corrects. Knows no broker and no store.
"""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal

from target_trader.clock import exchange_day
from target_trader.names import IntentState, Leg, exec_revision, exec_stem, parse_ref
from target_trader.picture import BrokerExecution
from target_trader.state.checkpoint import (
    BookedExecution,
    Checkpoint,
    Intent,
    PartialRecord,
    Position,
)

ZERO = Decimal(0)


def book(checkpoint: Checkpoint, fill: BrokerExecution) -> bool:
    """Book one execution; tell whether the books have changed.

    The position, the intent, the counters and the P&L follow in the same call, so that one save
    makes all of it durable or none.
    """
    stem = exec_stem(fill.exec_id)
    known = checkpoint.executions.get(stem)
    if known is not None and exec_revision(fill.exec_id) < exec_revision(known.exec_id):
        return False
    fresh = booked(checkpoint, fill, known=known)
    if fresh == known:
        return False
    if known is None:
        give_way(checkpoint, fresh)
    checkpoint.executions[stem] = fresh
    refold(checkpoint)
    return True


def give_way(checkpoint: Checkpoint, told: BookedExecution) -> None:
    """Take out of the estimates what an execution tells after all, share by share."""
    for stem, guess in list(checkpoint.executions.items()):
        if not guess.estimated or not stands_for(guess, told):
            continue
        left = guess.shares - told.shares
        if left > 0:
            checkpoint.executions[stem] = guess.model_copy(update={"shares": left})
        else:
            del checkpoint.executions[stem]
        return


def stands_for(guess: BookedExecution, told: BookedExecution) -> bool:
    """Tell whether an estimate is of the fill that is told now.

    One that no order of ours explains stands for what others did before it was made.
    """
    if guess.order_ref:
        same_send = guess.perm_id == told.perm_id or guess.order_id == told.order_id
        return guess.order_ref == told.order_ref and same_send
    alike = (guess.symbol, guess.side) == (told.symbol, told.side)
    return alike and not told.trade_id and told.time <= guess.time


def unbook(checkpoint: Checkpoint, stems: Iterable[str]) -> None:
    """Take executions out of the books that the exchange has taken back.

    Their orders remember it: the fills of those are not untold.

    Args:
        checkpoint: the books; everything that followed from the executions follows again.
        stems: their keys in `checkpoint.executions`.
    """
    for stem in stems:
        gone = checkpoint.executions.pop(stem)
        for intent in checkpoint.intents:
            if intent_explains(intent, gone):
                intent.taken_back += gone.shares
    refold(checkpoint)


def booked(
    checkpoint: Checkpoint, fill: BrokerExecution, *, known: BookedExecution | None
) -> BookedExecution:
    """Make the record of an execution, keeping what an earlier telling of it already said."""
    trade, leg = explain(checkpoint, fill)
    if known is not None and known.trade_id:
        trade, leg = known.trade_id, known.leg
    commission, realized = fill.commission, fill.realized_pnl
    if known is not None and known.exec_id == fill.exec_id:
        commission = known.commission if commission is None else commission
        realized = known.realized_pnl if realized is None else realized
    return BookedExecution(
        exec_id=fill.exec_id,
        time=fill.time,
        symbol=fill.symbol,
        side=fill.side,
        shares=fill.shares,
        price=fill.price,
        order_id=fill.order_id,
        client_id=fill.client_id,
        perm_id=fill.perm_id,
        order_ref=fill.order_ref,
        trade_id=trade,
        leg=leg,
        commission=commission,
        realized_pnl=realized,
    )


def explain(checkpoint: Checkpoint, fill: BrokerExecution) -> tuple[str, Leg | None]:
    """Name the trade and the leg that an execution belongs to; empty when it is not ours."""
    for intent in checkpoint.intents:
        if intent_explains(intent, fill):
            return intent.trade_id, intent.leg
    parts = parse_ref(fill.order_ref)
    return (parts.trade_id, parts.leg) if parts is not None else ("", None)


def intent_explains(intent: Intent, fill: BrokerExecution | BookedExecution) -> bool:
    """Tell whether an execution is a fill of this intent.

    permId decides where both sides have one: it is account-wide and stable. Until then the
    orderRef does, with the order id beside it, because a lost order's ref is used again.
    """
    if intent.perm_id is not None and fill.perm_id:
        return intent.perm_id == fill.perm_id
    return intent.order_ref == fill.order_ref and fill.order_id in {0, intent.order_id}


def refold(checkpoint: Checkpoint) -> None:
    """Compute again everything that follows from the booked executions."""
    executions = list(checkpoint.executions.values())
    for intent in checkpoint.intents:
        fold_intent(intent, executions)
    for position in checkpoint.positions.values():
        own = [each for each in executions if each.trade_id == position.trade_id]
        fold_position(checkpoint, position, own)
    count_day(checkpoint)


def count_day(checkpoint: Checkpoint) -> None:
    """Compute the day's counters: they count executions, and so what a dead bot has missed.

    A trade is counted when its first fill falls into the session. The profit is that of every
    booked execution, also of those made by hand, as in the broker's own figure.
    """
    opened: dict[str, datetime] = {}
    earned = ZERO
    for each in checkpoint.executions.values():
        position = checkpoint.positions.get(each.trade_id)
        if in_session(checkpoint, each.time):
            earned += realized(each, position)
        if position is not None and each.side == position.side.entry_execution and each.shares:
            opened[each.trade_id] = min(each.time, opened.get(each.trade_id, each.time))
    checkpoint.session.daily_pnl = earned
    today = [moment for moment in opened.values() if in_session(checkpoint, moment)]
    checkpoint.session.trades_today = len(today)


def in_session(checkpoint: Checkpoint, moment: datetime) -> bool:
    """Tell whether a fill counts for the day: since the reset at the open, or since midnight."""
    reset = checkpoint.session.reset_at
    return moment >= reset if reset is not None else exchange_day(moment) == checkpoint.day


def fold_intent(intent: Intent, executions: Iterable[BookedExecution]) -> None:
    """Count the fills of an intent; a filled intent is done, whatever a status said."""
    own = [each for each in executions if intent_explains(intent, each)]
    intent.filled = sum((each.shares for each in own), ZERO)
    if not own:
        return
    intent.perm_id = intent.perm_id or own[0].perm_id or None
    intent.client_id = intent.client_id or own[0].client_id
    if intent.filled >= intent.quantity:
        intent.state = IntentState.FILLED
        intent.unknown_since = None
    elif intent.unseen:
        intent.state = IntentState.WORKING
        intent.unknown_since = None


def fold_position(
    checkpoint: Checkpoint, position: Position, executions: list[BookedExecution]
) -> None:
    """Compute a trade's quantities, entry price, partials and realised P&L."""
    told = [each for each in executions if each.shares]
    ordered = sorted(told, key=lambda each: (each.time, each.exec_id))
    entries = [each for each in ordered if each.side == position.side.entry_execution]
    exits = [each for each in ordered if each.side != position.side.entry_execution]
    shares = sum((each.shares for each in entries), position.baseline_shares)
    paid = position.baseline_shares * position.baseline_price
    paid += sum((each.shares * each.price for each in entries), ZERO)
    position.shares = shares
    position.entry_price = paid / shares if shares else ZERO
    if entries:
        position.entry_time = entries[0].time
    elif position.baseline_shares == 0:
        position.entry_time = None
    position.closed_shares = sum((each.shares for each in exits), position.adjusted_shares)
    position.remaining = position.open_shares / shares if shares else ZERO
    position.partials_taken = fold_partials(exits)
    today = [each for each in executions if in_session(checkpoint, each.time)]
    position.realized_pnl = sum((realized(each, position) for each in today), ZERO)


def fold_partials(exits: list[BookedExecution]) -> list[PartialRecord]:
    """Gather the fills of each partial exit order into one record."""
    orders: dict[str, list[BookedExecution]] = {}
    for each in exits:
        if each.leg is Leg.PARTIAL:
            orders.setdefault(each.order_ref, []).append(each)
    partials = []
    for fills in orders.values():
        shares = sum((each.shares for each in fills), ZERO)
        if shares:
            money = sum((each.shares * each.price for each in fills), ZERO)
            record = PartialRecord(time=fills[-1].time, price=money / shares, shares=shares)
            partials.append(record)
    return partials


def realized(execution: BookedExecution, position: Position | None) -> Decimal:
    """Return what one execution earned in dollars.

    The broker's figure is authoritative, it is net of all commissions. Until it is told the closing
    fill earns its distance from the entry price; a fill that belongs to no trade has no entry price
    and earns nothing. A commission that came without a profit says that there was none: the fill
    opened a position at the broker, or earned exactly nothing.
    """
    if execution.realized_pnl is not None:
        return execution.realized_pnl
    if position is None or execution.commission is not None:
        return ZERO
    if execution.side == position.side.entry_execution:
        return ZERO
    return (execution.price - position.entry_price) * execution.shares * position.side.sign


def used_attempts(checkpoint: Checkpoint, symbol: str, *, side: str) -> int:
    """Count the attempts of a symbol and side over all pivots of the day."""
    prefix = f"{symbol}|{side}|"
    return sum(count for key, count in checkpoint.attempts.items() if key.startswith(prefix))
