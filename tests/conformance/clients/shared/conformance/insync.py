"""The conformance script of ib_insync and of ib_async, which continues it.

A step calls the library as a bot would and waits until the library's own objects say what they
should; both libraries have the same names, so the script is told which one it runs on.
"""

import logging
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

from conformance.reporting import (
    ACCOUNT,
    FAR_BELOW,
    HOST,
    MARKETABLE_SELL,
    SYMBOL,
    Seen,
    StepError,
    Steps,
    deadline_seconds,
    max_version,
    near_market,
)

OWN, OTHER, WATCHER = 1, 2, 3
LOOK_SECONDS = 0.05


class Complaints(logging.Handler):
    """Keeps what a library logs when it could not read a message: it goes on without it."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info or "handling fields" in record.getMessage():
            self.lines.append(record.getMessage())


class Script:
    """The steps, against one broker."""

    def __init__(self, library: ModuleType, port: int) -> None:
        self.lib: Any = library
        self.port = port
        self.ib: Any = None
        self.contract: Any = None
        self.entry: Any = None
        self.limit_trade: Any = None
        self.errors: list[tuple[int, int]] = []
        self.complaints = Complaints()
        logging.getLogger().addHandler(self.complaints)

    def steps(self) -> Steps:
        return {
            "connect": self.connect,
            "qualify": self.qualify,
            "market_order": self.market_order,
            "positions": self.positions,
            "limit": self.limit,
            "modify": self.modify,
            "cancel": self.cancel,
            "bracket": self.bracket,
            "trailing_stop": self.trailing_stop,
            "oca_1": lambda: self.oca(1),
            "oca_2": lambda: self.oca(2),
            "oca_3": lambda: self.oca(3),
            "what_if": self.what_if,
            "open_orders": self.open_orders,
            "all_open_orders": self.all_open_orders,
            "completed_orders": self.completed_orders,
            "executions": self.executions,
            "market_data": self.market_data,
            "snapshot": self.snapshot,
            "history": self.history,
            "head_timestamp": self.head_timestamp,
            "real_time_bars": self.real_time_bars,
            "tick_by_tick": self.tick_by_tick,
            "account_summary": self.account_summary,
            "pnl": self.pnl,
            "symbols": self.symbols,
            "market_rule": self.market_rule,
            "option_chain": self.option_chain,
            "global_cancel": self.global_cancel,
            "reconnect": self.reconnect,
            "error_326": self.error_326,
            "error_103": self.error_103,
            "all_understood": self.all_understood,
        }

    def open(self, client_id: int) -> Any:  # noqa: ANN401 - of a library chosen at run time
        ib = self.lib.IB()
        if (highest := max_version()) is not None:
            ib.client.MaxClientVersion = highest
        ib.RequestTimeout = deadline_seconds()
        ib.connect(HOST, self.port, clientId=client_id, timeout=deadline_seconds())
        return ib

    def wait(self, happened: Callable[[], object], what: str, *, ib: Any = None) -> None:  # noqa: ANN401
        """Let the client work until something is true of it; fail at the deadline.

        An update that comes before the wait is not told again, hence the short looks.
        """
        end = time.monotonic() + deadline_seconds()
        while not happened():
            if time.monotonic() > end:
                raise StepError(f"not so: {what}; errors {self.errors[-4:]}")
            (ib or self.ib).waitOnUpdate(timeout=LOOK_SECONDS)

    def order(self, action: str, quantity: float, kind: str, **terms: object) -> Any:  # noqa: ANN401
        return self.lib.Order(action=action, totalQuantity=quantity, orderType=kind, **terms)

    def place(self, order: Any, *, ib: Any = None) -> Any:  # noqa: ANN401
        return (ib or self.ib).placeOrder(self.contract, order)

    def status(self, trade: Any, status: str, *, ib: Any = None) -> None:  # noqa: ANN401
        """Wait until an order has, or has had, a status."""
        self.wait(
            lambda: trade.orderStatus.status == status or status in {e.status for e in trade.log},
            f"order {trade.order.orderId} is {status}, it is {trade.orderStatus.status}",
            ib=ib,
        )

    def filled(self, order: Any) -> Any:  # noqa: ANN401
        trade = self.place(order)
        self.status(trade, "Filled")
        return trade

    def connect(self) -> Seen:
        self.ib = self.open(OWN)
        self.ib.errorEvent += lambda req_id, code, *_: self.errors.append((req_id, code))
        return {
            "server_version": self.ib.client.serverVersion(),
            "accounts": self.ib.managedAccounts(),
        }

    def qualify(self) -> Seen:
        ib = self.ib
        [self.contract] = ib.qualifyContracts(self.lib.Stock(SYMBOL, "SMART", "USD"))
        details = ib.reqContractDetails(self.contract)
        nothing = ib.reqContractDetails(self.lib.Stock("NO SUCH", "SMART", "USD"))
        return {
            "contracts": [[d.contract.conId, d.contract.primaryExchange] for d in details],
            "min_tick": details[0].minTick,
            "unknown": self.errors[-1][1] if not nothing else None,
        }

    def market_order(self) -> Seen:
        trade = self.entry = self.filled(self.order("BUY", 100, "MKT", orderRef="entry"))
        self.wait(
            lambda: len(trade.fills) == 2 and all(f.commissionReport.execId for f in trade.fills),
            "two fills with commissions",
        )
        fills = [fill.execution for fill in trade.fills]
        reports = [fill.commissionReport for fill in trade.fills]
        return {
            "shares": [fill.shares for fill in fills],
            "running_totals": [fill.cumQty for fill in fills],
            "refs": [fill.orderRef for fill in fills],
            "near_market": near_market(*(fill.price for fill in fills)),
            "commission": round(sum(report.commission for report in reports), 2),
            "currencies": [report.currency for report in reports],
            "remaining": trade.orderStatus.remaining,
            "day": f"{fills[0].time:%Y%m%d}",
        }

    def positions(self) -> Seen:
        self.wait(lambda: [p.position for p in self.ib.positions()] == [100], "a position of 100")
        [held] = self.ib.positions()
        return {
            "account": held.account,
            "symbol": held.contract.symbol,
            "near_market": near_market(held.avgCost),
        }

    def limit(self) -> Seen:
        order = self.order("BUY", 10, "LMT", lmtPrice=FAR_BELOW, orderRef="limit")
        trade = self.limit_trade = self.place(order)
        self.status(trade, "Submitted")
        [echo] = [t for t in self.ib.reqOpenOrders() if self.ref_of(t) == "limit"]
        return {
            "filled": trade.orderStatus.filled,
            "remaining": trade.orderStatus.remaining,
            "price": self.order_of(echo).lmtPrice,
            "same_perm_id": trade.orderStatus.permId == self.order_of(echo).permId != 0,
        }

    def order_of(self, found: Any) -> Any:  # noqa: ANN401
        """Return the order of what a request for open orders lists: an order or a trade."""
        return getattr(found, "order", found)

    def ref_of(self, found: Any) -> str:  # noqa: ANN401
        return str(self.order_of(found).orderRef)

    def modify(self) -> Seen:
        trade = self.limit_trade
        perm_id = trade.orderStatus.permId
        trade.order.lmtPrice, trade.order.totalQuantity = 60.0, 20
        assert self.place(trade.order) is trade
        self.wait(lambda: trade.orderStatus.remaining == 20, "20 shares remain")
        [echo] = [o for o in map(self.order_of, self.ib.reqOpenOrders()) if o.lmtPrice == 60]
        return {
            "quantity": echo.totalQuantity,
            "status": trade.orderStatus.status,
            "same_perm_id": echo.permId == trade.orderStatus.permId == perm_id,
        }

    def cancel(self) -> Seen:
        trade = self.limit_trade
        self.ib.cancelOrder(trade.order)
        self.status(trade, "Cancelled")
        mine = trade.order.orderId
        self.wait(lambda: mine in {req_id for req_id, _ in self.errors}, "an error for the cancel")
        [code] = [code for req_id, code in self.errors if req_id == mine]
        return {"filled": trade.orderStatus.filled, "code": code}

    def bracket(self) -> Seen:
        ids = [self.ib.client.getReqId() for _ in range(3)]
        family = {"parentId": ids[0], "tif": "GTC"}
        parent, stop, target = [
            self.place(order)
            for order in (
                self.order("BUY", 100, "MKT", transmit=False, orderId=ids[0]),
                self.order(
                    "SELL",
                    100,
                    "STP",
                    auxPrice=MARKETABLE_SELL,
                    transmit=False,
                    orderId=ids[1],
                    **family,
                ),
                self.order("SELL", 100, "LMT", lmtPrice=100.8, orderId=ids[2], **family),
            )
        ]
        self.status(parent, "Filled")
        self.status(stop, "PreSubmitted")
        self.status(target, "Filled")
        self.status(stop, "Cancelled")
        return {"child_of_parent": stop.orderStatus.parentId == ids[0]}

    def trailing_stop(self) -> Seen:
        trade = self.place(self.order("SELL", 100, "TRAIL", auxPrice=0.6, orderRef="trail"))
        self.status(trade, "PreSubmitted")
        self.status(trade, "Filled")
        # What the broker says of a stop that it moved is not taken over into an order at hand.
        [done] = [t for t in self.ib.reqCompletedOrders(False) if t.order.orderRef == "trail"]
        return {"stop_told": near_market(done.order.trailStopPrice)}

    def oca(self, kind: int) -> Seen:
        self.filled(self.order("BUY", 100, "MKT"))
        group = {"ocaGroup": f"exits{kind}", "ocaType": kind}
        stop = self.place(self.order("SELL", 100, "STP", auxPrice=FAR_BELOW, **group))
        self.status(stop, "PreSubmitted")
        self.filled(self.order("SELL", 50, "LMT", lmtPrice=MARKETABLE_SELL, **group))
        if kind == 1:
            self.status(stop, "Cancelled")
            return {"left": 0.0}
        self.wait(lambda: stop.orderStatus.remaining == 50, "the stop is reduced to 50")
        left = stop.orderStatus.remaining
        self.ib.cancelOrder(stop.order)
        self.status(stop, "Cancelled")
        return {"left": left}

    def what_if(self) -> Seen:
        state = self.ib.whatIfOrder(self.contract, self.order("BUY", 100, "MKT"))
        return {
            "margin_grows": float(state.initMarginChange) > 0,
            "orders_left": len(self.ib.reqOpenOrders()),
        }

    def open_orders(self) -> Seen:
        trade = self.place(self.order("BUY", 1, "LMT", lmtPrice=FAR_BELOW, orderRef="mine"))
        self.status(trade, "Submitted")
        return {"refs": [self.ref_of(found) for found in self.ib.reqOpenOrders()]}

    def all_open_orders(self) -> Seen:
        other = self.open(OTHER)
        order = self.order("BUY", 1, "LMT", lmtPrice=FAR_BELOW, orderRef="theirs")
        self.status(self.place(order, ib=other), "Submitted", ib=other)
        listed = [self.order_of(found) for found in self.ib.reqAllOpenOrders()]
        own = [self.ref_of(found) for found in self.ib.reqOpenOrders()]
        other.disconnect()
        return {"all": {order.orderRef: order.clientId for order in listed}, "own": own}

    def completed_orders(self) -> Seen:
        found = self.ib.reqCompletedOrders(False)
        done = {trade.order.orderRef: trade for trade in found}
        return {
            "entry": done["entry"].orderStatus.status,
            "limit": done["limit"].orderStatus.status,
            "symbol": done["entry"].contract.symbol,
            "open_ones": sorted({"mine", "theirs"} & set(done)),
        }

    def executions(self) -> Seen:
        found = self.ib.reqExecutions(self.lib.ExecutionFilter(symbol=SYMBOL))
        fills = [fill.execution for fill in found]
        # A fill that was known before keeps its report where it was, and not in this answer.
        self.wait(
            lambda: all(fill.commissionReport.execId for fill in self.ib.fills()), "commissions"
        )
        return {
            "entry": [fill.shares for fill in fills if fill.orderRef == "entry"],
            "sides": sorted({fill.side for fill in fills}),
            "different_ids": len({fill.execId for fill in fills}) == len(fills),
        }

    def market_data(self) -> Seen:
        ticker = self.ib.reqMktData(self.contract)
        self.wait(lambda: ticker.hasBidAsk() and ticker.last == ticker.last, "bid, ask and last")
        prices = (ticker.bid, ticker.ask, ticker.last)
        self.wait(lambda: ticker.last != prices[2], "another last price")
        self.ib.cancelMktData(self.contract)
        return {
            "near_market": near_market(*prices, ticker.last),
            "crossed": prices[0] > prices[1],
        }

    def snapshot(self) -> Seen:
        [ticker] = self.ib.reqTickers(self.contract)
        return {"near_market": near_market(ticker.bid, ticker.ask, ticker.last)}

    def history(self) -> Seen:
        bars = self.ib.reqHistoricalData(
            self.contract, "", "1800 S", "5 secs", "TRADES", useRTH=False, keepUpToDate=True
        )
        told = list(bars)
        updates: list[object] = []
        bars.updateEvent += lambda _bars, new: updates.append(new)
        self.wait(lambda: updates, "an update of the bars")
        self.ib.cancelHistoricalData(bars)
        times = [str(bar.date) for bar in bars]
        return {
            "bars": len(told) > 1,
            "in_order": times == sorted(times),
            "near_market": near_market(*(bar.close for bar in bars)),
            "high_is_highest": all(bar.low <= bar.close <= bar.high for bar in bars),
            "as_the_market_moved": all(abs(bar.close - bar.open) in (0, 0.5) for bar in told),
        }

    def head_timestamp(self) -> Seen:
        head = self.ib.reqHeadTimeStamp(self.contract, "TRADES", False, 1)
        return {"day": f"{head:%Y%m%d}"}

    def real_time_bars(self) -> Seen:
        bars = self.ib.reqRealTimeBars(self.contract, 5, "TRADES", False)
        self.wait(lambda: len(bars) >= 2, "two bars")
        self.ib.cancelRealTimeBars(bars)
        return {
            "seconds_apart": int((bars[1].time - bars[0].time).total_seconds()),
            "near_market": near_market(*(bar.close for bar in bars)),
            "high_is_highest": all(bar.low <= bar.close <= bar.high for bar in bars),
        }

    def tick_by_tick(self) -> Seen:
        seen: Seen = {}
        for kind, field in (("Last", "price"), ("BidAsk", "bidPrice"), ("MidPoint", "midPoint")):
            ticker = self.ib.reqTickByTickData(self.contract, kind)
            ticks: list[Any] = []

            def keep(ticker: Any, ticks: list[Any] = ticks, field: str = field) -> None:  # noqa: ANN401
                # A tick of the kind before may still be under way when it is cancelled.
                ticks.extend(tick for tick in ticker.tickByTicks if hasattr(tick, field))

            ticker.updateEvent += keep
            self.wait(lambda ticks=ticks: ticks, f"a tick of {kind}")
            ticker.updateEvent -= keep
            self.ib.cancelTickByTickData(self.contract, kind)
            seen[kind] = near_market(getattr(ticks[0], field))
            if kind == "BidAsk":
                seen["crossed"] = ticks[0].bidPrice > ticks[0].askPrice
        return seen

    def account_summary(self) -> Seen:
        wanted = ("NetLiquidation", "TotalCashValue")
        rows = {row.tag: row for row in self.ib.accountSummary() if row.tag in wanted}
        return {
            "tags": sorted(rows),
            "account": rows["NetLiquidation"].account,
            "near_the_start": abs(float(rows["NetLiquidation"].value) - 100_000) < 2_000,
        }

    def pnl(self) -> Seen:
        day = self.ib.reqPnL(ACCOUNT)
        single = self.ib.reqPnLSingle(ACCOUNT, "", self.contract.conId)
        self.wait(lambda: day.realizedPnL == day.realizedPnL, "the account's profit")
        self.wait(lambda: single.value == single.value, "the position's profit")
        self.ib.cancelPnL(ACCOUNT)
        self.ib.cancelPnLSingle(ACCOUNT, "", self.contract.conId)
        return {
            "realised_some": abs(day.realizedPnL) < 2_000 and day.realizedPnL != 0,
            "position": float(single.position),
            "near_market": near_market(single.value / single.position),
        }

    def symbols(self) -> Seen:
        rows = [row.contract for row in self.ib.reqMatchingSymbols("TSL")]
        return {"con_ids": [row.conId for row in rows if row.symbol == SYMBOL]}

    def market_rule(self) -> Seen:
        rule = self.ib.reqMarketRule(26)
        return {"steps": [[step.lowEdge, step.increment] for step in rule]}

    def option_chain(self) -> Seen:
        chain = self.ib.reqSecDefOptParams(SYMBOL, "", "STK", self.contract.conId)[0]
        return {
            "underlying": int(chain.underlyingConId),
            "multiplier": chain.multiplier,
            "expirations": all(len(day) == 8 for day in chain.expirations)
            and len(chain.expirations) > 0,
            "strikes_around_market": min(chain.strikes) < 100 < max(chain.strikes),
        }

    def global_cancel(self) -> Seen:
        other = self.open(OTHER)
        theirs = self.place(self.order("BUY", 1, "LMT", lmtPrice=FAR_BELOW), ib=other)
        self.status(theirs, "Submitted", ib=other)
        self.ib.reqGlobalCancel()
        self.status(theirs, "Cancelled", ib=other)
        other.disconnect()
        return {"orders_left": len(self.ib.reqAllOpenOrders())}

    def reconnect(self) -> Seen:
        watcher = self.open(WATCHER)
        before = watcher.positions()[0].position
        away = self.place(self.order("SELL", 50, "STP", auxPrice=99.2, tif="GTC", orderRef="away"))
        resting = self.place(
            self.order("SELL", 10, "LMT", lmtPrice=200.0, tif="GTC", orderRef="resting")
        )
        self.wait(lambda: away.orderStatus.permId and resting.orderStatus.permId, "perm ids")
        perm_ids = away.orderStatus.permId, resting.orderStatus.permId
        resting_id = resting.order.orderId
        self.ib.disconnect()
        self.wait(
            lambda: watcher.positions()[0].position == before - 50, "the stop fills", ib=watcher
        )
        watcher.disconnect()
        self.ib = again = self.open(OWN)
        again.errorEvent += lambda req_id, code, *_: self.errors.append((req_id, code))
        live = again.openTrades()
        missed = [fill for fill in again.fills() if fill.execution.orderRef == "away"]
        return {
            "live": [trade.order.orderRef for trade in live],
            "live_perm_id_kept": [trade.orderStatus.permId for trade in live] == [perm_ids[1]],
            "missed": sum(fill.execution.shares for fill in missed),
            "missed_perm_id_kept": {fill.execution.permId for fill in missed} == {perm_ids[0]},
            "commissions": all(fill.commissionReport.currency == "USD" for fill in missed),
            "position_moved": again.positions()[0].position - before,
            "next_id_is_new": again.client.getReqId() > resting_id,
        }

    def error_326(self) -> Seen:
        twin = self.lib.IB()
        codes: list[int] = []
        twin.errorEvent += lambda _req_id, code, *_: codes.append(code)
        try:
            # Both libraries sit out their own time limit here before they give up.
            twin.connect(HOST, self.port, clientId=OWN, timeout=3)
        except (TimeoutError, ConnectionError):
            return {"code": codes[0], "first_lives": self.ib.isConnected()}
        raise StepError("a second client connected under the same id")

    def error_103(self) -> Seen:
        mine = self.entry.order.orderId
        order = self.order("BUY", 10, "LMT", lmtPrice=FAR_BELOW)
        mark = len(self.errors)
        self.ib.client.placeOrder(mine, self.contract, order)
        self.wait(lambda: len(self.errors) > mark, "an error")
        [(req_id, code)] = self.errors[mark:]
        return {"code": code if req_id == mine else None}

    def all_understood(self) -> Seen:
        return {"complaints": self.complaints.lines}
