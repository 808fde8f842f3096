"""Small factories for how a story must end, and for what must have happened in it.

Expectations give findings (FAIL); conditions give reasons (INCONCLUSIVE). Both read the broker's
books and journal, except those that say `believes`, which read the bot's own state.
"""

from decimal import Decimal

from harness.checks import Condition, Expectation, Needs
from harness.comparing import compare_ends
from harness.explore.trial import Trial
from harness.history import Fill, History
from harness.invariants.ledger import orders_at_end
from harness.result import Finding


def position(symbol: str, quantity: int | Decimal) -> Expectation:
    """The account ends with `quantity` shares of `symbol`, negative when short."""
    wanted = Decimal(quantity)
    name = f"the account ends with {wanted} {symbol}"

    def check(history: History, _clean: History | None) -> list[Finding]:
        last = [fill for fill in history.fills if fill.symbol == symbol]
        held = last[-1].position_after if last else Decimal(0)
        if held == wanted:
            return []
        seqs = tuple(fill.seq for fill in last[-1:])
        price = last[-1].price if last else Decimal(0)
        return [
            Finding(
                invariant="Expected",
                sentence=f"The account ends with {held} {symbol}; it should be {wanted}.",
                seqs=seqs,
                at_risk=abs(held - wanted) * price,
            )
        ]

    return Expectation(name=name, needs=Needs.BOOKS, check=check)


def flat(symbol: str) -> Expectation:
    """The account ends without a position in `symbol`, and without working orders in it."""
    no_shares = position(symbol, 0)

    def check(history: History, clean: History | None) -> list[Finding]:
        left = [order for order in orders_at_end(history) if order.symbol == symbol]
        findings = no_shares.check(history, clean)
        findings += [
            Finding(
                invariant="Expected",
                sentence=f"The day ends and {order.describe()} still works at the broker.",
                seqs=(order.seq,),
            )
            for order in left
        ]
        return findings

    return Expectation(name=f"{symbol} ends flat", needs=Needs.BOOKS, check=check)


def working_stop(symbol: str, price: str | Decimal, quantity: int | Decimal) -> Expectation:
    """Exactly one working stop order of `symbol`, at `price`, for `quantity` shares."""
    wanted = (Decimal(price), Decimal(quantity))
    name = f"one stop of {symbol} works at {price} for {quantity}"

    def check(history: History, _clean: History | None) -> list[Finding]:
        stops = [o for o in orders_at_end(history) if o.symbol == symbol and o.is_stop]
        if [(order.aux_price, order.remaining) for order in stops] == [wanted]:
            return []
        found = ", ".join(f"{order.aux_price} for {order.remaining}" for order in stops) or "none"
        return [
            Finding(
                invariant="Expected",
                sentence=f"A stop of {symbol} at {price} for {quantity} should work at the "
                f"broker; there is {found}.",
                seqs=tuple(order.seq for order in stops),
            )
        ]

    return Expectation(name=name, needs=Needs.BOOKS, check=check)


def working_order(
    symbol: str, order_type: str, *, price: str | Decimal, quantity: int | Decimal
) -> Expectation:
    """Exactly one working order of a type ("LMT") in `symbol`, at `price`, for `quantity`."""
    wanted = (Decimal(price), Decimal(quantity))

    def check(history: History, _clean: History | None) -> list[Finding]:
        found = [
            order
            for order in orders_at_end(history)
            if order.symbol == symbol and order.order_type == order_type
        ]
        told = [(o.limit_price if o.aux_price is None else o.aux_price, o.remaining) for o in found]
        if told == [wanted]:
            return []
        there = ", ".join(f"{at} for {shares}" for at, shares in told) or "none"
        return [
            Finding(
                invariant="Expected",
                sentence=f"One {order_type} order of {symbol} at {price} for {quantity} should "
                f"work at the broker; there is {there}.",
                seqs=tuple(order.seq for order in found),
            )
        ]

    name = f"one {order_type} of {symbol} works at {price} for {quantity}"
    return Expectation(name=name, needs=Needs.BOOKS, check=check)


def entries(symbol: str, count: int) -> Expectation:
    """The position in `symbol` was opened from flat exactly `count` times over the day."""

    def check(history: History, _clean: History | None) -> list[Finding]:
        opened = openings(history, symbol)
        if len(opened) == count:
            return []
        return [
            Finding(
                invariant="Expected",
                sentence=f"{symbol} was entered {times(len(opened))}; it should be {times(count)}.",
                seqs=tuple(fill.seq for fill in opened),
            )
        ]

    return Expectation(name=f"{symbol} is entered {times(count)}", needs=Needs.BOOKS, check=check)


def no_entry_after_last_restart(symbol: str) -> Expectation:
    """The last life of the bot opens no position in `symbol`."""

    def check(history: History, _clean: History | None) -> list[Finding]:
        last = history.lives[-1].first_seq if history.lives else 0
        late = [fill for fill in openings(history, symbol) if fill.seq > last]
        return [
            Finding(
                invariant="Expected",
                sentence=f"After the last restart the bot entered {symbol} again "
                f"({fill.side} {fill.shares} at {fill.price}); it should have stayed out.",
                seqs=(fill.seq,),
                at_risk=fill.shares * fill.price,
            )
            for fill in late
        ]

    name = f"{symbol} is not entered after the last restart"
    return Expectation(name=name, needs=Needs.BOOKS, check=check)


def believes_position(
    symbol: str,
    quantity: int | Decimal,
    *,
    entry_price: str | Decimal | None = None,
    stop_price: str | Decimal | None = None,
    partials: int | None = None,
) -> Expectation:
    """At the end the bot believes this of `symbol`; what is None is not looked at."""
    wanted = {
        "quantity": Decimal(quantity),
        "entry price": None if entry_price is None else Decimal(entry_price),
        "stop price": None if stop_price is None else Decimal(stop_price),
        "partials": partials,
    }

    def check(history: History, _clean: History | None) -> list[Finding]:
        state = history.final_state
        if state is None:
            return []
        held = state.belief.positions.get(symbol)
        told = {
            "quantity": state.belief.quantity(symbol),
            "entry price": held.entry_price if held else None,
            "stop price": held.stop_price if held else None,
            "partials": held.partials if held else None,
        }
        return [
            Finding(
                invariant="Expected",
                sentence=f"At the end the bot believes the {name} of {symbol} to be "
                f"{told[name]}; it should be {value}.",
                seqs=(state.seq,),
            )
            for name, value in wanted.items()
            if value is not None and told[name] != value
        ]

    return Expectation(
        name=f"the bot believes that it holds {quantity} {symbol}", needs=Needs.BELIEF, check=check
    )


def believes_flat(symbol: str) -> Expectation:
    """At the end the bot believes that it holds nothing of `symbol`."""
    return believes_position(symbol, 0)


def believes_attempts(symbol: str, side: str, *, count: int) -> Expectation:
    """At the end the bot has `count` attempts booked for `symbol` and `side` ("LONG")."""

    def check(history: History, _clean: History | None) -> list[Finding]:
        state = history.final_state
        if state is None:
            return []
        told = sum(
            used
            for key, used in state.belief.attempts.items()
            if key.split("|")[:2] == [symbol, side]
        )
        if told == count:
            return []
        return [
            Finding(
                invariant="Expected",
                sentence=f"The bot remembers {told} attempts of {symbol} {side}; it made {count}.",
                seqs=(state.seq,),
            )
        ]

    name = f"the bot remembers {count} attempts of {symbol} {side}"
    return Expectation(name=name, needs=Needs.BELIEF, check=check)


def same_end_as_clean() -> Expectation:
    """The books end as those of the same case without its crashes.

    Meant for crashes without downtime, in which no event of the market is missed.
    """
    return Expectation(
        name="the books end as if there had been no crash",
        needs=Needs.BOOKS,
        check=compare_ends,
        compares=True,
    )


def same_end_when_undisturbed() -> Expectation:
    """The books end as without the crashes, where a sweep has added nothing but crashes."""

    def check(history: History, clean: History | None) -> list[Finding]:
        return [] if disturbed(history) else compare_ends(history, clean)

    return Expectation(
        name="the books end as if there had been no crash, where nothing else happened",
        needs=Needs.BOOKS,
        check=check,
        compares=True,
    )


def disturbed(history: History) -> bool:
    """Whether anything but crashes was done to a run, as the trial of its first line says."""
    told = history.of_kind("case")
    text = str(told[0].data.get("trial", "")) if told else ""
    trial = Trial.parse(text) if text else Trial()
    return not trial.plain


def openings(history: History, symbol: str) -> list[Fill]:
    """The first fills of positions in `symbol`: those that met a flat account.

    A fill of a bot's order only; consecutive executions of one order open once, and an execution
    that is corrected opens nothing again.
    """
    return [
        fill
        for fill in history.fills
        if fill.symbol == symbol
        and fill.position_before == 0
        and fill.client_id != 0
        and fill.seq not in history.corrections
    ]


def times(count: int) -> str:
    """Say how often: "once", "twice", "3 times", "never"."""
    return {0: "never", 1: "once", 2: "twice"}.get(count, f"{count} times")


def killed(count: int = 1) -> Condition:
    """Every planned kill happened: `count` of them."""

    def missing(history: History) -> str | None:
        if len(history.kills) == count:
            return None
        return f"the bot was killed {times(len(history.kills))}, not {times(count)} as planned"

    return Condition(name=f"the bot was killed {times(count)}", missing=missing)


def restarted(count: int = 1) -> Condition:
    """The bot was launched again `count` times after its first launch."""

    def missing(history: History) -> str | None:
        launches = max(0, len(history.lives) - 1)
        if launches == count:
            return None
        return f"the bot was restarted {times(launches)}, not {times(count)} as planned"

    return Condition(name=f"the bot was restarted {times(count)}", missing=missing)


def held_when_killed(symbol: str, quantity: int | Decimal, *, kill: int = 1) -> Condition:
    """The account held `quantity` shares of `symbol` at the given kill (1 is the first)."""
    wanted = Decimal(quantity)

    def missing(history: History) -> str | None:
        if len(history.kills) < kill:
            return f"there was no kill number {kill}"
        moment = history.kills[kill - 1].seq
        before = [f for f in history.fills if f.symbol == symbol and f.seq < moment]
        held = before[-1].position_after if before else Decimal(0)
        if held == wanted:
            return None
        return f"at kill {kill} the account held {held} {symbol}, not {wanted} as planned"

    return Condition(name=f"{wanted} {symbol} held at kill {kill}", missing=missing)


def fill_while_dead(symbol: str) -> Condition:
    """At least one execution in `symbol` happened between a kill and the next launch."""

    def missing(history: History) -> str | None:
        if any(fill.symbol == symbol for fill in fills_while_dead(history)):
            return None
        return f"no order of {symbol} was filled while the bot was dead"

    return Condition(name=f"a fill of {symbol} while the bot is dead", missing=missing)


def fills_while_dead(history: History) -> list[Fill]:
    """The executions between a kill and the launch after it (or the end)."""
    gaps = [(life.killed.seq, life.last_seq) for life in history.lives if life.killed is not None]
    return [f for f in history.fills if any(start < f.seq <= end for start, end in gaps)]


def entered(symbol: str, at_least: int = 1) -> Condition:
    """The bot entered `symbol` at least so often."""

    def missing(history: History) -> str | None:
        found = len(openings(history, symbol))
        if found >= at_least:
            return None
        return f"{symbol} was entered {times(found)}; the story needs {times(at_least)}"

    return Condition(name=f"{symbol} entered {times(at_least)}", missing=missing)


def price_reached(symbol: str, price: str | Decimal, *, after_last_restart: bool) -> Condition:
    """A bar of `symbol` closed at or above `price`, after the last restart if so asked."""
    level = Decimal(price)

    def missing(history: History) -> str | None:
        start = history.lives[-1].first_seq if history.lives and after_last_restart else 0
        closes = (
            Decimal(str(bar.data["close"]))
            for bar in history.of_kind("bar")
            if bar.seq > start and bar.data.get("symbol") == symbol
        )
        if any(close >= level for close in closes):
            return None
        return f"no bar of {symbol} closed at or above {price} where the story needs it"

    return Condition(name=f"{symbol} closed at or above {price}", missing=missing)
