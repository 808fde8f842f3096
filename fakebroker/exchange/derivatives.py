"""Which futures, options and forex pairs exist, and how their ids and names are made.

All of it is computed, as for stocks: a contract id leads back to its contract without a list.
Futures are ES, NQ, CL and GC of the years 2020 to 2029 (a local symbol has one digit for the
year). Options are on the well-known stocks: every Friday of 2020 to 2039, strikes up to 2000
dollars in steps of half a dollar. Forex is what is quoted in US dollars.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from fakebroker.exchange.instruments import EVERY_MONTH, FUTURES
from fakebroker.values import Contract

CURRENCY = "USD"
FIRST_FUTURE_ID = 1_500_000_000
IDS_A_ROOT = 1000
FIRST_FUTURE_YEAR = 2020
FUTURE_YEARS = 10
MONTHS = 12
LISTED_MONTHS = 4
"""So many months of a future that is named without one are listed."""

FIRST_OPTION_ID = 1_600_000_000
FIRST_FRIDAY = date(2020, 1, 3)
LAST_FRIDAY = date(2039, 12, 30)
WEEK = timedelta(days=7)
WEEKS = (LAST_FRIDAY - FIRST_FRIDAY) // WEEK + 1
STRIKE_STEP = Decimal("0.5")
STRIKES = 4000
RIGHTS = ("C", "P")
OPTION_MULTIPLIER = "100"
OPTION_VENUES = ("SMART", "CBOE", "AMEX", "ISE", "BOX")

PAIR_IDS = {"EUR": 12087792, "GBP": 12087797, "AUD": 14433401, "NZD": 39453441}
"""IB's own ids of the pairs against the US dollar."""
PAIR_VENUE = "IDEALPRO"

FUTURE_SYMBOL = re.compile(rf"({'|'.join(FUTURES)})([{EVERY_MONTH}])(\d)")
OPTION_SYMBOL = re.compile(r"([A-Z.]{1,6}) *(\d{6})([CP])(\d{8})")
FRIDAY, THIRD_FRIDAY_FIRST, CL_DAY = 4, 15, 25


@dataclass(frozen=True, slots=True)
class FutureMonth:
    """One contract of a futures product."""

    root: str
    year: int
    month: int

    @property
    def letter(self) -> str:
        """The month's letter."""
        return EVERY_MONTH[self.month - 1]

    @property
    def local_symbol(self) -> str:
        """IB's short name, `ESZ5`."""
        return f"{self.root}{self.letter}{self.year % 10}"

    @property
    def con_id(self) -> int:
        """The contract id."""
        month = (self.year - FIRST_FUTURE_YEAR) * MONTHS + self.month - 1
        return FIRST_FUTURE_ID + list(FUTURES).index(self.root) * IDS_A_ROOT + month

    @property
    def listed(self) -> bool:
        """Whether there is such a contract."""
        known = FIRST_FUTURE_YEAR <= self.year < FIRST_FUTURE_YEAR + FUTURE_YEARS
        return known and self.letter in FUTURES[self.root].months

    @property
    def last_trade(self) -> date:
        """The last trading day: equity indices the third Friday, others near it [A]."""
        first = date(self.year, self.month, 1)
        match FUTURES[self.root].exchange:
            case "CME":
                third = date(self.year, self.month, THIRD_FRIDAY_FIRST)
                return third + timedelta(days=(FRIDAY - third.weekday()) % 7)
            case "NYMEX":
                before = first - timedelta(days=1)
                return workdays_before(before.replace(day=CL_DAY), 3)
            case _:
                return workdays_before((first + timedelta(days=32)).replace(day=1), 3)

    def contract(self) -> Contract:
        """Return it fully qualified."""
        root = FUTURES[self.root]
        return Contract(
            symbol=self.root,
            sec_type="FUT",
            con_id=self.con_id,
            last_trade_date=f"{self.last_trade:%Y%m%d}",
            multiplier=str(root.multiplier),
            exchange=root.exchange,
            currency=CURRENCY,
            local_symbol=self.local_symbol,
            trading_class=self.root,
        )


def workdays_before(day: date, count: int) -> date:
    """Return the day so many Mondays to Fridays before this one."""
    while count:
        day -= timedelta(days=1)
        count -= day.weekday() <= FRIDAY
    return day


def find_futures(asked: Contract, today: date | None) -> Iterator[Contract]:
    """Yield the futures that fit; without a month the next few from today on."""
    for future in future_months(asked, today):
        found = future.contract()
        dates = (
            found.last_trade_date,
            found.last_trade_date[:6],
            f"{future.year}{future.month:02}",
        )
        if future.listed and fits(asked, found) and asked.last_trade_date in ("", *dates):
            yield found


def future_months(asked: Contract, today: date | None) -> Iterator[FutureMonth]:
    """Yield the months that a description may mean, listed or not."""
    named = FUTURE_SYMBOL.fullmatch(asked.local_symbol)
    if asked.con_id:
        number, month = divmod(asked.con_id - FIRST_FUTURE_ID, IDS_A_ROOT)
        if 0 <= number < len(FUTURES):
            yield FutureMonth(list(FUTURES)[number], *year_and_month(month))
    elif named:
        month = EVERY_MONTH.index(named[2]) + 1
        yield FutureMonth(named[1], FIRST_FUTURE_YEAR + int(named[3]), month)
    elif asked.symbol in FUTURES and re.fullmatch(r"\d{6}(\d\d)?", asked.last_trade_date):
        # A crude future of January ends in December: its month is that day's or the one after.
        number = int(asked.last_trade_date[:4]) * MONTHS + int(asked.last_trade_date[4:6]) - 1
        numbers = (number,) if len(asked.last_trade_date) == len("202512") else (number, number + 1)
        for each in numbers:
            yield FutureMonth(asked.symbol, each // MONTHS, each % MONTHS + 1)
    elif asked.symbol in FUTURES and not asked.last_trade_date and today is not None:
        months = (FutureMonth(asked.symbol, *year_and_month(n)) for n in range(FUTURE_YEARS * 12))
        live = [each for each in months if each.listed and each.last_trade >= today]
        yield from live[:LISTED_MONTHS]


def year_and_month(number: int) -> tuple[int, int]:
    """Return year and month of a count of months from the first year on."""
    return FIRST_FUTURE_YEAR + number // MONTHS, number % MONTHS + 1


def find_options(asked: Contract, underlyings: tuple[str, ...]) -> Iterator[Contract]:
    """Yield the options that fit: one, or call and put where no right is given."""
    if asked.con_id:
        # Anything else that an id is given with has to fit it; it finds nothing by itself.
        number, rest = divmod(asked.con_id - FIRST_OPTION_ID, WEEKS * STRIKES * len(RIGHTS))
        if 0 <= number < len(underlyings):
            week, rest = divmod(rest, STRIKES * len(RIGHTS))
            strike, right = divmod(rest, len(RIGHTS))
            found = option(underlyings, number, FIRST_FRIDAY + week * WEEK, strike, right)
            if fits(asked, found):
                yield found
        return
    named = OPTION_SYMBOL.fullmatch(asked.local_symbol)
    symbol, expiry, strike_price = asked.symbol, asked.last_trade_date, asked.strike
    rights: tuple[str, ...] = (asked.right[:1],) if asked.right not in ("", "?", "0") else RIGHTS
    if named:
        symbol, expiry, rights = named[1], f"20{named[2]}", (named[3],)
        strike_price = Decimal(named[4]) / 1000
    day = friday(expiry)
    number_of_strike = strike_price / STRIKE_STEP
    is_strike = number_of_strike == int(number_of_strike) and 0 < number_of_strike <= STRIKES
    if day is None or symbol not in underlyings or not is_strike:
        return
    for letter in rights:
        if letter in RIGHTS:
            found = option(
                underlyings,
                underlyings.index(symbol),
                day,
                int(number_of_strike) - 1,
                RIGHTS.index(letter),
            )
            if fits(asked, found):
                yield found


def friday(text: str) -> date | None:
    """Return the expiry that a text `20251219` names, None if nothing expires then."""
    if not re.fullmatch(r"20[23]\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])", text):
        return None
    first = date(int(text[:4]), int(text[4:6]), 1)
    day = first + timedelta(days=int(text[6:]) - 1)
    return day if day.weekday() == FRIDAY and day.month == first.month else None


def option(
    underlyings: tuple[str, ...], number: int, day: date, strike: int, right: int
) -> Contract:
    """Return an option by the numbers of its underlying, strike and right."""
    week = (day - FIRST_FRIDAY) // WEEK
    symbol, price = underlyings[number], (strike + 1) * STRIKE_STEP
    con_id = ((number * WEEKS + week) * STRIKES + strike) * len(RIGHTS) + right
    return Contract(
        symbol=symbol,
        sec_type="OPT",
        con_id=FIRST_OPTION_ID + con_id,
        last_trade_date=f"{day:%Y%m%d}",
        strike=price,
        right=RIGHTS[right],
        multiplier=OPTION_MULTIPLIER,
        currency=CURRENCY,
        local_symbol=f"{symbol:<6}{day:%y%m%d}{RIGHTS[right]}{int(price * 1000):08d}",
        trading_class=symbol,
    )


def find_pairs(asked: Contract) -> Iterator[Contract]:
    """Yield the forex pair that is meant."""
    for symbol, con_id in PAIR_IDS.items():
        name = f"{symbol}.{CURRENCY}"
        meant = con_id == asked.con_id if asked.con_id else symbol == asked.symbol
        if not meant and not (asked.local_symbol == name and not asked.con_id):
            continue
        found = Contract(
            symbol=symbol,
            sec_type="CASH",
            con_id=con_id,
            exchange=PAIR_VENUE,
            currency=CURRENCY,
            local_symbol=name,
            trading_class=name,
        )
        if fits(asked, found):
            yield found


def fits(asked: Contract, found: Contract) -> bool:
    """Say whether what is filled in of a description is true of a contract."""
    venues = OPTION_VENUES if found.sec_type == "OPT" else (found.exchange,)
    return (
        asked.symbol in ("", found.symbol)
        and asked.sec_type in ("", found.sec_type)
        and asked.currency in ("", found.currency)
        and asked.exchange in ("", *venues)
        and asked.multiplier in ("", found.multiplier)
        and asked.local_symbol.replace(" ", "") in ("", found.local_symbol.replace(" ", ""))
        and asked.trading_class in ("", found.trading_class)
        and asked.right[:1] in ("", "?", "0", found.right)
        and asked.strike in (Decimal(0), found.strike)
    )
