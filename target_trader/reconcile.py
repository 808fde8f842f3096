"""State and broker brought to one truth; pure, and the same after a crash and after a question.

Who wins, field by field:

| field | who | why |
| --- | --- | --- |
| shares held, average cost of an adopted position | broker | it is the one that owes them |
| which orders work, their ids, quantities, prices, states | broker | as above |
| fills, commissions, realised P&L | broker's executions | booked once, by execId stem |
| pivot, targets, planned entry, initial stop, entry reason | state | the broker never knew them |
| attempts | state, raised to what the broker shows | never lower than either |
| breakout memory, bars, filter counts, halt | state | as the pivots |

Between the broker's own words a fill outweighs a position that lags behind it
(tws-protocol.md section 3.5); the disagreement is asked about again after the grace period.
"""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from target_trader.adoption import adopt, rebuild_trades
from target_trader.ledger import book, refold
from target_trader.matching import Context, match_orders
from target_trader.names import Leg, parse_ref, plain
from target_trader.picture import BrokerExecution, Picture
from target_trader.report import Report
from target_trader.state.checkpoint import Checkpoint, Position, new_checkpoint

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Reconciled:
    """The outcome: what to believe, what to tell, and whether to ask again later."""

    checkpoint: Checkpoint
    report: Report
    ask_again: bool


def reconcile(before: Checkpoint, picture: Picture, *, context: Context) -> Reconciled:
    """Return the checkpoint that agrees with the broker; `before` is not changed.

    1. Fills that the state has missed are booked.
    2. Every intent is brought to what the broker says of its order.
    3. Trades that only the broker's executions show are rebuilt.
    4. Each symbol's quantity is compared and, where it differs, the broker's is taken.
    5. The stop that protects each position is noted in it.
    """
    checkpoint = before.model_copy(deep=True)
    report = Report()
    missed = book_missed(checkpoint, picture, context=context)
    match_orders(checkpoint, picture, context=context, report=report)
    rebuild_trades(checkpoint, context=context, report=report)
    ask_again = False
    for symbol in symbols_of(checkpoint, picture):
        fills = [each for each in missed if each.symbol == symbol]
        comparison = Comparison(before, checkpoint, picture, context, report)
        ask_again |= compare(comparison, symbol, fills=fills)
    note_stops(checkpoint)
    return Reconciled(checkpoint, report, ask_again)


@dataclass(frozen=True, slots=True)
class Comparison:
    """The two sides of one comparison and where its findings go."""

    before: Checkpoint
    checkpoint: Checkpoint
    picture: Picture
    context: Context
    report: Report


def book_missed(
    checkpoint: Checkpoint, picture: Picture, *, context: Context
) -> list[BrokerExecution]:
    """Book the executions of our symbols in their order; return those that were new."""
    ours = {position.symbol for position in checkpoint.positions.values()}
    ours |= {setup.symbol for setup in context.watchlist.setups}
    missed = []
    for fill in sorted(picture.executions, key=lambda each: (each.time, each.exec_id)):
        if fill.symbol not in ours and parse_ref(fill.order_ref) is None:
            continue
        known = set(checkpoint.executions)
        if book(checkpoint, fill) and set(checkpoint.executions) != known:
            missed.append(fill)
    return missed


def symbols_of(checkpoint: Checkpoint, picture: Picture) -> list[str]:
    """List every symbol that either side holds, sorted."""
    symbols = {position.symbol for position in checkpoint.positions.values()}
    symbols |= {position.symbol for position in picture.positions}
    return sorted(symbols)


def compare(sides: Comparison, symbol: str, *, fills: list[BrokerExecution]) -> bool:
    """Compare one symbol, mend what differs; tell whether to ask again later."""
    checkpoint, report = sides.checkpoint, sides.report
    held = sides.picture.quantity(symbol)
    stored = signed(sides.before.position_of(symbol))
    if held == 0 and stored == 0 and signed(checkpoint.position_of(symbol)) == 0:
        for fill in fills:
            report.warn(f"   {symbol}: missed fill booked: {fill_words(fill)}")
        return False
    if is_foreign(sides, symbol):
        report.warn(f"   {symbol}: IBKR holds {plain(held)} shares, not ours: left alone")
        return False
    words = f"   {symbol}: State file shows {plain(abs(stored))} shares"
    if stored == held:
        report.info(f"{words}, IBKR confirms {plain(abs(held))} shares ✓")
    else:
        report.warn(f"{words}, IBKR shows {plain(abs(held))} shares ⚠️")
    for fill in fills:
        report.info(f"       → missed fill booked: {fill_words(fill)}")
    if stored != 0 and held == 0:
        report.warn("       → Position was closed by broker during downtime")
    unflip(sides, symbol)
    if signed(checkpoint.position_of(symbol)) != held:
        take_foreign_fills(sides, symbol, held=held)
    if signed(checkpoint.position_of(symbol)) == held:
        return False
    if position_lags(sides, symbol):
        report.warn("       → The position lags a fresh fill: the fill counts, asking again")
        return True
    take_quantity(sides, symbol, held=held)
    return False


def unflip(sides: Comparison, symbol: str) -> None:
    """Close a trade that was closed by more than it held; what is beyond it is another position."""
    position = sides.checkpoint.position_of(symbol)
    if position is not None and position.open_shares < 0:
        sides.report.error(f"       → {position.trade_id} was closed by more shares than it held")
        position.adjusted_shares += position.open_shares
        refold(sides.checkpoint)


def signed(position: Position | None) -> Decimal:
    """Return a position's quantity as the broker writes it."""
    return ZERO if position is None else position.signed_quantity


def fill_words(fill: BrokerExecution) -> str:
    """Describe a fill: `SLD 50 @ 447.13`."""
    return f"{fill.side} {plain(fill.shares)} @ {plain(fill.price)}"


def is_foreign(sides: Comparison, symbol: str) -> bool:
    """Tell whether a symbol is neither watched today nor known to the state."""
    watched = sides.context.watchlist.setup(symbol) is not None
    known = any(each.symbol == symbol for each in sides.checkpoint.positions.values())
    ordered = any(each.symbol == symbol for each in sides.checkpoint.intents)
    return not (watched or known or ordered)


def take_foreign_fills(sides: Comparison, symbol: str, *, held: Decimal) -> None:
    """Explain a difference by fills of the symbol that no order of ours made (by hand in TWS)."""
    checkpoint = sides.checkpoint
    position = checkpoint.position_of(symbol)
    if position is None:
        return
    since = position.entry_time or position.signal_time
    foreign = [
        each
        for each in checkpoint.executions.values()
        if each.symbol == symbol and not each.trade_id and each.time >= since
    ]
    moved = sum((each.shares if each.side == "BOT" else -each.shares for each in foreign), ZERO)
    if not foreign or position.signed_quantity + moved != held:
        return
    for each in foreign:
        each.trade_id = position.trade_id
        sides.report.warn(f"       → traded by hand: {each.side} {each.shares} @ {each.price}")
    refold(checkpoint)


def position_lags(sides: Comparison, symbol: str) -> bool:
    """Tell whether a fill is so young that the broker's position may not show it yet."""
    now, lag = sides.context.now, sides.context.rules.position_lag
    return any(
        each.symbol == symbol and each.trade_id and now - each.time < lag
        for each in sides.checkpoint.executions.values()
    )


def take_quantity(sides: Comparison, symbol: str, *, held: Decimal) -> None:
    """Make the books hold what the broker holds, although no fill explains the difference."""
    checkpoint, report = sides.checkpoint, sides.report
    position = checkpoint.position_of(symbol)
    if position is not None:
        same_side = held * position.side.sign > 0
        target = abs(held) if same_side else ZERO
        if target <= position.open_shares:
            position.adjusted_shares += position.open_shares - target
        else:
            position.baseline_shares += target - position.open_shares
            position.baseline_price = sides.picture.average_cost(symbol)
        report.error("       → Using IBKR value (source of truth); no fill explains the difference")
        refold(checkpoint)
    if signed(checkpoint.position_of(symbol)) != held:
        cost = sides.picture.average_cost(symbol)
        adopt(checkpoint, symbol, held=held, cost=cost, context=sides.context, report=report)


def note_stops(checkpoint: Checkpoint) -> None:
    """Write the live stop's price and order id into each position that holds shares."""
    for position in checkpoint.open_positions():
        stops = [
            each
            for each in checkpoint.intents
            if each.trade_id == position.trade_id and each.leg is Leg.STOP and each.live
        ]
        if stops and stops[0].stop_price is not None:
            position.stop_price = stops[0].stop_price
            position.stop_order_id = stops[0].order_id


def next_day(checkpoint: Checkpoint, day: date, *, now: datetime) -> Checkpoint:
    """Begin a day while the bot lives: counters and memories are fresh, what is open stays."""
    fresh = new_checkpoint(day, now=now)
    fresh.halted = checkpoint.halted
    open_trades = {each.trade_id for each in checkpoint.open_positions()}
    fresh.positions = {name: checkpoint.positions[name] for name in sorted(open_trades)}
    fresh.intents = [
        each for each in checkpoint.intents if each.live or each.trade_id in open_trades
    ]
    fresh.executions = {
        stem: each for stem, each in checkpoint.executions.items() if each.trade_id in open_trades
    }
    refold(fresh)
    return fresh
