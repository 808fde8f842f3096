"""What differs between kinds of contract: name on a tape, multiplier, tick, margin, commission.

Everything follows from a fully qualified contract alone; which contracts exist is known in
`catalog.py`. All books are in US dollars, so only what is quoted in them can be traded. Margins
are of the size of IB's and constant [A].
"""

from dataclasses import dataclass
from decimal import Decimal

from fakebroker.settings import CommissionPolicy
from fakebroker.values import Contract

STOCK, OPTION, FUTURE, FOREX = "STK", "OPT", "FUT", "CASH"
ONE = Decimal(1)
CENT_TICK = Decimal("0.01")
FOREX_TICK = Decimal("0.00005")
STOCK_MARGIN = Decimal("0.25")
"""Reg-T by day: four dollars of stock to a dollar of equity. Overnight margin is not modelled."""
FOREX_MARGIN = Decimal("0.03")
SHORT_OPTION_MARGIN = Decimal("0.20")
"""Part of the strike's value that a short option needs beside its own value [A]."""
FUTURE_MAINTENANCE = Decimal("0.9")
EVERY_MONTH = "FGHJKMNQUVXZ"
"""The letters of the months from January to December in a futures symbol."""


@dataclass(frozen=True, slots=True)
class FutureRoot:
    """A futures product."""

    name: str
    exchange: str
    multiplier: int
    tick: Decimal
    margin: Decimal
    """US dollars of initial margin a contract [A]."""
    months: str
    """The letters of the months that are listed."""


FUTURES = {
    "ES": FutureRoot("E-mini S&P 500", "CME", 50, Decimal("0.25"), Decimal(15_000), "HMUZ"),
    "NQ": FutureRoot("E-mini NASDAQ 100", "CME", 20, Decimal("0.25"), Decimal(22_000), "HMUZ"),
    "CL": FutureRoot(
        "Light Sweet Crude Oil", "NYMEX", 1000, Decimal("0.01"), Decimal(6_500), EVERY_MONTH
    ),
    "GC": FutureRoot("Gold", "COMEX", 100, Decimal("0.10"), Decimal(12_000), "GJMQVZ"),
}


def market_key(contract: Contract) -> str:
    """Return the name under which tapes and prices know a qualified contract.

    A stock's symbol, a future's local symbol (`ESZ5`), an option's without blanks
    (`TSLA251219C00400000`), a forex pair with its dot (`EUR.USD`).
    """
    match contract.sec_type:
        case "FUT" | "OPT":
            return contract.local_symbol.replace(" ", "")
        case "CASH":
            return f"{contract.symbol}.{contract.currency}"
        case _:
            return contract.symbol


def multiplier_of(contract: Contract) -> Decimal:
    """Return the US dollars that one contract is worth when its price is one dollar."""
    return Decimal(contract.multiplier) if contract.multiplier else ONE


def tick_of(contract: Contract) -> Decimal:
    """Return the smallest step of the price."""
    match contract.sec_type:
        case "FUT":
            return FUTURES[contract.symbol].tick
        case "CASH":
            return FOREX_TICK
        case _:
            return CENT_TICK


def initial_margin(contract: Contract, quantity: Decimal, value: Decimal) -> Decimal:
    """Return the initial margin of a position in US dollars.

    Args:
        contract: What is held.
        quantity: Shares or contracts, short negative.
        value: Its signed value in US dollars, multiplier included.
    """
    match contract.sec_type:
        case "FUT":
            return FUTURES[contract.symbol].margin * abs(quantity)
        case "CASH":
            return FOREX_MARGIN * abs(value)
        case "OPT" if quantity < 0:
            strike = contract.strike * multiplier_of(contract) * abs(quantity)
            return abs(value) + SHORT_OPTION_MARGIN * strike
        case "OPT":
            return abs(value)
        case _:
            return STOCK_MARGIN * abs(value)


def maintenance_margin(contract: Contract, quantity: Decimal, value: Decimal) -> Decimal:
    """Return the maintenance margin of a position in US dollars; see `initial_margin`."""
    initial = initial_margin(contract, quantity, value)
    return initial * FUTURE_MAINTENANCE if contract.sec_type == FUTURE else initial


def commission_of(
    policy: CommissionPolicy, contract: Contract, *, shares: Decimal, price_sum: Decimal
) -> Decimal:
    """Return what an order costs in all, in US dollars.

    Args:
        policy: The schedule.
        contract: What is traded.
        shares: Shares or contracts of the whole order so far.
        price_sum: Sum of shares times price of these, without the multiplier.
    """
    match contract.sec_type:
        case "FUT":
            return policy.future_per_contract * shares
        case "OPT":
            return max(policy.option_per_contract * shares, policy.minimum)
        case "CASH":
            return max(policy.forex_fraction * price_sum, policy.forex_minimum)
        case _:
            return order_commission(policy, shares, price_sum)


def order_commission(policy: CommissionPolicy, shares: Decimal, value: Decimal) -> Decimal:
    """Return what a stock order costs in all, in US dollars, for so many shares of that value."""
    charge = max(policy.per_share * shares, policy.minimum)
    return min(charge, policy.maximum_fraction * value)
