"""Positions and trades that the broker shows and the state does not know.

A trade with our orderRef in its executions is rebuilt from the ref and the watchlist. Anything
else that is held in a watched symbol becomes a minimal position: no target, no partial, a stop.
Either way it is protected; that is the point.
"""

from decimal import Decimal

from target_trader.ledger import refold
from target_trader.matching import Context
from target_trader.names import Leg, RefParts, Side, adopted_id, parse_ref, plain, to_tick
from target_trader.report import Report
from target_trader.state.checkpoint import Checkpoint, ContractRecord, Intent, Position

ZERO = Decimal(0)


def rebuild_trades(checkpoint: Checkpoint, *, context: Context, report: Report) -> None:
    """Make a position of each trade of ours that only executions know."""
    refs = {each.trade_id: each.order_ref for each in checkpoint.executions.values()}
    for name, ref in sorted(refs.items()):
        parts = parse_ref(ref)
        if parts is None or name in checkpoint.positions:
            continue
        position = position_from_ref(parts, context=context)
        checkpoint.positions[name] = position
        refold(checkpoint)
        set_levels(checkpoint, position, context=context)
        report.warn(f"   {parts.symbol}: trade {name} was not in the state: rebuilt from its fills")


def position_from_ref(parts: RefParts, *, context: Context) -> Position:
    """Start a position with what an orderRef and the watchlist say."""
    setup = context.watchlist.setup(parts.symbol)
    targets = setup.targets(parts.side) if setup is not None else (None, None)
    return Position(
        trade_id=parts.trade_id,
        symbol=parts.symbol,
        side=parts.side,
        contract=ContractRecord(symbol=parts.symbol),
        pivot=setup.pivot(parts.side) if setup is not None else None,
        target1=targets[0],
        target2=targets[1],
        planned_entry=ZERO,
        initial_stop=ZERO,
        partial_price=None,
        planned_shares=context.rules.quantity,
        entry_reason="rebuilt from the broker's executions",
        signal_time=context.now,
        stop_price=ZERO,
    )


def set_levels(checkpoint: Checkpoint, position: Position, *, context: Context) -> None:
    """Set a rebuilt trade's stop and partial: from its orders, else from its entry price."""
    sign = position.side.sign
    stop = known_price(checkpoint, position.trade_id, Leg.STOP)
    pivot = position.pivot if position.pivot is not None else position.entry_price
    position.planned_entry = position.entry_price
    default_stop = to_tick(pivot - context.rules.stop_distance * sign)
    # A stop that has been moved to breakeven tells nothing about where it began.
    moved = stop is not None and (stop - position.entry_price) * sign >= 0
    position.initial_stop = default_stop if stop is None or moved else stop
    position.stop_price = stop if stop is not None else position.initial_stop
    partial = known_price(checkpoint, position.trade_id, Leg.PARTIAL)
    distance = abs(position.entry_price - position.initial_stop)
    position.partial_price = partial or to_tick(position.entry_price + distance * sign)


def known_price(checkpoint: Checkpoint, trade: str, leg: Leg) -> Decimal | None:
    """Return the price of a live order of a trade, None when there is none."""
    for intent in checkpoint.intents:
        if intent.trade_id == trade and intent.leg is leg and intent.live:
            return intent.price
    return None


def adopt(
    checkpoint: Checkpoint,
    symbol: str,
    *,
    held: Decimal,
    cost: Decimal,
    context: Context,
    report: Report,
) -> None:
    """Make a minimal position of what the broker holds, with the orders that already guard it."""
    side = Side.LONG if held > 0 else Side.SHORT
    guard = guarding_orders(checkpoint, symbol, side=side)
    name = guard[0].trade_id if guard else free_name(checkpoint, symbol, side=side)
    stop = known_price(checkpoint, name, Leg.STOP)
    distance = context.rules.stop_distance * side.sign
    initial = stop if stop is not None else to_tick(cost - distance)
    partial = known_price(checkpoint, name, Leg.PARTIAL)
    checkpoint.positions[name] = Position(
        trade_id=name,
        symbol=symbol,
        side=side,
        contract=ContractRecord(symbol=symbol),
        pivot=None,
        target1=known_price(checkpoint, name, Leg.TARGET),
        target2=None,
        planned_entry=cost,
        initial_stop=initial,
        partial_price=partial,
        planned_shares=abs(held),
        entry_reason="adopted: held at the broker, unknown to the state",
        signal_time=context.now,
        entry_time=context.now,
        stop_price=initial,
        baseline_shares=abs(held),
        baseline_price=cost,
    )
    own_fills(checkpoint, checkpoint.positions[name], held=held)
    refold(checkpoint)
    report.warn(
        f"   {symbol}: In IBKR portfolio but NOT in state file: {plain(held)} @ {plain(cost)}"
    )
    report.warn(f"       Creating minimal position (metadata lost), stop at {initial}")


def guarding_orders(checkpoint: Checkpoint, symbol: str, *, side: Side) -> list[Intent]:
    """Return the live exits of a trade of this side that has no position any more."""
    return [
        each
        for each in checkpoint.live_intents(symbol)
        if each.side is side
        and each.leg is not Leg.ENTRY
        and each.trade_id not in checkpoint.positions
    ]


def free_name(checkpoint: Checkpoint, symbol: str, *, side: Side) -> str:
    """Return the first unused name for an adopted position of the day."""
    taken = {each.trade_id for each in checkpoint.intents} | set(checkpoint.positions)
    number = 1
    while adopted_id(symbol, side, day=checkpoint.day, number=number) in taken:
        number += 1
    return adopted_id(symbol, side, day=checkpoint.day, number=number)


def own_fills(checkpoint: Checkpoint, position: Position, *, held: Decimal) -> None:
    """Take today's unexplained fills as the position's own, if they make all of it."""
    loose = [
        each
        for each in checkpoint.executions.values()
        if each.symbol == position.symbol and not each.trade_id
    ]
    total = sum((each.shares if each.side == "BOT" else -each.shares for each in loose), ZERO)
    if loose and total == held:
        for each in loose:
            each.trade_id = position.trade_id
        position.baseline_shares = ZERO
