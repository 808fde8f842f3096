from decimal import Decimal

import pytest

from fakebroker.protocol import formats


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("100", "100"),
        ("100.00", "100"),
        ("1E+3", "1000"),
        ("0.10", "0.1"),
        ("1E-7", "0.0000001"),
        ("-0.0", "0"),
        ("-12.50", "-12.5"),
    ],
)
def test_numbers_are_plain_and_short(value: str, shown: str) -> None:
    assert formats.number(Decimal(value)) == shown


def test_a_double_always_has_a_point() -> None:
    assert formats.double(Decimal(0)) == "0.0"
    assert formats.double(Decimal("444.770")) == "444.77"


def test_unset_is_empty_or_the_largest_double() -> None:
    assert formats.number_or_empty(None) == ""
    assert formats.double_or_unset(None) == "1.7976931348623157E308"
