"""Runs in which a bot may not have heard or reached the broker, though it was connected."""

from harness.history import History


def troubled(history: History) -> bool:
    """Whether something at the broker was broken on purpose: messages may be late or missing."""
    return bool(history.of_kind("fault"))


def by_hand(history: History, symbol: str | None = None) -> bool:
    """Whether somebody has placed orders by hand, in a symbol or at all."""
    return any(
        not order.by_bot and (symbol is None or order.symbol == symbol) for order in history.orders
    )
