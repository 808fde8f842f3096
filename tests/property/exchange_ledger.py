"""A plain ledger beside the exchange: a list of trades, and what they add up to.

It is told of nothing but events, keeps no balance, and adds everything up anew each time.
"""

from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction

from fakebroker.exchange.events import (
    Commissioned,
    ExchangeEvent,
    ExecutionRecord,
    Filled,
    PositionChanged,
)
from fakebroker.values import Contract

FUTURE = Contract("", "FUT", local_symbol="ESZ5", exchange="CME")
OPTION = Contract("TSLA", "OPT", last_trade_date="20251219", strike=Decimal(400), right="C")
PRODUCTS = {
    "AMD": (Contract("AMD"), 100, 1),
    "TSLA": (Contract("TSLA"), 100, 1),
    "ESZ5": (FUTURE, 6700, 50),
    "TSLA251219C00400000": (OPTION, 20, 100),
}
ZERO = Decimal(0)


@dataclass(frozen=True)
class Trade:
    """One line of the ledger."""

    record: ExecutionRecord
    key: str
    commission: Decimal = ZERO

    @property
    def signed(self) -> Decimal:
        return self.record.shares if self.record.side == "BOT" else -self.record.shares

    @property
    def flow(self) -> Decimal:
        return -self.signed * self.record.price * PRODUCTS[self.key][2]


def key_of(contract: Contract) -> str:
    """Return the ledger's own name of what is traded."""
    names = {"FUT": "ESZ5", "OPT": "TSLA251219C00400000"}
    return names.get(contract.sec_type, contract.symbol)


class Ledger:
    """Trades, and what they add up to."""

    def __init__(self, cash: dict[str, Decimal]) -> None:
        self.start = cash
        self.trades: dict[str, Trade] = {}

    def take(self, event: ExchangeEvent) -> None:
        match event:
            case Filled(record) if event.corrects:
                assert record.exec_id not in self.trades
                assert record.exec_id.rpartition(".")[0] == event.corrects.rpartition(".")[0]
                lines = self.trades.items()
                new = Trade(record, key_of(record.contract))
                self.trades = {
                    (record.exec_id if key == event.corrects else key): (
                        new if key == event.corrects else line
                    )
                    for key, line in lines
                }
            case Filled(record):
                assert record.exec_id not in self.trades
                self.trades[record.exec_id] = Trade(record, key_of(record.contract))
            case Commissioned():
                line = self.trades[event.exec_id]
                self.trades[event.exec_id] = replace(line, commission=event.commission)
            case PositionChanged():
                held = self.position(event.account, key_of(event.contract))
                assert event.quantity == held
            case _:
                pass

    def of(self, account: str, key: str) -> list[Trade]:
        found = self.trades.values()
        return [line for line in found if line.record.account == account and line.key == key]

    def position(self, account: str, key: str) -> Decimal:
        return sum((line.signed for line in self.of(account, key)), ZERO)

    def filled(self, perm_id: int) -> Decimal:
        lines = (line.record for line in self.trades.values())
        return sum((row.shares for row in lines if row.perm_id == perm_id), ZERO)

    def open_notional(self, account: str, key: str) -> Fraction:
        """Return the average cost of what is open, without commissions."""
        held = notional = Fraction(0)
        for line in self.of(account, key):
            shares, price = Fraction(line.signed), Fraction(line.record.price)
            if held * shares < 0:
                closing = min(abs(shares), abs(held))
                notional -= notional * closing / abs(held)
                held += closing if shares > 0 else -closing
                shares -= closing if shares > 0 else -closing
            notional += shares * price * PRODUCTS[key][2]
            held += shares
        return notional

    def cash(self, account: str) -> Fraction:
        """Return what is in an account: a future is paid for only by what it has realised."""
        lines = [line for line in self.trades.values() if line.record.account == account]
        flows = sum((line.flow - line.commission for line in lines), ZERO)
        paid = Fraction(self.start[account]) + Fraction(flows)
        return paid + self.open_notional(account, "ESZ5")
