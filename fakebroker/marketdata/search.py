"""What can be found: symbols by a piece of their name, price steps, option chains.

Small tables and pure functions, so that the same question has the same answer in every run. Chains
hold only options that the catalog knows.
"""

from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal

from fakebroker.exchange.catalog import LISTINGS, UNDERLYINGS, Catalog
from fakebroker.protocol.market_replies import (
    PriceIncrement,
    SecDefOptParams,
    SymbolSample,
)
from fakebroker.protocol.requests import ReqSecDefOptParams

SAMPLES_MAX = 16
"""TWS gives that many at most."""
MARKET_RULES = {
    26: (PriceIncrement(Decimal(0), Decimal("0.01")),),
    59: (PriceIncrement(Decimal(0), Decimal("0.00005")),),
    67: (PriceIncrement(Decimal(0), Decimal("0.25")),),
    239: (PriceIncrement(Decimal(0), Decimal("0.00005")),),
    240: (PriceIncrement(Decimal(0), Decimal("0.01")), PriceIncrement(Decimal(3), Decimal("0.05"))),
}
"""Price steps by TWS's number of the rule; our contracts name 26."""
CHAIN_EXCHANGES = ("SMART", "CBOE")
CHAIN_MULTIPLIER = "100"
CHAIN_WEEKS = 12
CHAIN_STRIKES = tuple(Decimal(strike) for strike in range(5, 1001, 5))
"""US dollars; the same for every stock, whatever it trades at."""
FRIDAY = 4


def samples(pattern: str, catalog: Catalog) -> tuple[SymbolSample, ...]:
    """Return the stocks whose symbol begins with a text or whose name has it.

    A text that is itself the symbol of a stock finds that one first.
    """
    text = pattern.strip().upper()
    if not text:
        return ()
    exact = [text] if catalog.stock(text) is not None else []
    begins = [symbol for symbol in LISTINGS if symbol.startswith(text)]
    named = [symbol for symbol, listing in LISTINGS.items() if text in listing.name]
    found = tuple(dict.fromkeys((*exact, *begins, *named)))[:SAMPLES_MAX]
    return tuple(_sample(symbol, catalog) for symbol in found)


def chain(request: ReqSecDefOptParams, catalog: Catalog, today: date) -> Iterator[SecDefOptParams]:
    """Yield the option chain of a stock, an exchange a message; nothing if it has no options."""
    stock = catalog.stock(request.underlying_symbol)
    if stock is None or stock.symbol not in UNDERLYINGS or request.underlying_sec_type != "STK":
        return
    if request.underlying_con_id not in (0, stock.con_id):
        return
    friday = today + timedelta(days=(FRIDAY - today.weekday()) % 7)
    for exchange in CHAIN_EXCHANGES:
        if request.fut_fop_exchange in ("", exchange):
            yield SecDefOptParams(
                req_id=request.req_id,
                exchange=exchange,
                underlying_con_id=stock.con_id,
                trading_class=stock.symbol,
                multiplier=CHAIN_MULTIPLIER,
                expirations=tuple(friday + timedelta(weeks=week) for week in range(CHAIN_WEEKS)),
                strikes=CHAIN_STRIKES,
            )


def _sample(symbol: str, catalog: Catalog) -> SymbolSample:
    stock = catalog.stock(symbol)
    assert stock is not None, "a sample exists"
    listing = LISTINGS.get(symbol)
    return SymbolSample(
        con_id=stock.con_id,
        symbol=stock.symbol,
        sec_type=stock.sec_type,
        primary_exchange=stock.primary_exchange,
        currency=stock.currency,
        derivative_sec_types=("OPT",) if symbol in UNDERLYINGS else (),
        description=listing.name if listing else f"{symbol} INC",
    )
