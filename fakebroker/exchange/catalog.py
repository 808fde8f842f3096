"""Which contracts exist: every US stock whose symbol is one to six capital letters or dots.

Futures, options and forex pairs are in `derivatives.py`; here is the door to all of them.

A contract id is a pure function of the symbol and back: the well-known ones have IB's own, every
other one is the symbol read as a number in base 28. So no list of symbols is kept, the same
symbol has the same id in every run, and an id alone finds its contract after a restart.
"""

import re
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from fakebroker.exchange.derivatives import (
    OPTION_VENUES,
    find_futures,
    find_options,
    find_pairs,
)
from fakebroker.exchange.hours import extended_hours, hours_text, regular_hours
from fakebroker.exchange.instruments import FUTURES, tick_of
from fakebroker.values import Contract

MIN_TICK = Decimal("0.01")
CURRENCY = "USD"
LISTING_EXCHANGE = "NASDAQ"
VENUES = ("SMART", "NASDAQ", "ISLAND", "NYSE", "ARCA", "BATS", "IEX", "AMEX")
ORDER_TYPES = "LMT,MKT,STP,STPLMT,TRAIL,TRAILLMT,MIT,LIT,MOC,LOC,DAY,GTC,IOC,FOK,GTD,OPG,WHATIF"

SYMBOL = re.compile(r"[A-Z][A-Z.]{0,5}")
LETTERS = ".ABCDEFGHIJKLMNOPQRSTUVWXYZ"
BASE = len(LETTERS) + 1
FIRST_DERIVED_ID = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Listing:
    """What is known of a famous stock."""

    con_id: int
    name: str
    exchange: str = LISTING_EXCHANGE


LISTINGS = {
    "AAPL": Listing(265598, "APPLE INC"),
    "AMD": Listing(4391, "ADVANCED MICRO DEVICES"),
    "MSFT": Listing(272093, "MICROSOFT CORP"),
    "NVDA": Listing(4815747, "NVIDIA CORP"),
    "SPY": Listing(756733, "SS SPDR S&P 500 ETF TRUST-US", "ARCA"),
    "TSLA": Listing(76792991, "TESLA INC"),
}
UNDERLYINGS = tuple(LISTINGS)
"""The stocks that have options."""
SYMBOLS_OF_LISTINGS = {listing.con_id: symbol for symbol, listing in LISTINGS.items()}


@dataclass(frozen=True, slots=True)
class ContractDetails:
    """What reqContractDetails tells (tws-protocol.md section 2.4).

    Hours are in IB's form `20261120:0930-20261120:1600;20261121:CLOSED`, in the zone
    `time_zone_id`, and empty when `find` was not told which day it is.
    """

    contract: Contract
    market_name: str
    long_name: str
    min_tick: Decimal = MIN_TICK
    order_types: str = ORDER_TYPES
    valid_exchanges: str = ",".join(VENUES)
    price_magnifier: int = 1
    under_con_id: int = 0
    contract_month: str = ""
    industry: str = ""
    category: str = ""
    subcategory: str = ""
    time_zone_id: str = "US/Eastern"
    trading_hours: str = ""
    liquid_hours: str = ""
    agg_group: int = 1
    market_rule_ids: str = ",".join(["26"] * len(VENUES))
    stock_type: str = "COMMON"
    min_size: Decimal = Decimal(1)
    size_increment: Decimal = Decimal(1)
    suggested_size_increment: Decimal = Decimal(100)


class Catalog:
    """Answers which contracts a description means."""

    def find(self, contract: Contract, *, today: date | None = None) -> tuple[ContractDetails, ...]:
        """Return the contracts that fit, by conId where one is given, else by symbol.

        Args:
            contract: A description; empty fields restrict nothing.
            today: The day in New York that the trading hours start with.

        Returns:
            One entry, fully qualified, or none: TWS then answers error 200.
        """
        others = (*find_futures(contract, today), *find_pairs(contract))
        others += tuple(find_options(contract, UNDERLYINGS))
        if others:
            return tuple(derivative_details(found, today) for found in others)
        symbol = contract.symbol
        if contract.con_id:
            symbol = symbol_of(contract.con_id) or ""
            if contract.symbol not in ("", symbol):
                return ()
        if not SYMBOL.fullmatch(symbol) or not describes_stock(contract):
            return ()
        qualified = qualify(symbol, contract.exchange or "SMART")
        listing = LISTINGS.get(symbol)
        return (
            ContractDetails(
                contract=qualified,
                market_name=qualified.trading_class,
                long_name=listing.name if listing else f"{symbol} INC",
                trading_hours=hours_text(extended_hours("STK"), today) if today else "",
                liquid_hours=hours_text(regular_hours("STK"), today) if today else "",
            ),
        )

    def resolve(self, contract: Contract) -> Contract | None:
        """Return the one fully qualified contract that is meant, or None."""
        found = self.find(contract)
        return found[0].contract if found else None

    def stock(self, symbol: str) -> Contract | None:
        """Return the qualified contract of a stock by its symbol alone, or None."""
        return self.resolve(Contract(symbol=symbol))


def derivative_details(contract: Contract, today: date | None) -> ContractDetails:
    """Return what is told of a future, an option or a forex pair."""
    root = FUTURES.get(contract.symbol) if contract.sec_type == "FUT" else None
    venues = OPTION_VENUES if contract.sec_type == "OPT" else (contract.exchange,)
    name = contract.local_symbol
    if root is not None:
        name = root.name
    elif contract.sec_type == "OPT":
        name = LISTINGS[contract.symbol].name
    return ContractDetails(
        contract=contract,
        market_name=contract.trading_class,
        long_name=name,
        min_tick=tick_of(contract),
        valid_exchanges=",".join(venues),
        under_con_id=con_id_of(contract.symbol) if contract.sec_type == "OPT" else 0,
        contract_month=contract.last_trade_date[:6],
        market_rule_ids=",".join(["26"] * len(venues)),
        stock_type="",
        trading_hours=hours_text(extended_hours(contract.sec_type), today) if today else "",
        liquid_hours=hours_text(regular_hours(contract.sec_type), today) if today else "",
        suggested_size_increment=Decimal(1),
    )


def describes_stock(contract: Contract) -> bool:
    """Say whether the description leaves room for a US stock."""
    return (
        contract.sec_type in ("STK", "")
        and contract.currency in (CURRENCY, "")
        and contract.exchange in (*VENUES, "")
        and not contract.last_trade_date
        and contract.right in ("", "?", "0")
        and contract.strike == 0
    )


def qualify(symbol: str, exchange: str) -> Contract:
    """Return the full contract of a symbol that exists."""
    listing = LISTINGS.get(symbol)
    primary = listing.exchange if listing else LISTING_EXCHANGE
    trading_class = "NMS" if primary == "NASDAQ" else symbol
    return Contract(
        symbol=symbol,
        con_id=con_id_of(symbol),
        exchange=exchange,
        primary_exchange=primary,
        currency=CURRENCY,
        local_symbol=symbol,
        trading_class=trading_class,
    )


def con_id_of(symbol: str) -> int:
    """Return the contract id of a valid symbol."""
    listing = LISTINGS.get(symbol)
    if listing:
        return listing.con_id
    number = 0
    for letter in symbol:
        number = number * BASE + LETTERS.index(letter) + 1
    return FIRST_DERIVED_ID + number


def symbol_of(con_id: int) -> str | None:
    """Return the symbol that a contract id was derived from, or None."""
    if con_id in SYMBOLS_OF_LISTINGS:
        return SYMBOLS_OF_LISTINGS[con_id]
    number = con_id - FIRST_DERIVED_ID
    letters: list[str] = []
    while number > 0:
        number, digit = divmod(number, BASE)
        if digit == 0:
            return None
        letters.append(LETTERS[digit - 1])
    symbol = "".join(reversed(letters))
    # A famous stock has IB's id only, and not the derived one beside it.
    return symbol if SYMBOL.fullmatch(symbol) and symbol not in LISTINGS else None
