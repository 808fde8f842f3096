"""The base of everything that crosses a file or a process in the harness.

Values are frozen and refuse fields that they do not know: a case that was written by another
version must fail loudly instead of running as something else.
"""

from decimal import Decimal
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict


def plain(number: Decimal) -> Decimal:
    """The same number without zeros at its end: 100.0 is 100, and never 1E+2."""
    whole = number.to_integral_value()
    return whole if whole == number else number.normalize()


Shares = Annotated[Decimal, AfterValidator(plain)]
"""A quantity of shares; clients write 100 as "100.0", people do not."""


class Value(BaseModel):
    """A frozen pydantic model that forbids unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Seen(BaseModel):
    """A frozen record of what somebody else wrote; fields that we do not know are left out."""

    model_config = ConfigDict(frozen=True, extra="ignore")
