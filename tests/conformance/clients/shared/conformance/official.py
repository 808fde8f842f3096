"""The conformance script of IB's own Python API, in any of its versions.

A step asks, waits for the callback that ends its answer, and reads what was written since it asked.
"""

import threading
from collections.abc import Callable

from conformance.official_app import ASK, BID, LAST, OTHER, OWN, WATCHER, App, order, stock
from conformance.reporting import (
    ACCOUNT,
    FAR_BELOW,
    HOST,
    MARKETABLE_SELL,
    SYMBOL,
    Seen,
    Steps,
    near_market,
)
from ibapi.execution import ExecutionFilter
from ibapi.order import Order
from ibapi.wrapper import EWrapper


class Script:
    """The steps, against one broker."""

    def __init__(
        self,
        port: int,
        *,
        cancel: Callable[[App, int], object],
        cancel_all: Callable[[App], object],
    ) -> None:
        self.port = port
        self.cancel_order = cancel
        self.cancel_all = cancel_all
        self.app = self.before = App(port, OWN)
        self.entry_id = 0
        self.limit_id = 0

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

    def close(self) -> None:
        """Let the process end: the library's threads live as long as a connection."""
        if self.app.isConnected():
            self.app.close()

    def place(self, app: App, made: Order) -> int:
        order_id = app.take_id()
        app.placeOrder(order_id, stock(), made)
        return order_id

    def filled(self, made: Order) -> int:
        order_id = self.place(self.app, made)
        self.app.status(order_id, "Filled")
        return order_id

    def connect(self) -> Seen:
        app = self.app.start()
        accounts = app.wait("managedAccounts").accountsList.strip(",").split(",")
        return {"server_version": app.serverVersion(), "accounts": accounts}

    def qualify(self) -> Seen:
        app = self.app
        found = app.ask(app.reqContractDetails, "contractDetailsEnd", stock())
        details = [item.contractDetails for item in found if item.name == "contractDetails"]
        unknown = app.request_id()
        app.reqContractDetails(unknown, stock("NO SUCH"))
        return {
            "contracts": [[d.contract.conId, d.contract.primaryExchange] for d in details],
            "min_tick": details[0].minTick,
            "unknown": app.error_of(unknown).errorCode,
        }

    def market_order(self) -> Seen:
        app = self.app
        self.entry_id = self.filled(order("BUY", 100, "MKT", orderRef="entry"))
        fills = [item.execution for item in app.wait_for("execDetails", 2, lambda e: e.reqId == -1)]
        reports = [self.report_of(fill.execId) for fill in fills]
        statuses = app.since(0, "orderStatus", lambda s: s.orderId == self.entry_id)
        return {
            "shares": [float(fill.shares) for fill in fills],
            "running_totals": [float(fill.cumQty) for fill in fills],
            "refs": [fill.orderRef for fill in fills],
            "near_market": near_market(*(fill.price for fill in fills)),
            "commission": round(sum(report[0] for report in reports), 2),
            "currencies": [report[1] for report in reports],
            "remaining": float(statuses[-1].remaining),
            "day": fills[0].time[:8],
        }

    def report_of(self, exec_id: str) -> tuple[float, str]:
        """Return amount and currency of an execution's report; the newest API renamed it."""
        names = {"commissionReport", "commissionAndFeesReport"} & set(dir(EWrapper))
        [name] = names
        body = self.app.wait(name, lambda r: getattr(r, name).execId == exec_id)
        report = getattr(body, name)
        [amount] = [
            getattr(report, field)
            for field in ("commission", "commissionAndFees")
            if hasattr(report, field)
        ]
        return float(amount), report.currency

    def positions(self) -> Seen:
        app = self.app
        mark = app.mark()
        app.reqPositions()
        held = app.wait("position", lambda p: float(p.position) == 100, since=mark)
        app.wait("positionEnd", since=mark)
        return {
            "account": held.account,
            "symbol": held.contract.symbol,
            "near_market": near_market(held.avgCost),
        }

    def limit(self) -> Seen:
        app = self.app
        self.limit_id = self.place(
            app, order("BUY", 10, "LMT", lmtPrice=FAR_BELOW, orderRef="limit")
        )
        status = app.status(self.limit_id, "Submitted")
        echo = app.wait("openOrder", lambda o: o.orderId == self.limit_id)
        return {
            "filled": float(status.filled),
            "remaining": float(status.remaining),
            "price": echo.order.lmtPrice,
            "same_perm_id": status.permId == echo.order.permId != 0,
        }

    def modify(self) -> Seen:
        app = self.app
        mark = app.mark()
        app.placeOrder(
            self.limit_id, stock(), order("BUY", 20, "LMT", lmtPrice=60.0, orderRef="limit")
        )
        echo = app.wait("openOrder", lambda o: o.order.lmtPrice == 60, since=mark)
        first = app.wait("openOrder", lambda o: o.orderId == self.limit_id)
        status = app.wait("orderStatus", lambda s: float(s.remaining) == 20, since=mark)
        return {
            "quantity": float(echo.order.totalQuantity),
            "status": status.status,
            "same_perm_id": echo.order.permId == first.order.permId,
        }

    def cancel(self) -> Seen:
        app = self.app
        mark = app.mark()
        self.cancel_order(app, self.limit_id)
        status = app.status(self.limit_id, "Cancelled", since=mark)
        code = app.error_of(self.limit_id, since=mark).errorCode
        return {"filled": float(status.filled), "code": code}

    def bracket(self) -> Seen:
        app = self.app
        ids = [app.take_id() for _ in range(3)]
        family = {"parentId": ids[0], "tif": "GTC"}
        legs = [
            order("BUY", 100, "MKT", transmit=False, orderRef="parent"),
            order("SELL", 100, "STP", auxPrice=MARKETABLE_SELL, transmit=False, **family),
            order("SELL", 100, "LMT", lmtPrice=100.8, transmit=True, **family),
        ]
        for order_id, leg in zip(ids, legs, strict=True):
            app.placeOrder(order_id, stock(), leg)
        app.status(ids[0], "Filled")
        waited = app.status(ids[1], "PreSubmitted")
        app.status(ids[2], "Filled")
        app.status(ids[1], "Cancelled")
        return {"child_of_parent": waited.parentId == ids[0]}

    def trailing_stop(self) -> Seen:
        app = self.app
        order_id = self.place(app, order("SELL", 100, "TRAIL", auxPrice=0.6))
        app.status(order_id, "PreSubmitted")
        app.status(order_id, "Filled")
        stops = [
            item.order.trailStopPrice
            for item in app.since(0, "openOrder", lambda o: o.orderId == order_id)
        ]
        return {"stop_told": near_market(*stops[-1:])}

    def oca(self, kind: int) -> Seen:
        app = self.app
        self.filled(order("BUY", 100, "MKT"))
        group = {"ocaGroup": f"exits{kind}", "ocaType": kind}
        stop = self.place(app, order("SELL", 100, "STP", auxPrice=FAR_BELOW, **group))
        app.status(stop, "PreSubmitted")
        self.filled(order("SELL", 50, "LMT", lmtPrice=MARKETABLE_SELL, **group))
        if kind == 1:
            app.status(stop, "Cancelled")
            return {"left": 0.0}
        left = app.wait("orderStatus", lambda s: s.orderId == stop and s.remaining == 50)
        self.cancel_order(app, stop)
        app.status(stop, "Cancelled")
        return {"left": float(left.remaining)}

    def what_if(self) -> Seen:
        app = self.app
        order_id = self.place(app, order("BUY", 100, "MKT", whatIf=True))
        state = app.wait("openOrder", lambda o: o.orderId == order_id).orderState
        mark = app.listing(app.reqOpenOrders, "openOrderEnd")
        return {
            "margin_grows": float(state.initMarginChange) > 0,
            "orders_left": len(app.since(mark, "openOrder")),
        }

    def open_orders(self) -> Seen:
        app = self.app
        mine = self.place(app, order("BUY", 1, "LMT", lmtPrice=FAR_BELOW, orderRef="mine"))
        app.status(mine, "Submitted")
        mark = app.listing(app.reqOpenOrders, "openOrderEnd")
        return {"refs": [item.order.orderRef for item in app.since(mark, "openOrder")]}

    def all_open_orders(self) -> Seen:
        app = self.app
        other = App(self.port, OTHER).start()
        theirs = self.place(other, order("BUY", 1, "LMT", lmtPrice=FAR_BELOW, orderRef="theirs"))
        other.status(theirs, "Submitted")
        mark = app.listing(app.reqAllOpenOrders, "openOrderEnd")
        seen = {item.order.orderRef: item.order.clientId for item in app.since(mark, "openOrder")}
        mark = app.listing(app.reqOpenOrders, "openOrderEnd")
        other.close()
        own = [item.order.orderRef for item in app.since(mark, "openOrder")]
        return {"all": seen, "own": own}

    def completed_orders(self) -> Seen:
        app = self.app
        mark = app.listing(app.reqCompletedOrders, "completedOrdersEnd", False)
        done = {item.order.orderRef: item for item in app.since(mark, "completedOrder")}
        return {
            "entry": done["entry"].orderState.status,
            "limit": done["limit"].orderState.status,
            "symbol": done["entry"].contract.symbol,
            "open_ones": sorted({"mine", "theirs"} & set(done)),
        }

    def executions(self) -> Seen:
        app = self.app
        wanted = ExecutionFilter()
        wanted.symbol = SYMBOL
        found = app.ask(app.reqExecutions, "execDetailsEnd", wanted)
        fills = [item.execution for item in found if item.name == "execDetails"]
        entry = [fill for fill in fills if fill.orderRef == "entry"]
        for fill in fills:
            self.report_of(fill.execId)
        return {
            "entry": [float(fill.shares) for fill in entry],
            "sides": sorted({fill.side for fill in fills}),
            "different_ids": len({fill.execId for fill in fills}) == len(fills),
        }

    def market_data(self) -> Seen:
        app = self.app
        req_id = app.request_id()
        app.reqMktData(req_id, stock(), "", False, False, [])
        prices = {
            kind: app.wait(
                "tickPrice", lambda t, kind=kind: (t.reqId, t.tickType) == (req_id, kind)
            ).price
            for kind in (BID, ASK, LAST)
        }
        moved = app.wait(
            "tickPrice",
            lambda t: (t.reqId, t.tickType) == (req_id, LAST) and t.price != prices[LAST],
        )
        app.cancelMktData(req_id)
        return {
            "near_market": near_market(*prices.values(), moved.price),
            "crossed": prices[BID] > prices[ASK],
        }

    def snapshot(self) -> Seen:
        app = self.app
        found = app.ask(app.reqMktData, "tickSnapshotEnd", stock(), "", True, False, [])
        prices = {item.tickType: item.price for item in found if item.name == "tickPrice"}
        return {"near_market": near_market(*(prices[kind] for kind in (BID, ASK, LAST)))}

    def history(self) -> Seen:
        app = self.app
        asked = ("", "1800 S", "5 secs", "TRADES", 0, 1, True, [])
        found = app.ask(app.reqHistoricalData, "historicalDataEnd", stock(), *asked)
        bars = [item.bar for item in found if item.name == "historicalData"]
        update = app.wait("historicalDataUpdate", lambda u: u.reqId == found[0].reqId)
        app.cancelHistoricalData(found[0].reqId)
        return {
            "bars": len(bars) > 1,
            "in_order": [bar.date for bar in bars] == sorted(bar.date for bar in bars),
            "near_market": near_market(*(b.close for b in bars), update.bar.close),
            "high_is_highest": all(b.low <= b.close <= b.high for b in [*bars, update.bar]),
            "as_the_market_moved": all(abs(b.close - b.open) in (0, 0.5) for b in bars),
        }

    def head_timestamp(self) -> Seen:
        app = self.app
        found = app.ask(app.reqHeadTimeStamp, "headTimestamp", stock(), "TRADES", 0, 1)
        return {"day": found[0].headTimestamp[:8]}

    def real_time_bars(self) -> Seen:
        app = self.app
        req_id = app.request_id()
        app.reqRealTimeBars(req_id, stock(), 5, "TRADES", False, [])
        bars = app.wait_for("realtimeBar", 2, lambda b: b.reqId == req_id)
        app.cancelRealTimeBars(req_id)
        return {
            "seconds_apart": bars[1].time - bars[0].time,
            "near_market": near_market(*(bar.close for bar in bars)),
            "high_is_highest": all(bar.low <= bar.close <= bar.high for bar in bars),
        }

    def tick_by_tick(self) -> Seen:
        app = self.app
        seen: Seen = {}
        kinds = (
            ("Last", "tickByTickAllLast", "price"),
            ("BidAsk", "tickByTickBidAsk", "bidPrice"),
            ("MidPoint", "tickByTickMidPoint", "midPoint"),
        )
        for kind, callback, field in kinds:
            req_id = app.request_id()
            app.reqTickByTickData(req_id, stock(), kind, 0, False)
            tick = app.wait(callback, lambda t, req_id=req_id: t.reqId == req_id)
            app.cancelTickByTickData(req_id)
            seen[kind] = near_market(getattr(tick, field))
            if kind == "BidAsk":
                seen["crossed"] = tick.bidPrice > tick.askPrice
        return seen

    def account_summary(self) -> Seen:
        app = self.app
        tags = "NetLiquidation,TotalCashValue"
        found = app.ask(app.reqAccountSummary, "accountSummaryEnd", "All", tags)
        rows = {item.tag: item for item in found if item.name == "accountSummary"}
        app.cancelAccountSummary(found[0].reqId)
        return {
            "tags": sorted(rows),
            "account": rows["NetLiquidation"].account,
            "near_the_start": abs(float(rows["NetLiquidation"].value) - 100_000) < 2_000,
        }

    def pnl(self) -> Seen:
        app = self.app
        [day] = app.ask(app.reqPnL, "pnl", ACCOUNT, "")[:1]
        app.cancelPnL(day.reqId)
        con_id = app.wait("contractDetails").contractDetails.contract.conId
        [single] = app.ask(app.reqPnLSingle, "pnlSingle", ACCOUNT, "", con_id)[:1]
        app.cancelPnLSingle(single.reqId)
        return {
            "realised_some": abs(day.realizedPnL) < 2_000 and day.realizedPnL != 0,
            "position": float(single.pos),
            "near_market": near_market(single.value / float(single.pos)),
        }

    def symbols(self) -> Seen:
        app = self.app
        [found] = app.ask(app.reqMatchingSymbols, "symbolSamples", "TSL")
        rows = [row.contract for row in found.contractDescriptions]
        return {"con_ids": [row.conId for row in rows if row.symbol == SYMBOL]}

    def market_rule(self) -> Seen:
        app = self.app
        mark = app.listing(app.reqMarketRule, "marketRule", 26)
        [rule] = app.since(mark, "marketRule")
        return {"steps": [[step.lowEdge, step.increment] for step in rule.priceIncrements]}

    def option_chain(self) -> Seen:
        app = self.app
        con_id = app.wait("contractDetails").contractDetails.contract.conId
        found = app.ask(
            app.reqSecDefOptParams,
            "securityDefinitionOptionParameterEnd",
            SYMBOL,
            "",
            "STK",
            con_id,
        )
        chain = found[0]
        return {
            "underlying": chain.underlyingConId,
            "multiplier": chain.multiplier,
            "expirations": all(len(day) == 8 for day in chain.expirations)
            and len(chain.expirations) > 0,
            "strikes_around_market": min(chain.strikes) < 100 < max(chain.strikes),
        }

    def global_cancel(self) -> Seen:
        app = self.app
        other = App(self.port, OTHER).start()
        theirs = self.place(other, order("BUY", 1, "LMT", lmtPrice=FAR_BELOW))
        other.status(theirs, "Submitted")
        mark = other.mark()
        self.cancel_all(app)
        other.status(theirs, "Cancelled", since=mark)
        other.close()
        app.wait("openOrder", lambda o: o.order.orderRef == "mine")
        mark = app.listing(app.reqAllOpenOrders, "openOrderEnd")
        return {"orders_left": len(app.since(mark, "openOrder"))}

    def reconnect(self) -> Seen:
        watcher = App(self.port, WATCHER).start()
        watcher.reqPositions()
        before = float(watcher.wait("position").position)
        first = self.app
        stop = order("SELL", 50, "STP", auxPrice=99.2, tif="GTC", orderRef="away")
        away = self.place(first, stop)
        resting = self.place(
            first, order("SELL", 10, "LMT", lmtPrice=200.0, tif="GTC", orderRef="resting")
        )
        perm_ids = {
            order_id: first.wait("openOrder", lambda o, i=order_id: o.orderId == i).order.permId
            for order_id in (away, resting)
        }
        first.close()
        watcher.wait("position", lambda p: float(p.position) == before - 50)
        watcher.close()
        self.app = again = App(self.port, OWN).start()
        self.before = first
        mark = again.listing(again.reqOpenOrders, "openOrderEnd")
        # An order can be told twice: unasked on connect, and in the answer.
        live = {o.order.permId: o.order.orderRef for o in again.since(mark, "openOrder")}
        found = again.ask(again.reqExecutions, "execDetailsEnd", ExecutionFilter())
        fills = [item.execution for item in found if item.name == "execDetails"]
        missed = [fill for fill in fills if fill.orderRef == "away"]
        again.reqPositions()
        return {
            "live": list(live.values()),
            "live_perm_id_kept": list(live) == [perm_ids[resting]],
            "missed": sum(float(fill.shares) for fill in missed),
            "missed_perm_id_kept": {fill.permId for fill in missed} == {perm_ids[away]},
            "commissions": all(self.report_of(fill.execId)[1] == "USD" for fill in missed),
            "position_moved": float(again.wait("position").position) - before,
            "next_id_is_new": again.next_id > resting,
        }

    def error_326(self) -> Seen:
        twin = App(self.port, OWN)
        twin.connect(HOST, twin.port, twin.client)
        threading.Thread(target=twin.run, daemon=True).start()
        code = twin.wait("error", lambda e: e.errorCode in (326, 507)).errorCode
        twin.wait("connectionClosed")
        return {"code": code, "first_lives": self.app.isConnected()}

    def error_103(self) -> Seen:
        app = self.app
        mark = app.mark()
        again = order("BUY", 10, "LMT", lmtPrice=FAR_BELOW)
        app.placeOrder(self.entry_id, stock(), again)
        return {"code": app.error_of(self.entry_id, since=mark).errorCode}

    def all_understood(self) -> Seen:
        """Ask for what the library itself complained of: its own errors are the 500s."""
        heard = [*self.before.heard, *self.app.heard]
        errors = [item for item in heard if item.name == "error"]
        return {"complaints": [e.errorString for e in errors if 500 <= e.errorCode < 600]}
