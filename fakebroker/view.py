"""What a person sees while the broker runs: sessions, orders and fills as tables.

A picture is a function of the same two answers that the control socket gives; nothing is looked up
and nothing is kept. Newest first, and no more than fits on a screen.
"""

from decimal import Decimal

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from fakebroker.control_messages import BookExecution, BookOrder, Books, Status
from fakebroker.journal import EXCHANGE_ZONE

ROWS = 10
"""How many orders and how many fills are shown."""
SIDES = {"BUY": "green", "SELL": "red", "BOT": "green", "SLD": "red"}
STATUSES = {
    "Filled": "green",
    "Submitted": "cyan",
    "PreSubmitted": "cyan",
    "PendingCancel": "yellow",
    "Cancelled": "dim",
    "Inactive": "red",
}


def render(status: Status, books: Books, *, rows: int = ROWS) -> RenderableType:
    """Return the picture of one moment; at most `rows` orders and `rows` fills are in it."""
    return Group(
        headline(status, books),
        sessions_table(status),
        positions_table(books),
        orders_table(books, rows),
        fills_table(books, rows),
    )


def headline(status: Status, books: Books) -> Text:
    """Return time, port, tape, cash and, where it stands still, the point."""
    time = status.now.astimezone(EXCHANGE_ZONE)
    parts = [
        f"{time:%Y-%m-%d %H:%M:%S} New York",
        f"port {status.port}",
        f"bars {status.bars_played} played, {status.bars_left} left",
        f"frames {status.frames_received} in, {status.frames_sent} out",
        f"cash {books.cash:,.2f}",
    ]
    text = Text(" | ".join(parts), style="bold")
    if status.halted is not None:
        point = status.halted
        words = f"{point.direction} {point.message} {point.occurrence} {point.moment}"
        text.append(f"\nstands still at {words}", style="bold yellow")
    return text


def sessions_table(status: Status) -> Table:
    """Return the connections."""
    table = Table("session", "client", "state", "from port", title="Sessions", title_justify="left")
    for session in status.sessions:
        client = "" if session.client_id is None else str(session.client_id)
        state = "ready" if session.ready else "not started"
        port = "" if session.peer_port is None else str(session.peer_port)
        table.add_row(str(session.session), client, state, port)
    return table


def positions_table(books: Books) -> Table:
    """Return the positions with what they cost and have realised."""
    table = Table(
        "account", "symbol", "shares", "cost", "realised", title="Positions", title_justify="left"
    )
    for held in books.positions:
        table.add_row(
            held.account,
            shown(held.symbol),
            number(held.quantity),
            money(held.average_cost),
            money(held.realized_pnl),
        )
    return table


def orders_table(books: Books, rows: int) -> Table:
    """Return the newest orders; live ones come before those that are done."""
    heads = ("client", "id", "permId", "order", "filled", "status", "reference")
    title = f"Orders ({len(books.orders)})"
    table = Table(*heads, title=title, title_justify="left")
    newest = sorted(books.orders, key=lambda order: (order.working, order.perm_id), reverse=True)
    for order in newest[:rows]:
        table.add_row(
            str(order.client_id),
            str(order.order_id),
            str(order.perm_id),
            terms(order),
            number(order.filled),
            Text(order.status, STATUSES.get(order.status, "")),
            shown(order.order_ref),
        )
    return table


def fills_table(books: Books, rows: int) -> Table:
    """Return the newest fills."""
    heads = ("time", "client", "fill", "commission", "realised", "reference")
    title = f"Fills ({len(books.executions)})"
    table = Table(*heads, title=title, title_justify="left")
    for fill in books.executions[: -rows - 1 : -1]:
        table.add_row(
            f"{fill.time.astimezone(EXCHANGE_ZONE):%H:%M:%S}",
            str(fill.client_id),
            trade(fill),
            money(fill.commission),
            money(fill.realized_pnl),
            shown(fill.order_ref),
        )
    return table


def terms(order: BookOrder) -> Text:
    """Return an order as one says it: SELL 100 TSLA STP 98."""
    words = [order.action, number(order.quantity), order.symbol, order.order_type]
    words += [number(price) for price in (order.limit_price, order.aux_price) if price is not None]
    return shown(" ".join(words), SIDES.get(order.action, ""))


def trade(fill: BookExecution) -> Text:
    """Return a fill as one says it: BOT 100 TSLA at 101.5."""
    words = f"{fill.side} {number(fill.shares)} {fill.symbol} at {number(fill.price)}"
    return shown(words, SIDES.get(fill.side, ""))


def shown(text: str, style: str = "") -> Text:
    """Return a client's text as it is: no markup, no control characters, no more than a line."""
    plain = "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in text)
    return Text(plain if len(plain) <= 60 else f"{plain[:57]}...", style)


def number(value: Decimal) -> str:
    """Return a number without zeros that say nothing."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def money(value: Decimal | None) -> str:
    """Return an amount in cents, nothing when it is unknown."""
    return "" if value is None else f"{value:,.2f}"
