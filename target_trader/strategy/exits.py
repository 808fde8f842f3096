"""The exits that a position should have, and the steps from those that it has to those.

Declarative and pure: live and after a restart the same two functions run on what is known, so
there is no "place the stop when the fill comes in" that a crash could miss. Applying the steps
and planning again gives no further steps.

All exits of a trade share one OCA group with ocaType 2 (reduce with block, tws-protocol.md
section 3.7): the broker itself keeps a stop and a target from filling both, and shrinks the
stop when the partial fills while the bot is dead.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal

from target_trader.names import IntentState, Leg, to_tick
from target_trader.settings import Rules
from target_trader.state.checkpoint import Intent, Position


@dataclass(frozen=True, slots=True)
class ExitOrder:
    """An exit as it should stand: `quantity` is what is still to be closed by it, in shares.

    `price` is None for an order at market.
    """

    leg: Leg
    action: str
    order_type: str
    quantity: Decimal
    price: Decimal | None


@dataclass(frozen=True, slots=True)
class Place:
    """Send this exit as a new order, the `ordinal`-th of its leg."""

    order: ExitOrder
    ordinal: int


@dataclass(frozen=True, slots=True)
class Modify:
    """Change the live order to this; its id stays."""

    order_id: int
    order: ExitOrder


@dataclass(frozen=True, slots=True)
class Cancel:
    """Take this live order back."""

    order_id: int


Action = Place | Modify | Cancel


def partial_shares(position: Position, rules: Rules) -> Decimal:
    """Return the shares that the partial exit closes in all, a whole number."""
    if position.partial_price is None:
        return Decimal(0)
    return (position.shares * rules.partial_share).to_integral_value(ROUND_FLOOR)


def taken_shares(position: Position) -> Decimal:
    """Return the shares that the partial exit has closed so far."""
    return sum((partial.shares for partial in position.partials_taken), Decimal(0))


def partial_done(position: Position, rules: Rules) -> bool:
    """Tell whether the partial exit has filled completely."""
    wanted = partial_shares(position, rules)
    return wanted > 0 and taken_shares(position) >= wanted


def desired_exits(position: Position | None, rules: Rules) -> tuple[ExitOrder, ...]:
    """Return the exits that a position should have right now.

    A stop over everything that is open, at the initial stop and from the filled partial on at
    the average entry price (breakeven); the rest of the partial while it is not taken; the
    first target for the runner after it is. A position whose end is asked for has an order at
    market over everything in place of the profit exits; its stop stays until that has filled.
    """
    if position is None or position.open_shares <= 0:
        return ()
    held = position.open_shares
    action = position.side.exit_action
    done = partial_done(position, rules)
    stop_price = to_tick(position.entry_price) if done else position.initial_stop
    exits = [ExitOrder(Leg.STOP, action, "STP", held, stop_price)]
    if position.exit_requested is not None:
        exits.append(ExitOrder(Leg.EXIT, action, "MKT", held, None))
        return tuple(exits)
    left = min(partial_shares(position, rules) - taken_shares(position), held)
    if left > 0 and position.partial_price is not None:
        exits.append(ExitOrder(Leg.PARTIAL, action, "LMT", left, position.partial_price))
    elif position.target1 is not None:
        exits.append(ExitOrder(Leg.TARGET, action, "LMT", held, position.target1))
    return tuple(exits)


def plan_exit_actions(
    desired: Sequence[ExitOrder], intents: Sequence[Intent], *, client_id: int
) -> tuple[Action, ...]:
    """Return the steps from the orders of a trade to its desired exits.

    A leg whose order is unconfirmed is left alone: a second one could be a duplicate, a change
    could overtake the first. While the entry works its children protect what has filled, so
    nothing is shrunk or added but a stop that is missing. Once a stop has started to fill, the
    broker is closing the trade, and only a gap in the protection is mended. An exit at market waits
    for a live stop that fills, too, and is sent again when it has ended with shares still held.

    Args:
        desired: the exits that should stand.
        intents: every order of the trade, live and done.
        client_id: ours; another client's orders cannot be changed (tws-protocol.md section 3.3).
    """
    entry_works = any(each.leg is Leg.ENTRY and each.live for each in intents)
    stops = [each for each in intents if each.leg is Leg.STOP and each.filled > 0]
    stopping = bool(stops)
    actions: list[Action] = []
    wanted = {order.leg: order for order in desired}
    for leg in (Leg.STOP, Leg.PARTIAL, Leg.TARGET, Leg.EXIT):
        of_leg = [each for each in intents if each.leg is leg]
        live = [each for each in of_leg if each.live]
        order = wanted.get(leg)
        if order is None:
            if not entry_works:
                # An unconfirmed one may be answered yet; it is taken back once it is known.
                gone = [each for each in live if not each.unseen and is_ours(each, client_id)]
                actions += [Cancel(each.order_id) for each in gone]
            continue
        if any(each.unseen for each in live):
            continue
        if not live:
            match leg:
                case Leg.STOP:
                    due = True
                case Leg.EXIT:
                    due = not entry_works and not any(each.live for each in stops)
                case _:
                    due = may_place(of_leg) and not entry_works and not stopping
            if due:
                actions.append(Place(order, ordinal=next_ordinal(leg, of_leg)))
            continue
        keep = live[0]
        spare = [each for each in live[1:] if is_ours(each, client_id)]
        actions += [Cancel(each.order_id) for each in spare]
        grows = order.quantity > keep.remaining
        quiet = entry_works or stopping
        if is_ours(keep, client_id) and differs(keep, order) and (grows or not quiet):
            actions.append(Modify(keep.order_id, order))
    return tuple(sorted(actions, key=rank))


def rank(action: Action) -> int:
    """Order the steps: the stop first, and what is too much goes last (the OCA group holds it)."""
    match action:
        case Cancel():
            return 2
        case Modify(order=order) | Place(order=order):
            return 0 if order.leg is Leg.STOP else 1


def is_ours(intent: Intent, client_id: int) -> bool:
    """Tell whether this connection may change the order; 0 is an order not yet confirmed."""
    return intent.client_id in {0, client_id}


def differs(intent: Intent, order: ExitOrder) -> bool:
    """Tell whether a live order is not as desired."""
    return intent.remaining != order.quantity or intent.price != order.price


def may_place(of_leg: Sequence[Intent]) -> bool:
    """Tell whether a profit exit may be sent: never yet, or never seen by the broker.

    One that the broker or a person has cancelled stays cancelled; protection does not depend
    on it.
    """
    return all(each.state is IntentState.LOST for each in of_leg)


def next_ordinal(leg: Leg, of_leg: Sequence[Intent]) -> int:
    """Return the number of the next order of a leg, 1 for the first.

    An exit that never reached the broker is sent again under its own name, as a lost entry is, so
    that the crash is not to be seen in the books. A stop and the child of a bracket get another:
    they are given up without the grace period, and should the first arrive after all, the two must
    be told apart.
    """
    never_there = [
        each
        for each in of_leg
        if each.state is IntentState.LOST and each.filled == 0 and each.parent_id == 0
    ]
    used = of_leg if leg is Leg.STOP else [each for each in of_leg if each not in never_there]
    return max((each.ordinal for each in used), default=0) + 1
