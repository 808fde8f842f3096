"""State and broker brought to one truth; pure, and the same after a crash and after a question.

Who wins, field by field. "position." and "intent." are the fields of the records with that name.

| field | who wins | how |
| --- | --- | --- |
| `version`, `day`, `saved_at` | state | another version, another exchange day or a time in the future is no state at all (`startup.py`) |
| `positions` | both | a trade of the state stays one; a trade that only executions or positions show is made; one that never filled and cannot any more is dropped |
| `executions` | broker | booked once, by execId stem; a higher last part replaces; one that the exchange took back is unbooked when the position says so too, one that is only not told any more stays; an order that is filled without a fill is estimated |
| `intents` | both | that an order was wanted is the state's; whether it works, its ids, quantity and prices are the broker's |
| `attempts` | state, raised to what the broker shows | never lower than either; given back only when an entry is known to be lost |
| `session` | state; P&L and trade count follow from the executions | counters include what happened while the bot was away |
| `halts`, `circuit_breaker` | state | the broker knows nothing of them; only a person ends them |
| `frozen` | both | set by the policy WARN_ONLY where the quantities differ, taken away when they agree |
| `cash`, `equity_curve` | broker | the account's own figures; past points stay |
| `bars`, `breakouts`, `sma` | state, carried on by the broker's bars | what a bar was remembered by is the state's; the bars since then are asked for and taken in the order of time |
| `last_signals` | state, raised to what the broker shows | a crossover's trade that only the broker knows was its last signal |
| `order_audit` | state | appended to, never rewritten |
| `position.trade_id`, `position.symbol`, `position.side`, `position.contract`, `position.strategy` | state | rebuilt from the orderRef when the state is lost |
| `position.pivot`, `position.target1`, `position.target2`, `position.planned_entry`, `position.initial_stop`, `position.partial_price`, `position.planned_shares`, `position.entry_reason`, `position.signal_time`, `position.signal_known` | state | from watchlist, orders and fills when the state is lost |
| `position.exit_requested` | state, raised by a working exit order | a wish of ours; an exit at market tells that there was one |
| `position.shares`, `position.closed_shares`, `position.remaining`, `position.entry_price`, `position.entry_time`, `position.realized_pnl`, `position.partials_taken` | broker's executions | folded again after every booking, never added to |
| `position.baseline_shares`, `position.baseline_price`, `position.adjusted_shares` | broker's position | what it holds and no execution explains, under the policy SYNC_TO_BROKER alone |
| `position.stop_price`, `position.stop_order_id`, `position.order_ids` | broker's open orders | noted from the live orders of the trade |
| `position.last_price` | neither | the last bar; replaced by the next one |

Between the broker's own words a fill outweighs a position that lags behind it
(tws-protocol.md section 3.5); the disagreement is asked about again after the grace period.
"""  # noqa: E501 - a row of a table is one line

from dataclasses import dataclass
from datetime import date, datetime

from target_trader.adoption import rebuild_trades
from target_trader.comparison import Comparison
from target_trader.day import fresh_memory
from target_trader.ledger import refold
from target_trader.matching import Context, drop_empty_trades, match_orders
from target_trader.names import Leg
from target_trader.picture import Picture
from target_trader.quantities import book_missed, compare, symbols_of
from target_trader.reconciliation import ReconciliationReport, build
from target_trader.report import Report
from target_trader.state.checkpoint import Checkpoint, new_checkpoint


@dataclass(frozen=True, slots=True)
class Reconciled:
    """The outcome: what to believe, what to tell (to a person, to a machine), and what is open.

    `ask_again`: something is too young to be judged, the broker is to be asked after the grace.
    """

    checkpoint: Checkpoint
    report: Report
    ask_again: bool
    record: ReconciliationReport


def reconcile(before: Checkpoint, picture: Picture, *, context: Context) -> Reconciled:
    """Return the checkpoint that agrees with the broker; `before` is not changed.

    1. Fills that the state has missed are booked.
    2. Every intent is brought to what the broker says of its order.
    3. Trades that only the broker's executions show are rebuilt.
    4. Each symbol's quantity is compared; what no execution explains is settled by the policy.
    5. The live orders of each trade are noted in it.
    """
    checkpoint = before.model_copy(deep=True)
    report = Report()
    missed = book_missed(checkpoint, picture, context=context)
    match_orders(checkpoint, picture, context=context, report=report)
    rebuild_trades(checkpoint, context=context, report=report)
    sides = Comparison(before, checkpoint, picture, context, report, missed)
    ask_again = False
    for symbol in symbols_of(checkpoint, picture):
        ask_again |= compare(sides, symbol)
    drop_empty_trades(checkpoint)
    note_legs(checkpoint)
    ask_again |= is_in_doubt(checkpoint, context=context, report=report)
    record = build(before, checkpoint, picture, context=context, report=report, ask_again=ask_again)
    return Reconciled(checkpoint, report, ask_again, record)


def note_legs(checkpoint: Checkpoint) -> None:
    """Write the live orders of each trade into it: the newest of each leg, and the stop's price.

    An exit at market that works tells that the whole position was to be closed, also when the
    state that knew why is lost.
    """
    for position in checkpoint.positions.values():
        live = [
            each for each in checkpoint.intents if each.trade_id == position.trade_id and each.live
        ]
        position.order_ids = {each.leg.value: each.order_id for each in live}
        exits = [each for each in live if each.leg is Leg.EXIT]
        if exits and position.exit_requested is None:
            position.exit_requested = f"{exits[-1].order_ref} works at IBKR"
        # The first live stop is the one that is kept when there are two.
        stop = next((each for each in live if each.leg is Leg.STOP), None)
        if stop is not None and stop.stop_price is not None and position.open_shares != 0:
            position.stop_price, position.stop_order_id = stop.stop_price, stop.order_id


def is_in_doubt(checkpoint: Checkpoint, *, context: Context, report: Report) -> bool:
    """Tell whether the state that the day was taken up from may still hide an order of ours.

    A state that is one save old may not know an entry that was on its way to the broker when the
    bot died. The order has arrived when the grace period is over, and its orderRef is then found;
    until then nothing is entered, because the same signal would send the same entry twice.
    """
    since = checkpoint.session.doubted_since
    if since is None:
        return False
    if context.now - since < context.rules.grace:
        report.warn("The state is not the last one saved: no entry until IBKR is asked again")
        return True
    checkpoint.session.doubted_since = None
    report.warn("IBKR was asked again after the grace period: entries are possible")
    return False


def next_day(checkpoint: Checkpoint, day: date, *, now: datetime) -> Checkpoint:
    """Begin a day while the bot lives: counters and memories are fresh, what is open stays.

    Kept are the trades that hold shares or whose entry still works, with their orders and fills;
    bars, with the count of them, and averages, so that nothing is warmed up again; what is frozen,
    the cash, the watchlist. The audit of orders begins anew: yesterday's is in yesterday's state.
    """
    fresh = new_checkpoint(day, now=now, keeping=checkpoint)
    old = checkpoint.model_copy(deep=True)
    fresh.session.watchlist = old.session.watchlist
    fresh.session.doubted_since = old.session.doubted_since
    fresh.frozen, fresh.cash, fresh.bars, fresh.sma = old.frozen, old.cash, old.bars, old.sma
    fresh.breakouts = {symbol: fresh_memory(memory) for symbol, memory in old.breakouts.items()}
    kept = {each.trade_id for each in old.open_positions()}
    kept |= {each.trade_id for each in old.intents if each.leg is Leg.ENTRY and each.live}
    fresh.positions = {name: old.positions[name] for name in sorted(kept & set(old.positions))}
    fresh.intents = [each for each in old.intents if each.live or each.trade_id in kept]
    fresh.executions = {
        stem: each for stem, each in old.executions.items() if each.trade_id in kept
    }
    refold(fresh)
    return fresh
