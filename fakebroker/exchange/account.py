"""Cash, positions, average cost, profit and loss, commissions and margin of one account.

Everything is exact: money is only added and multiplied, and where a cost must be divided the part
is rounded to a millionth and the rest stays where it was, so nothing is ever lost. Cash plus the
cost of what is held always equals the starting cash plus what was realised. Futures are not paid
for: of them cash has the commissions and what was realised. The account knows prices only as an
argument, and no orders.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal

from fakebroker.exchange.instruments import (
    FUTURE,
    OPTION,
    STOCK,
    initial_margin,
    maintenance_margin,
    market_key,
    multiplier_of,
)
from fakebroker.exchange.orders import ZERO, tidy
from fakebroker.values import Contract

MILLIONTH = Decimal("0.000001")
CENT = Decimal("0.01")
LEVERAGE = 4


@dataclass(frozen=True, slots=True)
class PositionRecord:
    """One position. `average_cost` is a share's with commissions, 0 when flat.

    `realized_pnl` is the day's, net of commissions; `market_price` the last price or None.
    """

    account: str
    contract: Contract
    quantity: Decimal
    average_cost: Decimal
    realized_pnl: Decimal
    market_price: Decimal | None


@dataclass(frozen=True, slots=True)
class AccountValue:
    """One row of reqAccountUpdates: TWS's key, the value as text, a currency or empty."""

    key: str
    value: str
    currency: str = ""


@dataclass(frozen=True, slots=True)
class WhatIf:
    """What an order would do to the account, in US dollars (whatIf, section 2.6)."""

    init_margin_before: Decimal
    maint_margin_before: Decimal
    equity_with_loan_before: Decimal
    init_margin_change: Decimal
    maint_margin_change: Decimal
    equity_with_loan_change: Decimal
    init_margin_after: Decimal
    maint_margin_after: Decimal
    equity_with_loan_after: Decimal
    commission: Decimal
    currency: str


@dataclass(slots=True)
class Holding:
    """The account's entry of one contract; `cost` has the sign of `quantity`."""

    contract: Contract
    quantity: Decimal = ZERO
    cost: Decimal = ZERO
    """US dollars with commissions and multiplier."""
    notional: Decimal = ZERO
    """The same without commissions: what a future's profit is measured from."""
    realized_pnl: Decimal = ZERO
    traded_today: bool = False

    @property
    def average_cost(self) -> Decimal:
        """Cost of a share or contract with commissions, in US dollars."""
        return tidy(self.cost / self.quantity) if self.quantity else ZERO

    def value(self, price: Decimal | None) -> Decimal:
        """Return the signed value at a price, in US dollars; the cost where there is none."""
        if price is None:
            return self.cost
        return self.quantity * price * multiplier_of(self.contract)

    def worth(self, price: Decimal | None) -> Decimal:
        """Return what it adds to cash in the net liquidation: of a future only its profit."""
        if self.contract.sec_type != FUTURE:
            return self.value(price)
        return ZERO if price is None else self.value(price) - self.notional


class Account:
    """The books of money and shares."""

    def __init__(self, account: str, cash: Decimal) -> None:
        self.account = account
        self.cash = cash
        self.realized_pnl = ZERO
        """The day's, in US dollars, net of commissions."""
        self._holdings: dict[str, Holding] = {}

    def copy(self) -> "Account":
        """Return books that share nothing that can change."""
        other = Account(self.account, self.cash)
        other.realized_pnl = self.realized_pnl
        other._holdings = {symbol: replace(row) for symbol, row in self._holdings.items()}
        return other

    @property
    def holdings(self) -> Mapping[str, Holding]:
        """The entries by symbol, for whoever keeps them; not to be changed."""
        return self._holdings

    def restore(
        self, holdings: Mapping[str, Holding], *, cash: Decimal, realized_pnl: Decimal
    ) -> None:
        """Go on from entries that were kept; amounts are US dollars."""
        self.cash = cash
        self.realized_pnl = realized_pnl
        self._holdings = dict(holdings)

    def quantity(self, symbol: str) -> Decimal:
        """Return the shares held of a market key, short negative."""
        holding = self._holdings.get(symbol)
        return holding.quantity if holding else ZERO

    def average_cost(self, symbol: str) -> Decimal:
        """Return the cost of a share with commissions, 0 when flat."""
        holding = self._holdings.get(symbol)
        return holding.average_cost if holding else ZERO

    def book(
        self, contract: Contract, shares: Decimal, *, price: Decimal, commission: Decimal
    ) -> Decimal | None:
        """Book a trade.

        Args:
            contract: What was traded.
            shares: Shares or contracts, positive bought, negative sold.
            price: US dollars a share, before the multiplier.
            commission: US dollars for the whole trade.

        Returns:
            What the trade realised net of commissions, None if it closed nothing.
        """
        holding = self._holdings.setdefault(market_key(contract), Holding(contract))
        holding.traded_today = True
        multiplier = multiplier_of(contract)
        self.cash -= commission
        if contract.sec_type != FUTURE:
            self.cash -= shares * price * multiplier
        held = holding.quantity
        closing = min(abs(shares), abs(held)) if held * shares < 0 else ZERO
        opening = abs(shares) - closing
        sign = 1 if shares > 0 else -1
        closing_commission = part(commission, closing, abs(shares))
        realized: Decimal | None = None
        if closing:
            cost = part(holding.cost, closing, abs(held))
            notional = part(holding.notional, closing, abs(held))
            gross = -sign * closing * price * multiplier - notional
            realized = gross + notional - cost - closing_commission
            if contract.sec_type == FUTURE:
                self.cash += gross
            holding.cost -= cost
            holding.notional -= notional
            holding.realized_pnl += realized
            self.realized_pnl += realized
        opened = sign * opening * price * multiplier
        holding.cost += opened + (commission - closing_commission)
        holding.notional += opened
        holding.quantity += shares
        return realized

    def keep_flat(self, contract: Contract) -> None:
        """Go on listing a contract that nothing is left of today: its zero has to be told."""
        self._holdings.setdefault(market_key(contract), Holding(contract, traded_today=True))

    def new_day(self) -> None:
        """Start the day's profit and loss at zero and forget what is flat."""
        self.realized_pnl = ZERO
        self._holdings = {key: row for key, row in self._holdings.items() if row.quantity}
        for holding in self._holdings.values():
            holding.realized_pnl = ZERO
            holding.traded_today = False

    def positions(self, prices: Mapping[str, Decimal]) -> tuple[PositionRecord, ...]:
        """Return what is held or was traded today, by market key; flat rows have quantity 0."""
        return tuple(
            PositionRecord(
                account=self.account,
                contract=row.contract,
                quantity=row.quantity,
                average_cost=row.average_cost,
                realized_pnl=row.realized_pnl,
                market_price=prices.get(symbol),
            )
            for symbol, row in sorted(self._holdings.items())
        )

    def market_values(self, prices: Mapping[str, Decimal]) -> dict[str, Decimal]:
        """Return the signed value of each holding, in US dollars; at cost where no price is."""
        return {key: row.value(prices.get(key)) for key, row in self._holdings.items()}

    def net_liquidation(self, prices: Mapping[str, Decimal]) -> Decimal:
        """Return cash and what is held at the market, in US dollars."""
        worth = (row.worth(prices.get(key)) for key, row in self._holdings.items())
        return self.cash + sum(worth, ZERO)

    def margins(self, prices: Mapping[str, Decimal]) -> tuple[Decimal, Decimal]:
        """Return initial and maintenance margin of all that is held, in US dollars."""
        initial = maintenance = ZERO
        for key, row in self._holdings.items():
            value = row.value(prices.get(key))
            initial += initial_margin(row.contract, row.quantity, value)
            maintenance += maintenance_margin(row.contract, row.quantity, value)
        return initial, maintenance

    def what_if(
        self,
        contract: Contract,
        shares: Decimal,
        *,
        price: Decimal,
        commission: Decimal,
        prices: Mapping[str, Decimal],
    ) -> WhatIf:
        """Return margin and equity before and after a trade that is not made."""
        initial, maintenance = self.margins(prices)
        key = market_key(contract)
        holding = self._holdings.get(key, Holding(contract))
        value = holding.value(prices.get(key))
        after = holding.quantity + shares
        value_after = after * price * multiplier_of(contract)
        initial_change = initial_margin(contract, after, value_after) - initial_margin(
            contract, holding.quantity, value
        )
        maintenance_change = maintenance_margin(contract, after, value_after) - maintenance_margin(
            contract, holding.quantity, value
        )
        equity = self.net_liquidation(prices)
        return WhatIf(
            init_margin_before=initial,
            maint_margin_before=maintenance,
            equity_with_loan_before=equity,
            init_margin_change=initial_change,
            maint_margin_change=maintenance_change,
            equity_with_loan_change=-commission,
            init_margin_after=initial + initial_change,
            maint_margin_after=maintenance + maintenance_change,
            equity_with_loan_after=equity - commission,
            commission=commission,
            currency="USD",
        )

    def values(self, prices: Mapping[str, Decimal]) -> tuple[AccountValue, ...]:
        """Return the rows that TWS shows of an account, in whole cents."""
        values = self.market_values(prices)
        gross = sum((abs(value) for value in values.values()), ZERO)
        gross -= sum((abs(value) for value in self._values_of(FUTURE, values)), ZERO)
        cost = sum((row.cost for row in self._holdings.values()), ZERO)
        equity = self.net_liquidation(prices)
        initial, maintenance = self.margins(prices)
        available = max(equity - initial, ZERO)
        money = {
            "AvailableFunds": available,
            "BuyingPower": available * LEVERAGE,
            "CashBalance": self.cash,
            "EquityWithLoanValue": equity,
            "ExcessLiquidity": equity - maintenance,
            "FullAvailableFunds": available,
            "FullExcessLiquidity": equity - maintenance,
            "FullInitMarginReq": initial,
            "FullMaintMarginReq": maintenance,
            "GrossPositionValue": gross,
            "InitMarginReq": initial,
            "MaintMarginReq": maintenance,
            "NetLiquidation": equity,
            "RealizedPnL": self.realized_pnl,
            "StockMarketValue": sum(self._values_of(STOCK, values), ZERO),
            "TotalCashBalance": self.cash,
            "TotalCashValue": self.cash,
            "UnrealizedPnL": sum(values.values(), ZERO) - cost,
        }
        if options := self._values_of(OPTION, values):
            money["OptionMarketValue"] = sum(options, ZERO)
        rows = [AccountValue(key, str(value.quantize(CENT)), "USD") for key, value in money.items()]
        words = {
            "AccountCode": self.account,
            "AccountReady": "true",
            "AccountType": "INDIVIDUAL",
            "Currency": "USD",
            "DayTradesRemaining": "-1",
        }
        return (*(AccountValue(key, value) for key, value in words.items()), *rows)

    def _values_of(self, sec_type: str, values: Mapping[str, Decimal]) -> list[Decimal]:
        """Return the values of what is held of one kind."""
        rows = self._holdings.items()
        return [values[key] for key, row in rows if row.contract.sec_type == sec_type]


def part(whole: Decimal, shares: Decimal, of_shares: Decimal) -> Decimal:
    """Return the part of an amount that falls on some of its shares, rounded to a millionth."""
    if shares == of_shares:
        return whole
    return (whole * shares / of_shares).quantize(MILLIONTH)
