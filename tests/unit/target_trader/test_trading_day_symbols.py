"""A watchlist with a symbol that IBKR does not know: it is named, and the others are traded."""

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

Days = Callable[..., Any]


def test_a_symbol_that_ibkr_does_not_know_is_named_and_the_others_are_traded(
    trading_day: Days,
) -> None:
    day = trading_day(["445.25", "445.00"])
    path = day.folder / "watchlist.json"
    watchlist = json.loads(path.read_text())
    watchlist["setups"].append({**watchlist["setups"][0], "symbol": "NO-SUCH"})
    path.write_text(json.dumps(watchlist))
    day.launch()
    assert "NO-SUCH is unknown to IBKR: not traded" in day.log()
    assert day.play() is None
    assert day.fills() == [("1|entry", "BOT", Decimal(100), Decimal("445.25"))]
    assert day.stop() == 0
    day.check_agreement()
