from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

from ib_insync import Order

from fakebroker.protocol import describe
from fakebroker.protocol import replies as r
from fakebroker.protocol import requests as q
from fakebroker.values import Action, Contract, OrderStatus, OrderTerms
from tests.unit.fakebroker.protocol.wire import MARGINS, TESLA, open_order, placed

D = Decimal


def test_an_order_is_described_by_what_was_asked_and_not_by_what_was_echoed() -> None:
    order = Order(
        action="SELL",
        totalQuantity=100,
        orderType="STP",
        auxPrice=440.50,
        orderRef="ref",
        transmit=False,
        parentId=16,
    )
    request = placed(176, order)
    assert describe(request) == {
        "order_id": 7,
        "symbol": "TSLA",
        "action": "SELL",
        "quantity": "100",
        "order_type": "STP",
        "aux_price": "440.5",
        "order_ref": "ref",
        "transmit": False,
        "parent_id": 16,
    }
    assert describe(replace(open_order(request), contract=TESLA)) == describe(request) | {
        "con_id": 76792991,
        "client_id": 1,
        "perm_id": 1376327563,
        "status": "Submitted",
    }


def test_a_fill_is_described_with_its_execution() -> None:
    noon = datetime(2025, 10, 6, 16, 0, tzinfo=UTC)
    execution = r.Execution(
        *("e.01", noon, "DU1", "ISLAND", "BOT"), D(60), D("444.770"), 5, 11, D(60), D("444.77")
    )
    assert describe(r.ExecDetails(-1, 17, TESLA, execution)) == {
        "req_id": -1,
        "order_id": 17,
        "symbol": "TSLA",
        "con_id": 76792991,
        "exec_id": "e.01",
        "time": "2025-10-06T16:00:00+00:00",
        "account": "DU1",
        "exchange": "ISLAND",
        "side": "BOT",
        "shares": "60",
        "price": "444.77",
        "perm_id": 5,
        "client_id": 11,
        "cum_qty": "60",
        "avg_price": "444.77",
    }


def test_zeros_that_were_not_a_default_are_told() -> None:
    report = r.OrderStatusReport(
        17, OrderStatus.FILLED, D(100), D(0), D("444.77"), 5, 0, D("444.77"), 0
    )
    facts = describe(report)
    assert (facts["remaining"], facts["client_id"], facts["parent_id"]) == ("0", 0, 0)
    assert "why_held" not in facts


def test_a_filter_says_only_what_it_restricts() -> None:
    assert describe(q.ReqExecutions(5, q.ExecutionFilter())) == {"req_id": 5}
    assert describe(q.ReqExecutions(5, q.ExecutionFilter(symbol="TSLA"))) == {
        "req_id": 5,
        "symbol": "TSLA",
    }


def test_messages_without_fields_are_described_as_nothing() -> None:
    assert describe(q.ReqOpenOrders()) == {}
    assert describe(r.OpenOrderEnd()) == {}


def test_several_accounts_are_one_text() -> None:
    assert describe(r.ManagedAccounts(("DU1", "DU2"))) == {"accounts": "DU1,DU2"}


def test_several_things_are_counted() -> None:
    legs = (q.ComboLeg(1, 1, "BUY", "IPE"),) * 2
    request = q.ReqMktData(1, Contract("WTI", "BAG"), legs=legs)
    assert describe(request) == {"req_id": 1, "symbol": "WTI", "sec_type": "BAG", "legs": 2}


def test_what_an_order_would_cost_is_described() -> None:
    margins = replace(MARGINS, commission=Decimal(1))
    terms = OrderTerms(Action.BUY, Decimal(1), "MKT", what_if=True)
    reply = r.OpenOrder(1, TESLA, terms, 1, 2, OrderStatus.PRE_SUBMITTED, margins=margins)
    facts = describe(reply)
    assert (facts["what_if"], facts["init_after"], facts["commission"]) == (True, "7", "1")
