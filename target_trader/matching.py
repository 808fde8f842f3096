"""Which of the broker's orders is which of our intents, and what becomes of those without one.

Pure. The rule, per intent: permId if both sides know it, else the orderRef. An intent without
any trace in open orders, completed orders and executions is *unknown* and stays so until it has
been asked for again; only then it is lost. An order that the broker had confirmed and no longer
knows has ended.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from target_trader.ledger import refold, used_attempts
from target_trader.names import SMA, IntentState, Leg, RefParts, attempt_key, parse_ref
from target_trader.picture import BrokerOrder, Picture
from target_trader.report import Report, StateOrigin
from target_trader.settings import Rules, Watchlist
from target_trader.state.checkpoint import Checkpoint, Intent, LastSignal
from target_trader.strategy.sma import give_back, signal_key, signal_word


@dataclass(frozen=True, slots=True)
class Context:
    """What a reconciliation needs to know besides the two sides.

    `withdrawn` are the order ids for which a cancel was sent before the picture was taken: if
    the broker still knows nothing of them, they never arrived. `origin` is where the state came
    from, for the first reconciliation of a start; it is told and decides nothing.
    """

    client_id: int
    watchlist: Watchlist
    rules: Rules
    now: datetime
    withdrawn: frozenset[int] = frozenset()
    origin: StateOrigin | None = None


def match_orders(
    checkpoint: Checkpoint, picture: Picture, *, context: Context, report: Report
) -> None:
    """Bring every intent to what the broker says of it; executions are booked already."""
    seen: set[int] = set()
    for order in picture.open_orders:
        intent = find(checkpoint.intents, order)
        if intent is None:
            intent = adopt_order(checkpoint, order, context=context, report=report)
        if intent is not None:
            confirm(intent, order, context=context)
            seen.add(id(intent))
    for order in picture.completed_orders:
        intent = find(checkpoint.intents, order)
        if intent is not None and id(intent) not in seen:
            finish(intent, order, context=context)
            seen.add(id(intent))
    refold(checkpoint)
    for intent in checkpoint.intents:
        if intent.live and id(intent) not in seen:
            miss(checkpoint, intent, context=context, report=report)
    doubt_half_brackets(checkpoint, report=report)
    give_back_lost_entries(checkpoint, report=report)
    raise_attempts(checkpoint, picture, context=context, report=report)


def find(intents: Iterable[Intent], order: BrokerOrder) -> Intent | None:
    """Return the intent that an order carries out, the newest if a ref was used again."""
    newest_first = list(reversed(list(intents)))
    for intent in newest_first:
        if intent.perm_id is not None and intent.perm_id == order.perm_id:
            return intent
    for intent in newest_first:
        # Completed orders carry no order id; open ones do, and it must be this send's.
        same_send = order.order_id in {0, intent.order_id}
        if intent.perm_id is None and intent.order_ref == order.order_ref and same_send:
            return intent
    return None


def confirm(intent: Intent, order: BrokerOrder, *, context: Context) -> None:
    """Take over what an open order says: the broker owns ids, quantities and prices.

    Being listed is what makes it a working order, not its status: ib_insync marks orders
    Cancelled by itself on some errors (tws-protocol.md section 3.8). Inactive is not final
    (section 3.4) but protects nothing, so it is asked for again, withdrawn, and then given up.
    """
    intent.perm_id = order.perm_id or intent.perm_id
    intent.client_id = order.client_id
    if order.quantity > 0:
        intent.quantity = order.quantity
    intent.limit_price = order.limit_price
    intent.stop_price = order.stop_price
    if order.status != "Inactive":
        intent.state = IntentState.WORKING
        intent.unknown_since = None
    elif intent.state is IntentState.REJECTED or intent.order_id in context.withdrawn:
        intent.state = IntentState.REJECTED
        intent.unknown_since = None
    else:
        intent.state = IntentState.UNKNOWN
        intent.unknown_since = intent.unknown_since or context.now


def finish(intent: Intent, order: BrokerOrder, *, context: Context) -> None:
    """Take over how an order ended; its fills come from the executions, if these are told.

    An unseen entry that our own cancel has ended was parked at the broker, never transmitted:
    as good as lost.
    """
    withdrawn = intent.unseen and intent.order_id in context.withdrawn
    # Given up stays given up: the same answer a second time must not make it a cancelled order.
    parked = order.filled == 0 and (withdrawn or intent.state is IntentState.LOST)
    intent.perm_id = order.perm_id or intent.perm_id
    if order.quantity > 0:
        intent.quantity = order.quantity
    match order.status:
        case "Filled":
            intent.state = IntentState.FILLED
        case "Inactive":
            intent.state = IntentState.REJECTED
        case _:
            intent.state = IntentState.LOST if parked else IntentState.CANCELLED
    intent.unknown_since = None


def adopt_order(
    checkpoint: Checkpoint, order: BrokerOrder, *, context: Context, report: Report
) -> Intent | None:
    """Make an intent of a working order that carries our ref and that the state does not know."""
    parts = parse_ref(order.order_ref)
    if parts is None:
        words = f"{order.order_type} {order.quantity} by client {order.client_id}"
        report.warn(f"   {order.symbol}: foreign order left alone: {order.action} {words}")
        return None
    report.warn(f"   {order.symbol}: working order {order.order_ref} was not in the state: adopted")
    intent = Intent(
        order_ref=order.order_ref,
        trade_id=parts.trade_id,
        leg=parts.leg,
        ordinal=parts.ordinal,
        symbol=order.symbol,
        side=parts.side,
        action=order.action,
        order_type=order.order_type,
        quantity=order.quantity,
        order_id=order.order_id,
        oca_group=order.oca_group,
        planned_at=context.now,
    )
    checkpoint.intents.append(intent)
    return intent


def miss(checkpoint: Checkpoint, intent: Intent, *, context: Context, report: Report) -> None:
    """Decide about a live intent that neither open nor completed orders show."""
    acknowledged = intent.state is IntentState.WORKING or intent.perm_id is not None
    withdrawn = intent.state is IntentState.UNKNOWN and intent.order_id in context.withdrawn
    if acknowledged and not withdrawn:
        intent.state = IntentState.CANCELLED
        intent.unknown_since = None
        report.warn(f"   {intent.symbol}: {intent.order_ref} no longer works at IBKR")
    elif intent.order_id in context.withdrawn or parent_has_traded(checkpoint, intent):
        intent.state = IntentState.LOST
        intent.unknown_since = None
        report.warn(f"   {intent.symbol}: {intent.order_ref} never reached IBKR: lost")
    else:
        intent.state = IntentState.UNKNOWN
        intent.unknown_since = intent.unknown_since or context.now
        report.warn(
            f"   {intent.symbol}: {intent.order_ref} may or may not have been sent: unknown"
        )


def parent_has_traded(checkpoint: Checkpoint, intent: Intent) -> bool:
    """Tell whether the bracket of a child has traded already.

    The last child transmits the bracket, so a filled parent without this child means that the
    broker has dealt with the whole family and the child is not on its way any more.
    """
    return intent.parent_id != 0 and any(
        each.order_id == intent.parent_id and each.filled > 0 for each in checkpoint.intents
    )


def doubt_half_brackets(checkpoint: Checkpoint, *, report: Report) -> None:
    """Doubt a listed bracket of which a leg never arrived.

    The last leg is the one that transmits. Without it the others are parked in TWS: some list
    them (tws-protocol.md section 3.3), but they do not work, and nobody will release them.
    """
    for entry in checkpoint.intents:
        if entry.leg is not Leg.ENTRY or not entry.live or entry.filled > 0:
            continue
        family = [each for each in checkpoint.intents if each.parent_id == entry.order_id]
        missing = [each.unknown_since for each in family if each.state is IntentState.UNKNOWN]
        since = min((moment for moment in missing if moment is not None), default=None)
        if since is None:
            continue
        for each in (entry, *family):
            if each.state is IntentState.WORKING:
                # As long unknown as the missing leg: the family is decided together.
                each.state, each.unknown_since = IntentState.UNKNOWN, since
                report.warn(f"   {each.symbol}: {each.order_ref} is parked, its bracket incomplete")


def give_back_lost_entries(checkpoint: Checkpoint, *, report: Report) -> None:
    """Undo the signal of a lost entry: the attempt is returned, the signal may be taken again.

    The intents stay as a record. The trade is dropped, so the next send is the same attempt and
    carries the same orderRef.
    """
    for intent in checkpoint.intents:
        if intent.leg is not Leg.ENTRY or intent.state is not IntentState.LOST:
            continue
        if intent.attempt_key is None:
            continue
        key, intent.attempt_key = intent.attempt_key, None
        checkpoint.positions.pop(intent.trade_id, None)
        for child in checkpoint.intents:
            if child.parent_id == intent.order_id and child.live:
                child.state = IntentState.LOST
                child.unknown_since = None
        if not is_of_day(intent, checkpoint.day):
            continue  # The budget that it was taken from ended with its day.
        checkpoint.attempts[key] = max(0, checkpoint.attempts.get(key, 0) - 1)
        if intent.trade_id.startswith(f"{SMA}|"):
            give_back(checkpoint, intent.symbol, intent.side)
        else:
            checkpoint.memory(intent.symbol).pending = intent.side
        report.info(f"   {intent.symbol}: attempt given back, the signal may be taken again")
    drop_empty_trades(checkpoint)


def drop_empty_trades(checkpoint: Checkpoint) -> None:
    """Drop trades that have no fill and can get none any more."""
    entries = [each for each in checkpoint.intents if each.leg is Leg.ENTRY]
    waiting = {each.trade_id for each in entries if each.live or each.untold > 0}
    filled = {each.trade_id for each in checkpoint.executions.values()}
    empty = [
        name
        for name, position in checkpoint.positions.items()
        if position.shares == position.open_shares == 0
        and name not in waiting
        and name not in filled
    ]
    for name in empty:
        del checkpoint.positions[name]


def is_of_day(intent: Intent, day: date) -> bool:
    """Tell whether an order belongs to a signal of this day."""
    parts = parse_ref(intent.order_ref)
    return parts is not None and parts.day == f"{day:%Y%m%d}"


def raise_attempts(
    checkpoint: Checkpoint, picture: Picture, *, context: Context, report: Report
) -> None:
    """Count attempts that the broker shows and the state does not (a lost or older state)."""
    refs = [each.order_ref for each in picture.executions]
    refs += [each.order_ref for each in picture.open_orders]
    ended = picture.completed_orders
    refs += [each.order_ref for each in ended if each.filled > 0 or each.status == "Filled"]
    today = f"{checkpoint.day:%Y%m%d}"
    for parts in filter(None, map(parse_ref, refs)):
        counted = budget_of(checkpoint, parts, context=context)
        if parts.day != today or parts.attempt is None or counted is None:
            continue
        key, used = counted
        missing = parts.attempt - used
        if missing > 0:
            checkpoint.attempts[key] = checkpoint.attempts.get(key, 0) + missing
            report.warn(f"   {parts.symbol}: IBKR shows attempt {parts.attempt}: counted")
            if parts.strategy == SMA:
                raise_signal(checkpoint, parts, context=context)


def budget_of(
    checkpoint: Checkpoint, parts: RefParts, *, context: Context
) -> tuple[str, int] | None:
    """Return the budget that a trade's attempt is taken from, and how much of it is used.

    Those of the crossover are a count of their own, beside the levels. None: the level is not
    known any more.
    """
    if parts.strategy == SMA:
        key = attempt_key(parts.symbol, parts.side, None)
        return key, checkpoint.attempts.get(key, 0)
    setup = context.watchlist.setup(parts.symbol)
    if setup is None:
        return None
    key = attempt_key(parts.symbol, parts.side, setup.pivot(parts.side))
    return key, used_attempts(checkpoint, parts.symbol, side=parts.side)


def raise_signal(checkpoint: Checkpoint, parts: RefParts, *, context: Context) -> None:
    """Remember the cross behind a trade that only the broker shows, so that it is not taken twice.

    When it was and at what price is not told; the present moment stands for it.
    """
    key = signal_key(parts.symbol, context.rules.sma)
    word = signal_word(parts.side)
    known = checkpoint.last_signals.get(key)
    if known is None or known.signal != word:
        checkpoint.last_signals[key] = LastSignal(
            signal=word, bar_time=context.now, price=Decimal(0)
        )


def urgent_unknowns(checkpoint: Checkpoint, *, rules: Rules, now: datetime) -> list[Intent]:
    """Return the unknown intents that must be decided now.

    Those whose grace is over, and at once every unknown stop of a position that holds shares:
    a position without a stop is worse than a question asked early, and two stops in one OCA
    group that reduces with block cannot both fill.
    """
    due = []
    for intent in checkpoint.intents:
        if intent.state is not IntentState.UNKNOWN or intent.unknown_since is None:
            continue
        position = checkpoint.positions.get(intent.trade_id)
        naked = intent.leg is Leg.STOP and position is not None and position.open_shares != 0
        if naked or now - intent.unknown_since >= rules.grace:
            due.append(intent)
    return due
