"""Fills that the broker does not tell, known from their order and from the position.

Pure. A broker can forget: it answers with no executions and calls an order filled, without a fill
(seen in the field, and executions are served since midnight only, tws-protocol.md section 3.6).
What has happened must count all the same, against the loss, the trades and the attempts of the
day. So an *estimate* is booked in place of the fill, at the best price that is known, and gives way
as soon as the fill is told (`ledger.give_way`). Rejected: to change the quantity alone; the day's
loss would be forgotten.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from target_trader.ledger import intent_explains, refold
from target_trader.names import IntentState, Leg, exec_revision
from target_trader.picture import BrokerExecution
from target_trader.state.checkpoint import BookedExecution, Checkpoint, Intent, Position

ZERO = Decimal(0)
LEGS = (Leg.ENTRY, Leg.PARTIAL, Leg.TARGET, Leg.EXIT, Leg.STOP)
"""In this order orders explain a position; a stop comes last, its group may have reduced it."""


@dataclass(frozen=True, slots=True)
class Holding:
    """What the broker shows of a symbol: signed shares, their average cost, and its executions."""

    shares: Decimal
    cost: Decimal
    executions: tuple[BrokerExecution, ...]
    now: datetime


def estimate_orders(
    checkpoint: Checkpoint, symbol: str, holding: Holding
) -> tuple[BookedExecution, ...]:
    """Book an estimate for each order of ours that IBKR calls filled and tells no fill of.

    The position decides: only what it shows is booked. All of them where they come to its
    difference together, else those that lead to it. That a trade came and went, without any
    difference, is believed where no execution is told at all. An exit closes no more than its trade
    holds: a group may have reduced it, unheard as well.
    """
    difference = holding.shares - checkpoint.held(symbol)
    of_symbol = (each for each in checkpoint.intents if each.symbol == symbol)
    untold = [each for each in of_symbol if is_untold(checkpoint, each, holding)]
    untold.sort(key=lambda each: LEGS.index(each.leg))
    whole = sum((each.untold * sign_of(each) for each in untold), ZERO) == difference
    if difference == 0 and holding.executions:
        return ()
    left, made = abs(difference), list[BookedExecution]()
    for intent in untold:
        shares = intent.untold
        if not whole:
            shares = min(shares, left) if sign_of(intent) * difference > 0 else ZERO
        if intent.leg is not Leg.ENTRY:
            shares = min(shares, checkpoint.positions[intent.trade_id].open_shares)
        if shares > 0:
            left -= shares
            made.append(estimate_of(checkpoint, intent, holding, shares=shares))
            add(checkpoint, made[-1])
    return tuple(made)


def fill_vanished(checkpoint: Checkpoint, exits: Sequence[Intent], holding: Holding) -> None:
    """Take the one exit for filled whose shares are just those that the broker holds no more."""
    for intent in exits:
        difference = holding.shares - checkpoint.held(intent.symbol)
        if intent.remaining * sign_of(intent) == difference != 0:
            intent.state = IntentState.FILLED
            return


def add(checkpoint: Checkpoint, made: BookedExecution) -> None:
    """Book an estimate, on top of what was estimated of the same order before."""
    before = checkpoint.executions.get(made.exec_id)
    shares = made.shares + (before.shares if before is not None else ZERO)
    checkpoint.executions[made.exec_id] = made.model_copy(update={"shares": shares})
    refold(checkpoint)


def is_untold(checkpoint: Checkpoint, intent: Intent, holding: Holding) -> bool:
    """Tell whether an order was filled by fills that nobody tells.

    One of which any execution is told is told; and so is one that the exchange has corrected or
    taken back, whatever its shares come to now.
    """
    if intent.untold == 0 or intent.taken_back or intent.trade_id not in checkpoint.positions:
        return False
    if any(intent_explains(intent, each) for each in holding.executions):
        return False
    booked = (each for each in checkpoint.executions.values() if intent_explains(intent, each))
    return all(exec_revision(each.exec_id) <= 1 for each in booked)


def sign_of(intent: Intent) -> int:
    """1 for an order that buys, -1 for one that sells."""
    return 1 if intent.action == "BUY" else -1


def estimate_of(
    checkpoint: Checkpoint, intent: Intent, holding: Holding, *, shares: Decimal
) -> BookedExecution:
    """Make the estimate of an order's untold fills."""
    position = checkpoint.positions[intent.trade_id]
    alone = holding.shares != 0 and checkpoint.held(intent.symbol) == 0
    if intent.leg is not Leg.ENTRY:
        price = intent.price or last_price(position)
    elif alone and holding.cost > 0:
        price = holding.cost
    else:
        price = position.planned_entry or last_price(position)
    return BookedExecution(
        exec_id=f"estimate:{intent.order_ref}:{intent.order_id}",
        time=holding.now,
        symbol=intent.symbol,
        side="BOT" if intent.action == "BUY" else "SLD",
        shares=shares,
        price=price,
        order_id=intent.order_id,
        client_id=intent.client_id,
        perm_id=intent.perm_id or 0,
        order_ref=intent.order_ref,
        trade_id=intent.trade_id,
        leg=intent.leg,
        estimated=True,
    )


def last_price(position: Position) -> Decimal:
    """Return the best price that is known of a trade's symbol: the last bar's, else its stop's."""
    return position.last_price or position.stop_price or position.entry_price


def estimate_exit(
    checkpoint: Checkpoint, position: Position, *, shares: Decimal, now: datetime
) -> BookedExecution:
    """Book that shares of a trade were closed, by nobody knows which order."""
    number = 1
    while (name := f"estimate:{position.trade_id}:{number}") in checkpoint.executions:
        number += 1
    made = BookedExecution(
        exec_id=name,
        time=now,
        symbol=position.symbol,
        side="SLD" if position.side.entry_execution == "BOT" else "BOT",
        shares=shares,
        price=last_price(position),
        order_id=0,
        client_id=0,
        perm_id=0,
        order_ref="",
        trade_id=position.trade_id,
        estimated=True,
    )
    checkpoint.executions[made.exec_id] = made
    return made
