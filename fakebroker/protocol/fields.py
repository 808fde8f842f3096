"""Payloads as fields: text between NULs, and reading them one by one with words for what is wrong.

Every field ends with a NUL, the last one too. A reader knows the message and names each field, so
an undecodable one says which, with its value. Unset numbers come as an empty field or as one of
two sentinels (tws-protocol.md section 1, point 5). Nothing here knows an order of fields.
"""

import re
from decimal import Decimal
from typing import Final

from fakebroker.protocol.framing import ProtocolError
from fakebroker.values import Contract

UNSET_INTEGER: Final = "2147483647"
UNSET_DOUBLE: Final = "1.7976931348623157E308"
UNSET_LONG: Final = "9223372036854775807"
INFINITE: Final = "Infinite"

# How much of a wrong value an error shows.
SHOWN_CHARACTERS: Final = 60

INTEGER: Final = re.compile(r"[+-]?[0-9]{1,19}")
# Longer numbers mean nothing to an exchange, and a huge exponent would become a huge text.
NUMBER: Final = re.compile(
    r"[+-]?([0-9]{1,40}(\.[0-9]{0,40})?|\.[0-9]{1,40})([eE][+-]?[0-9]{1,3})?"
)
# Clients write the largest double in many spellings; nothing real comes near it.
NEARLY_LARGEST_DOUBLE: Final = Decimal("1.79769E308")
LARGEST_WHOLE: Final = Decimal(2**63)


def split_payload(payload: bytes) -> list[str]:
    r"""Return the fields of a payload, each of which ends with a NUL.

    Raises:
        ProtocolError: The last NUL is missing, or a field is not UTF-8.
    """
    if not payload.endswith(b"\0"):
        raise ProtocolError(f"a payload of {len(payload)} bytes does not end with NUL")
    try:
        return payload[:-1].decode("utf-8").split("\0")
    except UnicodeDecodeError as error:
        byte = payload[error.start]
        raise ProtocolError(f"byte {byte:#04x} at {error.start} is not UTF-8 text") from error


def join_fields(fields: list[str]) -> bytes:
    r"""Return the payload for the fields; what is not ASCII becomes \uXXXX (section 1, point 5).

    Raises:
        ValueError: A field holds a NUL; every field after it would be read as another one.
    """
    text = "\0".join((*fields, ""))
    if text.count("\0") != len(fields):
        field = next(field for field in fields if "\0" in field)
        raise ValueError(f"the field {field!r} holds a NUL and cannot be sent")
    return escape(text).encode("ascii")


def escape(text: str) -> str:
    r"""Return the text with every UTF-16 unit that is not ASCII as \uXXXX."""
    if text.isascii():
        return text
    units = text.encode("utf-16-be", "surrogatepass")
    codes = (int.from_bytes(units[at : at + 2], "big") for at in range(0, len(units), 2))
    return "".join(chr(code) if code < 128 else f"\\u{code:04x}" for code in codes)


def is_unset(text: str) -> bool:
    """Say whether a number field is empty or one of the sentinels, however it is spelt."""
    if text in {"", UNSET_INTEGER}:
        return True
    return NUMBER.fullmatch(text) is not None and Decimal(text) >= NEARLY_LARGEST_DOUBLE


class FieldReader:
    """Reads the fields of one message in order."""

    def __init__(self, message: str, fields: list[str]) -> None:
        self._message = message
        self._fields = fields
        self._next = 0

    def text(self, name: str) -> str:
        """Return the next field as it came.

        Raises:
            ProtocolError: The message has ended before this field.
        """
        if self._next == len(self._fields):
            raise ProtocolError(f"{self._message} ends before its field {name}")
        self._next += 1
        return self._fields[self._next - 1]

    def skip_version(self) -> None:
        """Read the message's own version, a number that has not changed for years."""
        self.integer("version")

    def integer(self, name: str) -> int:
        """Return the next field, which must be a whole number.

        Raises:
            ProtocolError: It is empty, or no whole number.
        """
        text = self.text(name)
        if INTEGER.fullmatch(text) is None:
            raise self.wrong(name, text, "a whole number")
        return int(text)

    def integer_or(self, name: str, default: int) -> int:
        """Return the next field, or the default when it is unset.

        Raises:
            ProtocolError: It is set and no whole number.
        """
        text = self.text(name)
        if is_unset(text):
            return default
        if INTEGER.fullmatch(text) is None:
            raise self.wrong(name, text, "a whole number")
        return int(text)

    def number_or(self, name: str, default: Decimal) -> Decimal:
        """Return the next field, or the default when it is unset.

        Raises:
            ProtocolError: It is set and no number.
        """
        text = self.text(name)
        return default if is_unset(text) else self.to_number(name, text)

    def boolean(self, name: str) -> bool:
        """Return the next field as true or false; an empty one is false to TWS.

        Raises:
            ProtocolError: It is neither 1, 0 nor empty.
        """
        return self.to_boolean(name, self.text(name))

    def count(self, name: str) -> int:
        """Return the next field as the number of things that follow.

        Raises:
            ProtocolError: It is negative or no whole number.
        """
        count = self.integer_or(name, 0)
        if count < 0:
            raise self.wrong(name, str(count), "a count")
        return count

    def contract(self) -> Contract:
        """Return the next twelve fields, `C12` in tws-protocol.md section 2.

        Raises:
            ProtocolError: A number among them is none.
        """
        return Contract(
            con_id=self.integer_or("conId", 0),
            symbol=self.text("symbol"),
            sec_type=self.text("secType"),
            last_trade_date=self.text("lastTradeDateOrContractMonth"),
            strike=self.number_or("strike", Decimal(0)),
            right=self.text("right"),
            multiplier=self.text("multiplier"),
            exchange=self.text("exchange"),
            primary_exchange=self.text("primaryExchange"),
            currency=self.text("currency"),
            local_symbol=self.text("localSymbol"),
            trading_class=self.text("tradingClass"),
        )

    def finish(self) -> None:
        """Check that nothing is left.

        Raises:
            ProtocolError: There are fields that the message does not have.
        """
        left = self._fields[self._next :]
        if left:
            raise ProtocolError(f"{self._message} has {len(left)} fields too many: {left[:5]}")

    def to_number(self, name: str, text: str) -> Decimal:
        """Return the text of a field as a number.

        Raises:
            ProtocolError: It is none.
        """
        if NUMBER.fullmatch(text) is None:
            raise self.wrong(name, text, "a number")
        number = Decimal(text)
        # Clients write the same size as 100 and as 100.0; the books are to hold one spelling.
        whole = number.to_integral_value()
        return whole if number == whole and abs(whole) < LARGEST_WHOLE else number

    def to_integer(self, name: str, text: str) -> int:
        """Return the text of a field as a whole number.

        Raises:
            ProtocolError: It is none.
        """
        if INTEGER.fullmatch(text) is None:
            raise self.wrong(name, text, "a whole number")
        return int(text)

    def to_boolean(self, name: str, text: str) -> bool:
        """Return the text of a field as true or false.

        Raises:
            ProtocolError: It is neither 1, 0 nor empty.
        """
        if text not in {"", "0", "1"}:
            raise self.wrong(name, text, "0 or 1")
        return text == "1"

    def wrong(self, name: str, text: str, wanted: str) -> ProtocolError:
        """Return the error for a field that is not what it must be."""
        shown = text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}..."
        return ProtocolError(f"{self._message}: the field {name} is {shown!r}, not {wanted}")
