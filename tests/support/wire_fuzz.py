"""Client streams that are wrong in a chosen way, each the pure function of a seed and a number.

A draft is a valid stream: prefix, version offer, startApi and some requests of every kind. A
mutation is a function that breaks a draft or its bytes; its name says how. What a server ought to
do with the result is not known here.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise

from ib_insync import Order, Stock

from fakebroker.protocol import frame
from tests.unit.fakebroker.protocol.wire import spoken

CONTRACT = "0 TSLA STK - 0.0 - - SMART - USD - -"
REQUESTS = tuple(
    tuple("" if word == "-" else word for word in line.split())
    for line in f"""
        1 11 9001 {CONTRACT} 0 - 0 0 -
        2 2 9001
        4 1 3 -
        5 1
        6 2 1 DU1234567
        7 3 9002 0 - - - - - -
        8 1 1
        9 8 9003 {CONTRACT} 0 - - -
        14 1 5
        15 1 1
        16 1
        17 1
        20 9004 {CONTRACT} 0 - 5_mins 1_D 1 TRADES 1 0 -
        25 1 9004
        49 1
        50 3 9005 {CONTRACT} 5 TRADES 0 -
        51 1 9005
        58 1
        59 1 3
        61 1
        62 1 9006 All NetLiquidation,BuyingPower
        63 1 9006
        64 1
        74 1 9007 DU1234567 -
        75 1 9007
        76 1 9008 DU1234567 - 0
        77 1 9008
        78 9009 TSLA - STK 76792991
        81 9010 TSL
        87 9011 {CONTRACT} 0 1 TRADES 1
        90 9011
        91 26
        92 9012 DU1234567 -
        93 9012
        94 9013 DU1234567 - 76792991
        95 9013
        96 9014 {CONTRACT} 0 - - 100 TRADES 1 0 -
        97 9015 {CONTRACT} Last 0 0
        98 9015
        99 0
    """.strip().splitlines()
)
ORDERS = (
    Order(action="BUY", totalQuantity=100, orderType="MKT"),
    Order(action="SELL", totalQuantity=7, orderType="LMT", lmtPrice=104.5, tif="GTC"),
    Order(action="SELL", totalQuantity=50, orderType="STP", auxPrice=98, ocaGroup="g", ocaType=1),
    Order(action="SELL", totalQuantity=9, orderType="TRAIL", trailingPercent=1.5),
    Order(action="BUY", totalQuantity=3, orderType="LIT", lmtPrice=99, auxPrice=99, whatIf=True),
)
NASTY = (
    *("", "0", "-1", "1", "+1", "-0", "00", " 1", "1 ", "x", "None", "true", "BAG", "IBKRATS"),
    *("2147483647", "2147483648", "-2147483648", "9223372036854775807", "9223372036854775808"),
    *("99999999999999999999", "NaN", "nan", "sNaN", "Infinity", "-inf", "Infinite", "1e400"),
    *("1e999", "1E-999", "-1e400", "1.7976931348623157E308", "1e308", "0x10", "1_000", "1,5"),
    *("9" * 40, "9" * 5000, "0." + "0" * 39 + "1", ".", "..", "١٢", "½", "\u202e", "\U0001f600"),
    *("'; DROP TABLE orders; --", "%s%n", "{}", "{0.__class__}", "\\u0000", "A" * 20_000),
    *("20251399 99:99:99", "20250101 00:00:00 Nowhere/City", "US/Eastern", "0001", "99991231"),
    *("MKT", "TRAIL LIMIT", "PEG BENCH", "PEG BEST", "GTD", "OPG", "FOK", "BUY", "SSHORT"),
    *("FUT", "OPT", "CASH", "CRYPTO", "DU9999999", "1 min", "0 S", "-5 D", "999999999 Y", "1 secs"),
)
STRANGE_NUMBERS = (
    *("0", "-1", "1", "2", "-100", "3.7", "1e300", "-1e300", "1e-300", "0." + "0" * 39 + "1"),
    *("2147483648", "9223372036854775806", "-9223372036854775808", "9" * 19, "9" * 40, "76792991"),
    *("1.7976931348623157E308", "2147483647", "", "99999999", "10000000", "0.005", "1000000"),
)
STRANGE_TEXTS = (
    *("", "0", "x", "TSLA", "BAG", "STK", "OPT", "FUT", "CASH", "C", "P", "NOWHERE", "EUR", "GTC"),
    *("MKT", "LMT", "STP", "STP LMT", "TRAIL", "TRAIL LIMIT", "MIT", "LIT", "MOC", "LOC", "REL"),
    *("IOC", "FOK", "GTD", "OPG", "DAY", "BUY", "SELL", "20251399 99:99:99", "20250101-00:00:00"),
    *("20251006 10:30:00 US/Eastern", "20250101 00:00:00 Nowhere/City", "202513", "00000000"),
    *("1 secs", "0 D", "-5 D", "999999999 Y", "1 month", "AllLast", "BidAsk", "MidPoint", "BID"),
    *(
        "\u202e\U0001f600",
        "A" * 20_000,
        "{0}",
        "%s",
        ",,,",
        "NetLiquidation",
        "All,,All",
        "'",
        "\\",
    ),
    *("DU1234567", "DU9999999", "١٢", "g", "100,233,236", "1,-1,x", "9" * 5000, "NaN", "Infinity"),
)
OFFERS = (
    *(b"v157..176", b"v157..178", b"v100..157", b"v1..2", b"v999999..999999", b"v178..157", b""),
    *(b"v", b"v157..", b"v157..176\0", b"v157..176 +PACEAPI", b"\xff\xfe", b"v" + b"9" * 100_000),
)
GREETINGS = (b"", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03", b"API")


@dataclass(slots=True)
class Draft:
    """A stream before it becomes bytes: the fields of its messages, startApi first."""

    version: int
    messages: list[list[bytes]]
    prefix: bytes = b"API\0"
    offer: bytes = b""
    headers: dict[int, int] = field(default_factory=dict)
    """Lengths that are announced in place of the true ones, by the place of the message."""

    def pick(self, rng: random.Random) -> list[bytes]:
        """Return one of the messages that is left."""
        return rng.choice(self.messages) if self.messages else []

    def encode(self) -> bytes:
        """Return the bytes that a client would send."""
        parts = [self.prefix, frame(self.offer)]
        for place, fields in enumerate(self.messages):
            payload = b"".join(part + b"\0" for part in fields)
            length = self.headers.get(place, len(payload))
            parts += [length.to_bytes(4, "big"), payload]
        return b"".join(parts)


def _order_messages(version: int) -> list[tuple[str, ...]]:
    stock = Stock("TSLA", "SMART", "USD")
    fields = (
        spoken(version, lambda client, order=order: client.placeOrder(7, stock, order))  # type: ignore[misc] # a default keeps the loop's value
        for order in ORDERS
    )
    return [tuple(message) for message in fields]


ORDER_MESSAGES = {version: _order_messages(version) for version in (157, 176)}


def draft(rng: random.Random, client_id: int) -> Draft:
    """Return a valid stream of one to eight requests; every third of them is an order."""
    version = rng.choice((157, 176))
    messages = [["71", "2", str(client_id), ""]]
    for number in range(rng.randint(1, 8)):
        if rng.random() < 0.33:
            code, _, *rest = rng.choice(ORDER_MESSAGES[version])
            messages.append([code, str(number + 1), *rest])
        else:
            message = [word.replace("_", " ") for word in rng.choice(REQUESTS)]
            # Two messages have one field fewer at the lower version (section 0).
            messages.append(message[:-1] if version == 157 and message[0] in "49" else message)
    encoded = [[part.encode() for part in message] for message in messages]
    return Draft(version, encoded, offer=f"v157..{version}".encode())


# Wrong fields


def drop_fields(rng: random.Random, made: Draft) -> None:
    """Leave fields out of a message."""
    fields = made.pick(rng)
    for _ in range(rng.randint(1, 3)):
        if fields:
            del fields[rng.randrange(len(fields))]


def add_fields(rng: random.Random, made: Draft) -> None:
    """Put fields into a message that it does not have."""
    fields = made.pick(rng)
    for _ in range(rng.choice((1, 2, 500))):
        fields.insert(rng.randint(0, len(fields)), rng.choice(NASTY[:20]).encode())


def nasty_values(rng: random.Random, made: Draft) -> None:
    """Replace values by others that a reader may stumble over."""
    fields = made.pick(rng)
    for _ in range(rng.randint(1, 4)):
        if len(fields) > 1:
            fields[rng.randrange(1, len(fields))] = rng.choice(NASTY).encode()


def strange_values(rng: random.Random, made: Draft) -> None:
    """Replace values by others of their kind that nobody sends: read without fault, absurd."""
    for fields in made.messages[1:]:
        places = [place for place in range(1, len(fields)) if rng.random() < 0.3]
        for place in places[: rng.randint(1, 4)]:
            like_number = fields[place].replace(b".", b"").isdigit()
            fields[place] = rng.choice(STRANGE_NUMBERS if like_number else STRANGE_TEXTS).encode()


def other_message_id(rng: random.Random, made: Draft) -> None:
    """Give a message another id, known, unknown or none."""
    fields = made.pick(rng)
    if fields:
        wrong = (*NASTY, *(str(number) for number in range(120)))
        fields[0] = rng.choice(wrong).encode()


def not_utf8(rng: random.Random, made: Draft) -> None:
    """Put bytes into a field that are not UTF-8, or UTF-16, or a NUL."""
    fields = made.pick(rng)
    if fields:
        place = rng.randrange(len(fields))
        wrong = (b"\xff", b"\xc3", b"\xed\xa0\x80", b"\0", "TSLA".encode("utf-16"))
        fields[place] += rng.choice(wrong)


# Wrong frames


def wrong_length(rng: random.Random, made: Draft) -> None:
    """Announce another length than the message has."""
    place = rng.randrange(len(made.messages) or 1)
    wrong = (0, 1, 3, 200, 2**20, 2**20 + 1, 2**31 - 1, 2**31, 2**32 - 1, rng.randrange(2**32))
    made.headers[place] = rng.choice(wrong)


def wrong_offer(rng: random.Random, made: Draft) -> None:
    """Offer versions that there are not, or none."""
    made.offer = rng.choice(OFFERS)


def wrong_prefix(rng: random.Random, made: Draft) -> None:
    """Begin as another protocol does."""
    made.prefix = rng.choice(GREETINGS)


# Wrong order


def no_start(rng: random.Random, made: Draft) -> None:
    """Ask before startApi."""
    del made.messages[:1]
    rng.shuffle(made.messages)


def late_start(rng: random.Random, made: Draft) -> None:
    """Shuffle all messages, startApi among them."""
    rng.shuffle(made.messages)


def second_start(rng: random.Random, made: Draft) -> None:
    """Start twice, the second time perhaps as another client."""
    again = [b"71", b"2", rng.choice((b"1", b"0", b"-5", b"77", b"9999999999")), b""]
    made.messages.insert(rng.randint(0, len(made.messages)), again)


def repeat(rng: random.Random, made: Draft) -> None:
    """Send one message many times."""
    made.messages += [list(made.pick(rng)) for _ in range(rng.choice((2, 5, 40)))]


DRAFT_MUTATIONS: tuple[Callable[[random.Random, Draft], None], ...] = (
    drop_fields,
    add_fields,
    nasty_values,
    nasty_values,
    strange_values,
    strange_values,
    strange_values,
    other_message_id,
    not_utf8,
    wrong_length,
    wrong_offer,
    wrong_prefix,
    no_start,
    late_start,
    second_start,
    repeat,
)


# Wrong bytes


def truncated(rng: random.Random, data: bytes) -> bytes:
    """End in the middle."""
    return data[: rng.randrange(len(data))]


def flipped(rng: random.Random, data: bytes) -> bytes:
    """Flip bits."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8, 64))):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def inserted(rng: random.Random, data: bytes) -> bytes:
    """Put random bytes in."""
    place = rng.randint(0, len(data))
    return data[:place] + rng.randbytes(rng.choice((1, 3, 4, 100, 5000))) + data[place:]


def removed(rng: random.Random, data: bytes) -> bytes:
    """Leave a stretch out."""
    place = rng.randrange(len(data))
    return data[:place] + data[place + rng.randint(1, 40) :]


def spliced(rng: random.Random, data: bytes) -> bytes:
    """Send a part of the stream again, as a client that begins anew in the middle would."""
    start = rng.randrange(len(data))
    return data + data[start : start + rng.randint(1, 2000)]


def after_opening(rng: random.Random, data: bytes) -> bytes:
    """Follow a valid opening by noise."""
    return data[:40] + rng.randbytes(rng.randint(1, 400))


BYTE_MUTATIONS: tuple[Callable[[random.Random, bytes], bytes], ...] = (
    truncated,
    flipped,
    flipped,
    inserted,
    removed,
    spliced,
    after_opening,
)


@dataclass(frozen=True, slots=True)
class BadStream:
    """What is sent, in pieces, and how it was made wrong."""

    mutations: tuple[str, ...]
    pieces: tuple[bytes, ...]


def bad_stream(seed: int, number: int, client_id: int) -> BadStream:
    """Return the stream of this number; the same arguments give the same bytes."""
    rng = random.Random(f"{seed}:{number}")
    made = draft(rng, client_id)
    names: list[str] = []
    data: bytes | None = None
    if rng.random() < 0.7:
        for mutate in rng.choices(DRAFT_MUTATIONS, k=rng.choice((1, 1, 2, 3))):
            mutate(rng, made)
            names.append(mutate.__name__)
    data = made.encode()
    if not names or rng.random() < 0.2:
        mutate_bytes = rng.choice(BYTE_MUTATIONS)
        data = mutate_bytes(rng, data)
        names.append(mutate_bytes.__name__)
    return BadStream(tuple(names), tuple(cut(rng, data)))


def cut(rng: random.Random, data: bytes) -> list[bytes]:
    """Return the data in a few pieces, as a network may deliver it."""
    count = rng.choice((0, 0, 1, 3))
    places = [0, *sorted(rng.randint(0, len(data)) for _ in range(count)), len(data)]
    return [data[start:end] for start, end in pairwise(places) if start < end]


# Lines of the control socket

CONTROL_LINES = (
    '{"id": 1, "do": "status"}',
    '{"id": 2, "do": "books"}',
    '{"id": 3, "do": "step"}',
    '{"id": 4, "do": "release", "deliver": true}',
    '{"id": 5, "do": "fill", "perm_id": 1500000001, "shares": "10", "price": "100.5"}',
    '{"id": 6, "do": "cancel", "perm_id": 1500000001}',
    '{"id": 7, "do": "manual_order", "symbol": "TSLA", "action": "BUY", "quantity": "5"}',
    '{"id": 8, "do": "break_at", "point": {"direction": "in", "message": "placeOrder",'
    ' "occurrence": 900000, "moment": "received"}}',
)
NASTY_JSON = (
    *("null", "true", "[]", "{}", '""', "NaN", "Infinity", "-Infinity", "1e400", "-1", "0", "1.5"),
    *("9" * 5000, '"NaN"', '"1e400"', '"1E+999999"', '"-5"', '"sNaN"', '"\\ud800"', '"\\u0000"'),
    *("[" * 100_000, '{"a":' * 20_000, "[" * 400 + "]" * 400, '"' + "A" * 10_000 + '"', '"'),
)


def bad_line(seed: int, number: int) -> bytes:
    """Return one wrong line for the control socket, without its newline."""
    rng = random.Random(f"{seed}:line:{number}")
    text = rng.choice(CONTROL_LINES)
    kind = rng.randrange(5)
    if kind == 0:
        return text[: rng.randrange(len(text))].encode()
    if kind == 1:
        return flipped(rng, text.encode()).replace(b"\n", b" ")
    if kind == 2:
        start, _, rest = text.rpartition(": ")
        return f"{start}: {rng.choice(NASTY_JSON)}{'}' * rest.count('}')}".encode()
    if kind == 3:
        nasty = rng.choice(NASTY_JSON)
        return text.replace(rng.choice(("1", "2", "5", '"status"', '"TSLA"', "10")), nasty).encode()
    return rng.choice((rng.randbytes(rng.randint(0, 200)).replace(b"\n", b""), b"", b"[]", b"\xff"))
