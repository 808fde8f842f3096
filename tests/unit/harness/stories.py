"""Writes small histories by hand, for tests of what reads them.

Every method adds one line as the broker or the harness would write it; `history()` reads them
back. Times run on by a second a line from 10:00:00.
"""

import json
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Self
from zoneinfo import ZoneInfo

from harness.history import History

OPEN = datetime(2025, 10, 6, 10, 0, tzinfo=ZoneInfo("America/New_York"))
ENTRY = "PS60|TSLA|L|20251006|1|entry"
STOP = "PS60|TSLA|L|20251006|1|stop"
PARTIAL = "PS60|TSLA|L|20251006|1|partial"
EXIT = "PS60|TSLA|L|20251006|1|exit"
TARGET = "PS60|TSLA|L|20251006|1|target"


def stem(number: int) -> str:
    """The id of the execution of a number, without what a correction changes."""
    return f"0000e0d5.{number:08d}.01"


class Story:
    """Lines of a history, in order."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []
        self.held: dict[str, Decimal] = {}
        self.life = 0
        self.executions = 0
        self.passed = timedelta()

    def add(self, source: str, kind: str, **fields: object) -> int:
        seq = len(self.lines) + 1
        time = (OPEN + self.passed + timedelta(seconds=seq)).isoformat()
        self.lines.append({"seq": seq, "source": source, "time": time, "kind": kind, **fields})
        return seq

    def history(self) -> History:
        return History.of(json.loads(json.dumps(self.lines)))

    def text(self) -> str:
        return "".join(json.dumps(line) + "\n" for line in self.lines)

    def case(self, *, crashes: tuple[str, ...] = (), scenario: str = "story") -> Self:
        token = f"{scenario}/json@123abc"
        names = {"scenario": scenario, "store": "json", "seed": 0, "token": token}
        self.add("harness", "case", **names, crashes=list(crashes), bot="bot")
        return self

    def launched(self) -> Self:
        self.life += 1
        self.add("harness", "launched", life=self.life)
        return self

    def ready(self) -> Self:
        self.add("harness", "ready", life=self.life)
        return self

    def start(self) -> Self:
        return self.launched().heard(session=self.life + 1).ready()

    def heard(self, session: int) -> Self:
        for end in ("openOrderEnd", "positionEnd", "execDetailsEnd"):
            self.sent(end, session=session)
        return self

    def bar(self, close: str = "445.00") -> Self:
        prices = dict.fromkeys(("open", "high", "low", "close"), close)
        self.add("broker", "bar", symbol="TSLA", start=OPEN.isoformat(), **prices, volume="100")
        return self

    def order(
        self,
        perm_id: int,
        action: str,
        quantity: int,
        order_type: str = "MKT",
        *,
        ref: str = "",
        event: str = "accepted",
        filled: int = 0,
        status: str = "Submitted",
        price: str | None = None,
        parent: int | None = None,
        oca: str = "",
        client: int = 2001,
        symbol: str = "TSLA",
        transmitted: bool = True,
    ) -> Self:
        stop = order_type == "STP"
        self.add(
            "broker",
            "order",
            event=event,
            perm_id=perm_id,
            order_id=perm_id,
            client_id=client,
            order_ref=ref,
            symbol=symbol,
            action=action,
            order_type=order_type,
            quantity=str(quantity),
            filled=str(filled),
            remaining=str(quantity - filled),
            limit_price=None if stop else price,
            aux_price=price if stop else None,
            status=status,
            parent_perm_id=parent,
            oca_group=oca,
            transmitted=transmitted,
            reason="",
        )
        return self

    def done(
        self,
        perm_id: int,
        action: str,
        quantity: int,
        order_type: str = "MKT",
        *,
        filled: int | None = None,
        ref: str = "",
        oca: str = "",
        price: str | None = None,
        parent: int | None = None,
    ) -> Self:
        whole = filled in {None, quantity}
        return self.order(
            perm_id,
            action,
            quantity,
            order_type,
            filled=quantity if filled is None else filled,
            status="Filled" if whole else "Cancelled",
            event="filled" if whole else "cancelled",
            ref=ref,
            oca=oca,
            price=price,
            parent=parent,
        )

    def fill(
        self,
        perm_id: int,
        side: str,
        shares: int,
        price: str = "445.00",
        *,
        ref: str = "",
        client: int = 2001,
        symbol: str = "TSLA",
    ) -> Self:
        signed = Decimal(shares if side == "BOT" else -shares)
        self.held[symbol] = self.held.get(symbol, Decimal(0)) + signed
        self.executions += 1
        self.add(
            "broker",
            "fill",
            exec_id=f"{stem(self.executions)}.01",
            perm_id=perm_id,
            order_id=perm_id,
            client_id=client,
            order_ref=ref,
            symbol=symbol,
            side=side,
            shares=str(shares),
            price=price,
            position_after=str(self.held[symbol]),
        )
        return self

    def commission(self, realized_pnl: str | None) -> Self:
        exec_id = f"{stem(self.executions)}.01"
        self.add("broker", "commission", exec_id=exec_id, commission="1", realized_pnl=realized_pnl)
        return self

    def corrected(self, number: int, side: str, shares: int, *, ref: str = "") -> Self:
        """The exchange replaces the execution of a number by one of so many shares."""
        old = next(each for each in self.lines if each.get("exec_id", "").startswith(stem(number)))
        signed = Decimal(shares) - Decimal(old["shares"])
        self.held["TSLA"] += signed if side == "BOT" else -signed
        changes = {"exec_id": f"{stem(number)}.02", "shares": str(shares), "order_ref": ref}
        fields = {**old, **changes, "position_after": str(self.held["TSLA"])}
        for name in ("seq", "source", "time", "kind"):
            del fields[name]
        self.add("broker", "fill", **fields)
        return self

    def busted(self, number: int, perm_id: int, action: str, quantity: int, *, ref: str) -> Self:
        """The exchange takes back the execution of a number, all that its order had filled."""
        self.held["TSLA"] += -quantity if action == "BUY" else quantity
        self.order(perm_id, action, quantity, ref=ref, event="busted", status="Filled")
        self.lines[-1]["reason"] = f"execution {stem(number)}.01 was busted"
        return self

    def days_pass(self, days: int) -> Self:
        """All that follows happens so many days later."""
        self.passed += timedelta(days=days)
        return self

    def session(self, event: str, number: int, client: int = 2001) -> Self:
        """A connection was made ("connected"), is in use ("ready") or gone ("disconnected")."""
        self.add("broker", "session", event=event, session=number, client_id=client, reason="")
        return self

    def harmed(self, fault: str, role: str) -> Self:
        """The dead bot's memory is damaged."""
        words = f"the {role} is not what it was"
        self.add("harness", "storage", life=self.life, fault=fault, words=words, role=role)
        return self

    def received(
        self, message: str = "placeOrder", *, session: int | None = None, **fields: object
    ) -> Self:
        self.add(
            "broker",
            "received",
            session=self.life + 1 if session is None else session,
            client_id=2001,
            message=message,
            occurrence=1,
            fields=fields,
        )
        return self

    def sent(self, message: str, *, session: int | None = None, **fields: object) -> Self:
        self.add(
            "broker",
            "sent",
            session=self.life + 1 if session is None else session,
            client_id=2001,
            message=message,
            occurrence=1,
            fields=fields,
        )
        return self

    def killed(self, point: str = "quiet after the 10:00:00 bar") -> Self:
        self.add("harness", "killed", life=self.life, point=point, how="SIGKILL")
        return self

    def state(self, when: str = "end", **belief: object) -> Self:
        self.add("bot", "state", life=self.life, when=when, belief=belief)
        return self

    def exited(self, code: int, words: str = "") -> Self:
        self.add("harness", "exited", life=self.life, code=code, last_words=words)
        return self

    def end(self) -> Self:
        self.add("harness", "ended")
        return self

    def end_copy(self) -> History:
        """The history with its end, leaving the story open for more."""
        copy = Story()
        copy.lines = list(self.lines)
        return copy.end().history()

    def bracket(self, quantity: int = 100) -> Self:
        """A bracket entry that has filled: long, a working stop, a working partial."""
        self.order(1, "BUY", quantity, ref=ENTRY)
        self.stop(quantity, parent=1, status="PreSubmitted")
        half = quantity // 2
        self.order(3, "SELL", half, "LMT", ref=PARTIAL, parent=1, oca="exits", price="447.13")
        return self.filled_entry(quantity)

    def filled_entry(self, quantity: int = 100) -> Self:
        self.fill(1, "BOT", quantity, "445.25", ref=ENTRY)
        return self.done(1, "BUY", quantity, ref=ENTRY)

    def stop(
        self,
        quantity: int,
        *,
        perm_id: int = 2,
        parent: int | None = None,
        filled: int = 0,
        status: str = "Submitted",
        event: str = "accepted",
        transmitted: bool = True,
    ) -> Self:
        return self.order(
            perm_id,
            "SELL",
            quantity,
            "STP",
            ref=STOP,
            oca="exits",
            price="443.37",
            parent=parent,
            filled=filled,
            status=status,
            event=event,
            transmitted=transmitted,
        )

    def stopped_out(self, quantity: int = 100, perm_id: int = 2, *, ref: str = STOP) -> Self:
        self.fill(perm_id, "SLD", quantity, "443.37", ref=ref)
        self.done(perm_id, "SELL", quantity, "STP", ref=ref, oca="exits", price="443.37")
        return self

    def partial_gone(self) -> Self:
        return self.done(
            3, "SELL", 50, "LMT", ref=PARTIAL, oca="exits", price="447.13", parent=1, filled=0
        )
