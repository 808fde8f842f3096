"""One symbol's shares, in the books and at the broker, and what is done where they differ.

Pure. Executions explain first: missed, corrected, taken back, made by hand. Where the broker tells
none of an order that it calls filled, an estimate does. Only what none of them explains is a
difference, and the policy (`Rules.policy`) says who gives way.
"""

from decimal import Decimal
from typing import assert_never

from target_trader.adoption import adopt
from target_trader.comparison import (
    Comparison,
    Missed,
    difference_words,
    fill_words,
    forgets,
    is_silent,
    missing_fills,
    note_fill,
    signed_shares,
    tell_difference,
    vanished_exits,
)
from target_trader.estimates import Holding, estimate_exit, estimate_orders, fill_vanished
from target_trader.ledger import book, refold, unbook
from target_trader.matching import Context
from target_trader.names import exec_stem, parse_ref, plain
from target_trader.picture import Picture
from target_trader.report import FillKind, SymbolFinding, Verdict
from target_trader.settings import Policy
from target_trader.state.checkpoint import BookedExecution, Checkpoint, HaltKind, Position

ZERO = Decimal(0)


def book_missed(
    checkpoint: Checkpoint, picture: Picture, *, context: Context
) -> tuple[Missed, ...]:
    """Book the executions of our symbols in their order; return what was new or corrected.

    A commission that came late is booked as well; it is no news.
    """
    ours = {position.symbol for position in checkpoint.positions.values()}
    ours |= {setup.symbol for setup in context.watchlist.setups}
    ours |= {intent.symbol for intent in checkpoint.intents}
    ours |= {execution.symbol for execution in checkpoint.executions.values()}
    # Their trades are rebuilt in this very reconciliation; without this the next would book more.
    ours |= {each.symbol for each in picture.executions if parse_ref(each.order_ref) is not None}
    ours |= {each.symbol for each in picture.open_orders if parse_ref(each.order_ref) is not None}
    missed = []
    for fill in sorted(picture.executions, key=lambda each: (each.time, each.exec_id)):
        if fill.symbol not in ours:
            continue
        was = checkpoint.executions.get(exec_stem(fill.exec_id))
        if book(checkpoint, fill) and (was is None or was.exec_id != fill.exec_id):
            missed.append(Missed(fill, was))
    return tuple(missed)


def symbols_of(checkpoint: Checkpoint, picture: Picture) -> list[str]:
    """List every symbol that either side holds or that is frozen, sorted."""
    symbols = {position.symbol for position in checkpoint.positions.values()}
    symbols |= {position.symbol for position in picture.positions}
    symbols |= {execution.symbol for execution in checkpoint.executions.values()}
    return sorted(symbols | set(checkpoint.frozen))


def compare(sides: Comparison, symbol: str) -> bool:
    """Compare one symbol and settle what differs; tell whether to ask the broker again later."""
    held, stored = sides.picture.quantity(symbol), sides.before.held(symbol)
    finding = SymbolFinding(symbol=symbol, state_quantity=stored, broker_quantity=held)
    if is_foreign(sides, symbol):
        sides.report.warn(f"   {symbol}: IBKR holds {plain(held)} shares, not ours: left alone")
        finding.verdict = Verdict.FOREIGN
        sides.report.symbols.append(finding)
        return False
    flat = held == 0 and stored == 0 and sides.checkpoint.held(symbol) == 0
    tell_difference(sides, finding, flat=flat)
    ask_again = settle(sides, finding)
    release(sides, finding)
    if not flat or finding.fills or finding.actions:
        sides.report.symbols.append(finding)
    return ask_again


def is_foreign(sides: Comparison, symbol: str) -> bool:
    """Tell whether a symbol is neither watched today nor known to the state."""
    watched = sides.context.watchlist.setup(symbol) is not None
    known = any(each.symbol == symbol for each in sides.checkpoint.positions.values())
    ordered = any(each.symbol == symbol for each in sides.checkpoint.intents)
    traded = any(each.symbol == symbol for each in sides.checkpoint.executions.values())
    return not (watched or known or ordered or traded)


def settle(sides: Comparison, finding: SymbolFinding) -> bool:
    """Bring one symbol's books and broker together; tell whether to ask again later."""
    symbol, held = finding.symbol, finding.broker_quantity
    level_trades(sides, finding)
    take_untold(sides, finding)
    if sides.checkpoint.held(symbol) != held and take_busts(sides, finding):
        return True
    if sides.checkpoint.held(symbol) != held:
        take_trades_by_hand(sides, finding)
    if sides.checkpoint.held(symbol) == held:
        if finding.state_quantity != held or finding.fills or finding.actions:
            finding.verdict = Verdict.CAUGHT_UP
        return has_young_stranger(sides, symbol)
    # Shares that fills have closed beyond what was held are there; no lag explains them away.
    if not finding.actions and position_lags(sides, symbol):
        finding.verdict = Verdict.LAGGING
        sides.report.warn("       → The position lags a fresh fill: the fill counts, asking again")
        return True
    match sides.context.rules.policy:
        case Policy.SYNC_TO_BROKER:
            take_quantity(sides, finding)
        case Policy.WARN_ONLY:
            freeze(sides, finding)
        case Policy.HALT_AND_ALERT:
            halt(sides, finding)
        case _:
            assert_never(sides.context.rules.policy)
    return has_young_fill(sides, symbol)


def newest_first(checkpoint: Checkpoint, symbol: str) -> list[Position]:
    """Return the trades of a symbol that hold shares, the newest first."""
    trades = [each for each in checkpoint.open_positions() if each.symbol == symbol]
    return sorted(
        trades, key=lambda each: (each.entry_time or each.signal_time, each.trade_id), reverse=True
    )


def level_trades(sides: Comparison, finding: SymbolFinding) -> None:
    """Make every trade hold no less than nothing, and all trades of the symbol one side.

    Shares that were closed beyond what their trade held are taken over by another one of its side;
    what none can take is another position, and shows as a difference. A correction can open a
    trade again that has been flipped since: an account holds one side only, so they cancel out.
    """
    trades = newest_first(sides.checkpoint, finding.symbol)
    for position in trades:
        excess = -position.open_shares
        if excess <= 0:
            continue
        sides.report.error(f"       → {position.trade_id} was closed by more shares than it held")
        finding.actions.append(f"{position.trade_id}: {plain(excess)} shares closed too many")
        close_unexplained(position, -excess)
        for other in trades:
            if other.side is position.side and other.open_shares > 0:
                excess -= close_unexplained(other, min(excess, other.open_shares))
    for position in trades:
        for other in trades:
            both = min(position.open_shares, other.open_shares)
            if other.side is not position.side and both > 0:
                words = f"{position.trade_id} and {other.trade_id} cancel out by {plain(both)}"
                sides.report.error(f"       → {words}")
                finding.actions.append(words)
                close_unexplained(position, both)
                close_unexplained(other, both)
    refold(sides.checkpoint)


def close_unexplained(position: Position, shares: Decimal) -> Decimal:
    """Close shares of a trade that no fill of it explains; return how many."""
    position.adjusted_shares += shares
    position.closed_shares += shares
    return shares


def take_untold(sides: Comparison, finding: SymbolFinding) -> None:
    """Book estimates of what orders of ours have filled, by IBKR's word, without a fill told.

    Where it is silent altogether, an exit that is gone with its shares has filled them: had the
    exchange taken the entry back, the exit would work on.
    """
    symbol, held = finding.symbol, finding.broker_quantity
    told = tuple(each for each in sides.picture.executions if each.symbol == symbol)
    cost = sides.picture.average_cost(symbol)
    holding = Holding(held, cost, told, sides.context.now)
    if is_silent(sides, symbol):
        fill_vanished(sides.checkpoint, vanished_exits(sides, symbol), holding)
    made = estimate_orders(sides.checkpoint, symbol, holding)
    for each in made:
        note_fill(finding, each, FillKind.ESTIMATED)
        words = f"{each.order_ref} is filled and IBKR tells no fill"
        sides.report.error(f"       → {words}: ESTIMATED {fill_words(each)}")
    if made:
        level_trades(sides, finding)


def take_busts(sides: Comparison, finding: SymbolFinding) -> bool:
    """Unbook executions of today that the broker no longer tells, if that explains the position.

    The exchange can take an execution back, and then it is simply absent. An answer can also be
    incomplete, so the position decides. One that has just been booked may be younger than the
    answer; the return value says that it has to be asked about again.
    """
    checkpoint, context = sides.checkpoint, sides.context
    gone = missing_fills(sides, finding.symbol)
    if forgets(sides, finding.symbol):
        return False
    # A fill of no trade of ours is inside what was adopted, if it is inside anything.
    whole = sum(map(signed_shares, gone.values()), ZERO)
    booked = sum((signed_shares(each) for each in gone.values() if each.trade_id), ZERO)
    if checkpoint.held(finding.symbol) - finding.broker_quantity not in {whole, booked}:
        return False
    if any(context.now - each.time < context.rules.grace for each in gone.values()):
        finding.verdict = Verdict.LAGGING
        sides.report.warn("       → A fresh fill is not in IBKR's answer yet: asking again")
        return True
    unbook(checkpoint, gone)
    for each in gone.values():
        note_fill(finding, each, FillKind.BUSTED)
        sides.report.error(f"       → taken back by the exchange, unbooked: {fill_words(each)}")
    level_trades(sides, finding)
    return False


def take_trades_by_hand(sides: Comparison, finding: SymbolFinding) -> None:
    """Explain a difference by fills of the symbol that no order of ours made (by hand in TWS)."""
    checkpoint, symbol = sides.checkpoint, finding.symbol
    trades = newest_first(checkpoint, symbol)
    if not trades:
        return
    since = min(each.entry_time or each.signal_time for each in trades)
    strangers = [each for each in loose_fills(checkpoint, symbol) if each.time >= since]
    moved = sum(map(signed_shares, strangers), ZERO)
    if not strangers or checkpoint.held(symbol) + moved != finding.broker_quantity:
        return
    for each in strangers:
        each.trade_id = trades[0].trade_id
        note_fill(finding, each, FillKind.BY_HAND)
        sides.report.warn(f"       → traded by hand: {fill_words(each)}")
    refold(checkpoint)
    level_trades(sides, finding)


def loose_fills(checkpoint: Checkpoint, symbol: str) -> list[BookedExecution]:
    """Return the booked executions of a symbol that belong to no trade."""
    return [
        each
        for each in checkpoint.executions.values()
        if each.symbol == symbol and not each.trade_id
    ]


def has_young_stranger(sides: Comparison, symbol: str) -> bool:
    """Tell whether somebody else's fill is so young that the position may not show it yet."""
    now, lag = sides.context.now, sides.context.rules.position_lag
    return any(now - each.time < lag for each in loose_fills(sides.checkpoint, symbol))


def has_young_fill(sides: Comparison, symbol: str) -> bool:
    """Tell whether any fill is so young that the position may not show it yet."""
    now, lag = sides.context.now, sides.context.rules.position_lag
    booked = sides.checkpoint.executions.values()
    return any(each.symbol == symbol and now - each.time < lag for each in booked)


def position_lags(sides: Comparison, symbol: str) -> bool:
    """Tell whether the broker's position is that of before our youngest fills.

    A position lags behind fills and shows them in their order, so it may miss the last few. A
    difference that these do not come to is none of the lag's making. An estimate was made of the
    position and is older than it looks.
    """
    now, lag = sides.context.now, sides.context.rules.position_lag
    difference = sides.checkpoint.held(symbol) - sides.picture.quantity(symbol)
    ours = [
        each
        for each in sides.checkpoint.executions.values()
        if each.symbol == symbol and each.trade_id and not each.estimated
    ]
    unseen = ZERO
    for each in sorted(ours, key=lambda one: one.time, reverse=True):
        if now - each.time >= lag:
            return False
        unseen += signed_shares(each)
        if unseen == difference:
            return True
    return False


def freeze(sides: Comparison, finding: SymbolFinding) -> None:
    """Leave the books as they are and send nothing in the symbol until both sides agree."""
    why = difference_words(sides, finding)
    sides.checkpoint.frozen[finding.symbol] = why
    finding.verdict = Verdict.FROZEN
    finding.actions.append("frozen")
    sides.report.error(f"       → WARN_ONLY: {finding.symbol} is frozen, no order is sent: {why}")


def halt(sides: Comparison, finding: SymbolFinding) -> None:
    """Leave the books as they are and stop everything until a person has looked."""
    reason = f"{finding.symbol}: {difference_words(sides, finding)}"
    finding.verdict = Verdict.HALTED
    finding.actions.append("halted")
    sides.checkpoint.halt(reason, now=sides.context.now, kind=HaltKind.ENGINE)
    sides.report.error(f"       → HALT_AND_ALERT: nothing is sent any more: {reason}")


def release(sides: Comparison, finding: SymbolFinding) -> None:
    """End the freeze of a symbol on which books and broker agree again."""
    if sides.checkpoint.held(finding.symbol) != finding.broker_quantity:
        return
    why = sides.checkpoint.frozen.pop(finding.symbol, None)
    if why is not None:
        finding.actions.append("released")
        sides.report.warn(f"   {finding.symbol}: books and IBKR agree again, released (was: {why})")


def take_quantity(sides: Comparison, finding: SymbolFinding) -> None:
    """Make the books hold what the broker holds, although no fill explains the difference.

    The newest trade takes the difference; what is left when every trade is closed is adopted. A
    broker that has forgotten its fills has forgotten that of a sale, too: it is estimated.
    """
    checkpoint, report, symbol = sides.checkpoint, sides.report, finding.symbol
    cost = sides.picture.average_cost(symbol)
    missing = finding.broker_quantity - checkpoint.held(symbol)
    trades = newest_first(checkpoint, symbol)
    forgotten = forgets(sides, symbol)
    for position in trades:
        change = missing * position.side.sign
        if change > 0:
            add_baseline(position, change, cost=cost)
            missing = ZERO
        elif change < 0:
            taken = min(-change, position.open_shares)
            if forgotten:
                sold = estimate_exit(checkpoint, position, shares=taken, now=sides.context.now)
                note_fill(finding, sold, FillKind.ESTIMATED)
                report.error(f"       → IBKR tells no fills: ESTIMATED {fill_words(sold)}")
            else:
                position.adjusted_shares += taken
            missing += taken * position.side.sign
    finding.verdict = Verdict.SYNCED
    if trades:
        finding.actions.append("took the broker's quantity")
        report.error("       → Using IBKR value (source of truth); no fill explains the difference")
        refold(checkpoint)
    if missing:
        finding.verdict = Verdict.ADOPTED
        finding.actions.append("adopted with a minimal record")
        adopt(checkpoint, symbol, held=missing, cost=cost, context=sides.context, report=report)


def add_baseline(position: Position, shares: Decimal, *, cost: Decimal) -> None:
    """Give a trade shares that no fill explains, at the broker's average cost."""
    paid = position.baseline_shares * position.baseline_price + shares * cost
    position.baseline_shares += shares
    position.baseline_price = paid / position.baseline_shares
