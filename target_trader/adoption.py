"""Positions and trades that the broker shows and the state does not know.

A trade with our orderRef in its executions is rebuilt from the ref and the watchlist. Anything
else that is held in a watched symbol becomes a minimal position: no target, no partial, a stop.
Either way it is protected; that is the point.
"""

from decimal import Decimal

from target_trader.ledger import refold
from target_trader.matching import Context
from target_trader.names import (
    PS60,
    SMA,
    Leg,
    RefParts,
    Side,
    adopted_id,
    order_ref,
    parse_ref,
    plain,
    to_tick,
)
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
        open_before_midnight(checkpoint, position)
        set_levels(checkpoint, position, context=context)
        report.warn(f"   {parts.symbol}: trade {name} was not in the state: rebuilt from its fills")


def open_before_midnight(checkpoint: Checkpoint, position: Position) -> None:
    """Give a rebuilt trade the shares that it must have begun the day with.

    Executions are served since midnight only (tws-protocol.md section 3.6), so a trade that was
    opened yesterday and closed today shows more closed than entered. What it cost is not told any
    more: it earns nothing beyond what the broker itself says of the closing fills.
    """
    missing = -position.open_shares
    if missing <= 0:
        return
    exits = [
        each
        for each in checkpoint.executions.values()
        if each.trade_id == position.trade_id and each.side != position.side.entry_execution
    ]
    value = sum((each.shares * each.price for each in exits), ZERO)
    position.baseline_shares = missing
    position.baseline_price = value / sum((each.shares for each in exits), ZERO)
    refold(checkpoint)


def position_from_ref(parts: RefParts, *, context: Context) -> Position:
    """Start a position with what an orderRef and the watchlist say; a crossover has no levels."""
    setup = context.watchlist.setup(parts.symbol) if parts.strategy == PS60 else None
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
        signal_known=False,
        stop_price=ZERO,
        strategy=parts.strategy,
    )


def set_levels(checkpoint: Checkpoint, position: Position, *, context: Context) -> None:
    """Set a rebuilt trade's stop and partial: from its orders, else from its entry price."""
    sign, rules = position.side.sign, context.rules
    stop = known_price(checkpoint, position.trade_id, Leg.STOP)
    position.planned_entry = position.entry_price
    if position.strategy == SMA:
        default_stop = to_tick(position.entry_price * (1 - rules.sma.stop_fraction * sign))
    else:
        pivot = position.pivot if position.pivot is not None else position.entry_price
        default_stop = to_tick(pivot - rules.stop_distance * sign)
    # A stop that has been moved to breakeven tells nothing about where it began.
    moved = stop is not None and (stop - position.entry_price) * sign >= 0
    position.initial_stop = default_stop if stop is None or moved else stop
    position.stop_price = stop if stop is not None else position.initial_stop
    position.partial_price = known_price(checkpoint, position.trade_id, Leg.PARTIAL)
    if position.partial_price is None and position.strategy == PS60:
        distance = abs(position.entry_price - position.initial_stop)
        position.partial_price = to_tick(position.entry_price + distance * sign)


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
    parts = parse_ref(order_ref(name, Leg.STOP))
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
        signal_known=False,
        entry_time=context.now,
        stop_price=initial,
        baseline_shares=abs(held),
        baseline_price=cost,
        strategy=parts.strategy if parts is not None else PS60,
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
