"""Debts are paid in the order of their time, then of their making."""

from datetime import UTC, datetime, timedelta

from fakebroker.deferred import AccountNews, ClientIdFree, CommissionNews, DebtQueue

NOON = datetime(2025, 10, 6, 16, tzinfo=UTC)


def test_an_empty_queue_is_due_never() -> None:
    assert DebtQueue().next_due() is None


def test_the_earliest_debt_comes_first_and_equal_ones_in_their_order() -> None:
    debts = DebtQueue()
    debts.owe(ClientIdFree(7), NOON + timedelta(seconds=2))
    debts.owe(CommissionNews("b"), NOON)
    debts.owe(AccountNews(1), NOON)

    assert debts.next_due() == NOON
    assert [debts.pop(), debts.pop(), debts.pop()] == [
        CommissionNews("b"),
        AccountNews(1),
        ClientIdFree(7),
    ]
