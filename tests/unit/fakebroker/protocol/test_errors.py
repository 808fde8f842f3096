import pytest

from fakebroker.protocol.errors import TEXTS, ErrorCode, text


def test_every_code_has_words() -> None:
    assert TEXTS.keys() == set(ErrorCode)


def test_the_words_of_a_late_cancel_name_order_and_state() -> None:
    assert text(ErrorCode.CANCEL_TOO_LATE, order_id=17, state="Filled") == (
        "OrderId 17 that needs to be cancelled cannot be cancelled, state: Filled."
    )
    assert text(ErrorCode.CANCEL_NOT_FOUND, order_id=17) == (
        "OrderId 17 that needs to be cancelled is not found."
    )


def test_the_words_of_a_reject_begin_as_bots_expect() -> None:
    assert text(ErrorCode.ORDER_REJECTED, reason="no cash").startswith("Order rejected - reason:")
    assert text(ErrorCode.ORDER_CANCELLED, reason="") == "Order Canceled - reason:"
    assert text(ErrorCode.DUPLICATE_ORDER_ID) == "Duplicate order id"


@pytest.mark.parametrize("values", [{}, {"order": 17}, {"order_id": 17, "state": "Filled"}])
def test_a_missing_or_a_strange_value_is_refused_by_name(values: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="the text of error 10147 needs order_id; given: "):
        text(ErrorCode.CANCEL_NOT_FOUND, **values)
