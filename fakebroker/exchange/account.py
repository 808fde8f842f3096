"""Cash, positions, average cost, profit and loss, commissions and margin of the one account.

Everything is exact: money is only added and multiplied, and where a cost must be divided the part
is rounded to a millionth and the rest stays where it was, so nothing is ever lost. Cash plus the
cost of what is held always equals the starting cash plus what was realised. The account knows
prices only as an argument, and no orders.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal

from fakebroker.exchange.orders import ZERO, tidy
from fakebroker.settings import CommissionPolicy
from fakebroker.values import Contract

MILLIONTH = Decimal("0.000001")
CENT = Decimal("0.01")
# Reg-T by day: four dollars of stock to a dollar of equity. Overnight margin is not modelled [A].
INITIAL_MARGIN = Decimal("0.25")
MAINTENANCE_MARGIN = Decimal("0.25")
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
    """The account's entry of one stock; `cost` has the sign of `quantity`."""

    contract: Contract
    quantity: Decimal = ZERO
    cost: Decimal = ZERO
    realized_pnl: Decimal = ZERO
    traded_today: bool = False

    @property
    def average_cost(self) -> Decimal:
        """Cost of a share with commissions, in US dollars."""
        return tidy(self.cost / self.quantity) if self.quantity else ZERO


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

    def quantity(self, symbol: str) -> Decimal:
        """Return the shares held, short negative."""
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
            shares: Shares, positive bought, negative sold.
            price: US dollars a share.
            commission: US dollars for the whole trade.

        Returns:
            What the trade realised net of commissions, None if it closed nothing.
        """
        holding = self._holdings.setdefault(contract.symbol, Holding(contract))
        holding.traded_today = True
        self.cash -= shares * price + commission
        held = holding.quantity
        closing = min(abs(shares), abs(held)) if held * shares < 0 else ZERO
        opening = abs(shares) - closing
        sign = 1 if shares > 0 else -1
        closing_commission = part(commission, closing, abs(shares))
        realized: Decimal | None = None
        if closing:
            cost = part(holding.cost, closing, abs(held))
            realized = -sign * closing * price - cost - closing_commission
            holding.cost -= cost
            holding.realized_pnl += realized
            self.realized_pnl += realized
        holding.cost += sign * opening * price + (commission - closing_commission)
        holding.quantity += shares
        return realized

    def new_day(self) -> None:
        """Start the day's profit and loss at zero and forget what is flat."""
        self.realized_pnl = ZERO
        self._holdings = {key: row for key, row in self._holdings.items() if row.quantity}
        for holding in self._holdings.values():
            holding.realized_pnl = ZERO
            holding.traded_today = False

    def positions(self, prices: Mapping[str, Decimal]) -> tuple[PositionRecord, ...]:
        """Return what is held or was traded today, by symbol; flat rows have quantity 0."""
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
        return {
            symbol: row.quantity * prices[symbol] if symbol in prices else row.cost
            for symbol, row in self._holdings.items()
        }

    def net_liquidation(self, prices: Mapping[str, Decimal]) -> Decimal:
        """Return cash and shares at the market, in US dollars."""
        return self.cash + sum(self.market_values(prices).values(), ZERO)

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
        values = self.market_values(prices)
        gross = sum((abs(value) for value in values.values()), ZERO)
        held = abs(values.get(contract.symbol, ZERO))
        after = gross - held + abs((self.quantity(contract.symbol) + shares) * price)
        equity = self.net_liquidation(prices)
        change = (after - gross) * INITIAL_MARGIN
        maintenance_change = (after - gross) * MAINTENANCE_MARGIN
        return WhatIf(
            init_margin_before=gross * INITIAL_MARGIN,
            maint_margin_before=gross * MAINTENANCE_MARGIN,
            equity_with_loan_before=equity,
            init_margin_change=change,
            maint_margin_change=maintenance_change,
            equity_with_loan_change=-commission,
            init_margin_after=after * INITIAL_MARGIN,
            maint_margin_after=after * MAINTENANCE_MARGIN,
            equity_with_loan_after=equity - commission,
            commission=commission,
            currency="USD",
        )

    def values(self, prices: Mapping[str, Decimal]) -> tuple[AccountValue, ...]:
        """Return the rows that TWS shows of an account, in whole cents."""
        values = self.market_values(prices)
        gross = sum((abs(value) for value in values.values()), ZERO)
        cost = sum((row.cost for row in self._holdings.values()), ZERO)
        equity = self.net_liquidation(prices)
        initial, maintenance = gross * INITIAL_MARGIN, gross * MAINTENANCE_MARGIN
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
            "StockMarketValue": sum(values.values(), ZERO),
            "TotalCashBalance": self.cash,
            "TotalCashValue": self.cash,
            "UnrealizedPnL": sum(values.values(), ZERO) - cost,
        }
        rows = [AccountValue(key, str(value.quantize(CENT)), "USD") for key, value in money.items()]
        words = {
            "AccountCode": self.account,
            "AccountReady": "true",
            "AccountType": "INDIVIDUAL",
            "Currency": "USD",
            "DayTradesRemaining": "-1",
        }
        return (*(AccountValue(key, value) for key, value in words.items()), *rows)


def part(whole: Decimal, shares: Decimal, of_shares: Decimal) -> Decimal:
    """Return the part of an amount that falls on some of its shares, rounded to a millionth."""
    if shares == of_shares:
        return whole
    return (whole * shares / of_shares).quantize(MILLIONTH)


def order_commission(policy: CommissionPolicy, shares: Decimal, value: Decimal) -> Decimal:
    """Return what an order costs in all, in US dollars, for so many shares of that value."""
    charge = max(policy.per_share * shares, policy.minimum)
    return min(charge, policy.maximum_fraction * value)
