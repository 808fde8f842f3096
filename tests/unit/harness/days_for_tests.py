"""Small days with what the bot tells of them, for tests of the laws on limits and trades."""

from typing import Any

from tests.unit.harness.stories import ENTRY, Story

DAY = "2025-10-06"
TRADE = "PS60|TSLA|L|20251006|1"
RULES = {
    "max_attempts": 2,
    "max_daily_loss": "1000",
    "max_daily_trades": 2,
    "breaker_failures": 5,
    "partial_share": "0.5",
    "breakeven_after_partial": True,
}


def trade(status: str = "OPEN", quantity: int = 100, closed: int = 0) -> dict[str, Any]:
    return {
        "symbol": "TSLA",
        "status": status,
        "quantity": str(quantity),
        "qty_closed": str(closed),
    }


def told(**changes: object) -> dict[str, Any]:
    belief: dict[str, Any] = {
        "day": DAY,
        "attempts": {"TSLA|LONG|444.77": 1},
        "trades_today": 1,
        "halted": None,
        "circuit_breaker": {"failures": 0, "tripped_at": None},
        "trades": {TRADE: trade()},
        "rules": RULES,
    }
    return {**belief, **changes}


def held() -> Story:
    """A life with one entry, on the wire and in the books."""
    story = Story().case().start().bar().received(order_id=1, symbol="TSLA", order_ref=ENTRY)
    return story.bracket().bar()


def nth(number: int) -> str:
    return f"PS60|TSLA|L|20251006|{number}|entry"


def in_and_out(story: Story, number: int, profit: str) -> Story:
    """The n-th trade of the day, from flat to flat."""
    entry, out = 10 * number, 10 * number + 1
    story.order(entry, "BUY", 100, ref=nth(number)).fill(entry, "BOT", 100, ref=nth(number))
    story.done(entry, "BUY", 100, ref=nth(number)).commission(None)
    ref = nth(number).replace("entry", "exit")
    story.order(out, "SELL", 100, ref=ref).fill(out, "SLD", 100, ref=ref)
    return story.done(out, "SELL", 100, ref=ref).commission(profit)
