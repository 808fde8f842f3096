"""Ground truth, append-only: every message, order, fill, price and standstill, in one order.

A record is one JSON object on one line. It holds exchange time only: no wall clock, no ports, no
paths and no process ids, so that the same inputs give the same bytes. The journal knows no file;
whoever made it hands it a sink for finished lines (`line_writer`).
"""

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from io import FileIO
from zoneinfo import ZoneInfo

from fakebroker.control_messages import Point
from fakebroker.exchange.events import (
    Commissioned,
    ExchangeEvent,
    Filled,
    OrderChanged,
    PositionChanged,
    Refused,
)
from fakebroker.exchange.orders import OrderView
from fakebroker.market.source import MarketEvent
from fakebroker.market.tape import Bar, Halt, Tick

EXCHANGE_ZONE = ZoneInfo("America/New_York")

Scalar = str | int | bool | None
Field = Scalar | Mapping[str, Scalar]

# Made once: `json.dumps` makes one for each record.
_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, check_circular=False).encode


class Journal:
    """Numbers records and hands each to the sink as one line of JSON without its newline."""

    def __init__(self, sink: Callable[[str], None]) -> None:
        self._sink = sink
        self._seq = 0
        self._moment: datetime | None = None
        self._time = ""

    @property
    def seq(self) -> int:
        """The number of the last record, 0 before the first."""
        return self._seq

    def go_on_in(self, sink: Callable[[str], None]) -> None:
        """Hand all further lines to another sink."""
        self._sink = sink

    def go_on_after(self, seq: int) -> None:
        """Number the next record as if `seq` records had been written."""
        self._seq = seq

    def write(self, kind: str, now: datetime, **fields: Field) -> None:
        """Append one record at exchange time `now` (aware); `None` fields are kept as null."""
        self._seq += 1
        if now is not self._moment:  # All records of one input come with the same object.
            self._moment, self._time = now, now.astimezone(EXCHANGE_ZONE).isoformat()
        record = {"seq": self._seq, "time": self._time, "kind": kind, **fields}
        self._sink(_encode(record))

    def bar(self, bar: Bar, now: datetime) -> None:
        """Append a bar that was played; prices in the contract's currency, volume in shares."""
        self.write(
            "bar",
            now,
            symbol=bar.symbol,
            start=bar.time.astimezone(EXCHANGE_ZONE).isoformat(),
            open=str(bar.open),
            high=str(bar.high),
            low=str(bar.low),
            close=str(bar.close),
            volume=str(bar.volume),
        )

    def market(self, event: MarketEvent, now: datetime) -> None:
        """Append what the market did; prices in the contract's currency, sizes in shares."""
        match event:
            case Bar():
                self.bar(event, now)
            case Tick():
                price, size = str(event.price), str(event.size)
                self.write("tick", now, symbol=event.symbol, price=price, size=size)
            case Halt():
                self.write("halt", now, symbol=event.symbol, halted=event.halted)

    def point(self, kind: str, point: Point, now: datetime) -> None:
        """Append that the broker stands still at `point`."""
        self.write(kind, now, point=point.model_dump(mode="json"))

    def exchange(self, event: ExchangeEvent, now: datetime) -> None:
        """Append what happened at the exchange."""
        match event:
            case OrderChanged():
                self.write(
                    "order",
                    now,
                    event=event.event.value,
                    **order_fields(event.order),
                    reason=event.reason,
                )
            case Filled(execution=execution):
                self.write(
                    "fill",
                    now,
                    exec_id=execution.exec_id,
                    perm_id=execution.perm_id,
                    order_id=execution.order_id,
                    client_id=execution.client_id,
                    order_ref=execution.order_ref,
                    symbol=execution.contract.symbol,
                    side=execution.side,
                    shares=str(execution.shares),
                    price=str(execution.price),
                    position_after=str(event.position_after),
                )
            case Commissioned():
                self.write(
                    "commission",
                    now,
                    exec_id=event.exec_id,
                    commission=str(event.commission),
                    realized_pnl=None if event.realized_pnl is None else str(event.realized_pnl),
                )
            case Refused():
                self.write(
                    "refused",
                    now,
                    client_id=event.client_id,
                    order_id=event.order_id,
                    code=event.code,
                    text=event.text,
                )
            case PositionChanged():
                # Follows from the fill, which carries position_after.
                return


def line_writer(file: FileIO | None) -> Callable[[str], None]:
    """Return what writes one journal line; each line is complete on disk before the next input."""
    if file is None:
        return lambda _line: None

    def write(line: str) -> None:
        # Without a buffer, which would be emptied for each line anyhow.
        left = f"{line}\n".encode()
        while left:
            left = left[file.write(left) :]

    return write


def order_fields(order: OrderView) -> dict[str, Scalar]:
    """Return what a record and the books tell of an order; Decimals as strings."""
    terms = order.terms
    return {
        "perm_id": order.perm_id,
        "order_id": order.order_id,
        "client_id": order.client_id,
        "order_ref": terms.order_ref,
        "symbol": order.contract.symbol,
        "action": terms.action.value,
        "order_type": terms.order_type,
        "quantity": str(terms.quantity),
        "filled": str(order.filled),
        "remaining": str(order.remaining),
        "limit_price": None if terms.limit_price is None else str(terms.limit_price),
        "aux_price": None if terms.aux_price is None else str(terms.aux_price),
        "status": order.status.value,
        "parent_perm_id": order.parent_perm_id,
        "oca_group": terms.oca_group,
        "transmitted": order.transmitted,
    }
