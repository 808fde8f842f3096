"""A bracket of TSLA in the books, and pictures of what the broker says of it.

The trade: 100 bought at 445.25, stop 443.37 (order 11), a partial of 50 at 447.13 (order 12). All
values are the bot's own; no broker and no client library is needed to reconcile them.
"""

from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from target_trader.clock import NEW_YORK
from target_trader.ledger import book
from target_trader.matching import Context
from target_trader.names import IntentState, Leg, Side
from target_trader.picture import BrokerExecution, BrokerOrder, BrokerPosition
from target_trader.reconcile import Reconciled
from target_trader.settings import Rules, Setup, Watchlist
from target_trader.state.checkpoint import (
    Checkpoint,
    ContractRecord,
    Intent,
    Position,
    new_checkpoint,
)
from target_trader.strategy.exits import Place, desired_exits, plan_exit_actions

DAY = date(2025, 10, 6)
NOW = datetime(2025, 10, 6, 10, 16, 32, tzinfo=NEW_YORK)
EARLIER = NOW - timedelta(minutes=11)
RULES = Rules()
KEY = "TSLA|LONG|444.77"


def setup(symbol: str) -> Setup:
    """Return TSLA's levels under any name."""
    return Setup(
        symbol=symbol,
        resistance=Decimal("444.77"),
        support=Decimal("432.50"),
        target1=Decimal("460.25"),
        target2=Decimal("470.50"),
    )


CONTEXT = Context(
    client_id=2001,
    watchlist=Watchlist(date=DAY, setups=tuple(map(setup, ("AMD", "NVDA", "TSLA")))),
    rules=RULES,
    now=NOW,
)


def ref(leg: str, symbol: str = "TSLA", attempt: int = 1) -> str:
    """Return an orderRef of the day."""
    return f"PS60|{symbol}|L|20251006|{attempt}|{leg}"


def state(symbol: str = "TSLA", *, entered: int = 100) -> Checkpoint:
    """Return the books of a bracket; with `entered` shares of it filled at 445.25."""
    checkpoint = new_checkpoint(DAY, now=EARLIER)
    add_trade(checkpoint, symbol, entered=entered)
    return checkpoint


def planned(trade: str, *, symbol: str = "TSLA", at: datetime = EARLIER) -> Position:
    """Return the trade of a break of TSLA's resistance, of which nothing has filled."""
    return Position(
        trade_id=trade,
        symbol=symbol,
        side=Side.LONG,
        contract=ContractRecord(symbol=symbol),
        pivot=Decimal("444.77"),
        target1=Decimal("460.25"),
        target2=Decimal("470.50"),
        planned_entry=Decimal("445.25"),
        initial_stop=Decimal("443.37"),
        partial_price=Decimal("447.13"),
        planned_shares=Decimal(100),
        entry_reason="STRONG break",
        signal_time=at,
        stop_price=Decimal("443.37"),
    )


def add_trade(checkpoint: Checkpoint, symbol: str, *, entered: int) -> None:
    """Add a bracket, its fills and its working exits to the books."""
    trade = f"PS60|{symbol}|L|20251006|1"
    checkpoint.attempts[f"{symbol}|LONG|444.77"] = 1
    checkpoint.positions[trade] = planned(trade, symbol=symbol)
    first = 10 * (1 + len(checkpoint.intents))
    for number, (leg, size, price) in enumerate(
        [(Leg.ENTRY, 100, None), (Leg.STOP, 100, "443.37"), (Leg.PARTIAL, 50, "447.13")]
    ):
        checkpoint.intents.append(
            Intent(
                order_ref=ref(leg, symbol),
                trade_id=trade,
                leg=leg,
                symbol=symbol,
                side=Side.LONG,
                action="BUY" if leg is Leg.ENTRY else "SELL",
                order_type={Leg.ENTRY: "MKT", Leg.STOP: "STP"}.get(leg, "LMT"),
                quantity=Decimal(size),
                order_id=first + number,
                stop_price=Decimal(price) if price and leg is Leg.STOP else None,
                limit_price=Decimal(price) if price and leg is Leg.PARTIAL else None,
                parent_id=0 if leg is Leg.ENTRY else first,
                planned_at=EARLIER,
                attempt_key=f"{symbol}|LONG|444.77" if leg is Leg.ENTRY else None,
            )
        )
    if entered:
        book(checkpoint, fill("entry", entered, "445.25", symbol=symbol, order=first))
        for intent in checkpoint.intents:
            if intent.symbol == symbol and intent.leg is not Leg.ENTRY:
                intent.state, intent.perm_id = IntentState.WORKING, 1000 + intent.order_id
                intent.client_id = 2001


def fill(
    leg: str,
    shares: int,
    price: str,
    *,
    symbol: str = "TSLA",
    order: int | None = None,
    at: datetime = EARLIER,
    number: int = 0,
) -> BrokerExecution:
    """Return a fill of a leg of the first bracket of the books."""
    order_id = order if order is not None else {"entry": 10, "stop": 11, "partial": 12}[leg]
    return BrokerExecution(
        exec_id=f"0000e0d5.{symbol}{leg}{number}.01.01",
        time=at,
        symbol=symbol,
        side="BOT" if leg == "entry" else "SLD",
        shares=Decimal(shares),
        price=Decimal(price),
        order_id=order_id,
        client_id=2001,
        perm_id=1000 + order_id,
        order_ref=ref(leg, symbol),
    )


def order(leg: str, size: int, price: str | None = None, **changes: Any) -> BrokerOrder:  # noqa: ANN401 - the fields have several types
    """Return an order of the first bracket as the broker lists it."""
    number = {"entry": 10, "stop": 11, "partial": 12}[leg]
    made = BrokerOrder(
        order_id=number,
        client_id=2001,
        perm_id=1000 + number,
        order_ref=ref(leg),
        symbol="TSLA",
        action="BUY" if leg == "entry" else "SELL",
        order_type={"entry": "MKT", "stop": "STP"}.get(leg, "LMT"),
        quantity=Decimal(size),
        filled=Decimal(0),
        limit_price=Decimal(price) if price and leg == "partial" else None,
        stop_price=Decimal(price) if price and leg == "stop" else None,
        status="Submitted",
    )
    return replace(made, **changes)


STOP = order("stop", 100, "443.37", status="PreSubmitted")
PARTIAL = order("partial", 50, "447.13")
ENTRY_FILL = fill("entry", 100, "445.25")


def held(quantity: int, symbol: str = "TSLA", cost: str = "445.26") -> BrokerPosition:
    """Return a position as the broker tells it."""
    return BrokerPosition(symbol, Decimal(quantity), Decimal(cost))


def quantity(outcome: Reconciled, symbol: str = "TSLA") -> Decimal:
    """Return what the books hold after reconciliation."""
    position = outcome.checkpoint.position_of(symbol)
    return Decimal(0) if position is None else position.signed_quantity


def states(outcome: Reconciled) -> dict[str, str]:
    """Return the state of each intent by its leg and number."""
    return {each.order_ref.rpartition("|")[2]: each.state for each in outcome.checkpoint.intents}


def steps(outcome: Reconciled) -> list[str]:
    """Return the legs that would be placed now."""
    position = outcome.checkpoint.position_of("TSLA")
    actions = plan_exit_actions(
        desired_exits(position, RULES),
        [
            each
            for each in outcome.checkpoint.intents
            if position is None or each.trade_id == position.trade_id
        ],
        client_id=2001,
    )
    return [f"{each.order.leg}{each.ordinal}" for each in actions if isinstance(each, Place)]
