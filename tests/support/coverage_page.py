"""COVERAGE.md: what of the specification is there, asked of the broker itself where possible.

`make coverage-page` writes it, and a test compares it. Requests, order types and times in force are
tried on a broker in memory, error codes are provoked from one; replies are looked for in the code
that could send them. Only the behaviours are declared, with the tests that pin them, and a test
that does not exist is refused. The specification is tws-protocol.md.
"""

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, get_args

from ib_insync import Order, Stock

from fakebroker.broker import Broker
from fakebroker.journal import Journal
from fakebroker.market.source import Market
from fakebroker.market.tape import parse_tape
from fakebroker.outbox import Send
from fakebroker.protocol import frame
from fakebroker.protocol.decode_requests import DECODERS
from fakebroker.protocol.errors import TEXTS
from fakebroker.protocol.replies import Reply
from fakebroker.settings import BrokerSettings
from tests.support.behaviours import BEHAVIOURS, Mark
from tests.support.brokers import tape_text
from tests.support.codes import is_sent
from tests.support.wire_fuzz import ORDER_MESSAGES, REQUESTS
from tests.unit.fakebroker.protocol.wire import opening, spoken

ROOT: Final = Path(__file__).parents[2]
VERSION: Final = 176
COMMAND: Final = "make coverage-page"

DONE: Final = "done"
PARTLY: Final = "partly"
NOT: Final = "not"

# Sections 2.3 to 2.7.
REPLIES: Final = {
    1: "tickPrice",
    2: "tickSize",
    3: "orderStatus",
    4: "error",
    5: "openOrder",
    6: "accountValue",
    7: "portfolioValue",
    8: "accountUpdateTime",
    9: "nextValidId",
    10: "contractDetails",
    11: "execDetails",
    15: "managedAccounts",
    17: "historicalData",
    45: "tickGeneric",
    46: "tickString",
    49: "currentTime",
    50: "realtimeBar",
    52: "contractDetailsEnd",
    53: "openOrderEnd",
    54: "accountDownloadEnd",
    55: "execDetailsEnd",
    57: "tickSnapshotEnd",
    58: "marketDataType",
    59: "commissionReport",
    61: "position",
    62: "positionEnd",
    63: "accountSummary",
    64: "accountSummaryEnd",
    71: "positionMulti",
    72: "positionMultiEnd",
    73: "accountUpdateMulti",
    74: "accountUpdateMultiEnd",
    75: "secDefOptParams",
    76: "secDefOptParamsEnd",
    79: "symbolSamples",
    81: "tickReqParams",
    88: "headTimestamp",
    90: "historicalDataUpdate",
    93: "marketRule",
    94: "pnl",
    95: "pnlSingle",
    98: "historicalTicksLast",
    99: "tickByTick",
    100: "orderBound",
    101: "completedOrder",
    102: "completedOrdersEnd",
}
ORDER_TYPES: Final = (
    *("MKT", "LMT", "STP", "STP LMT", "TRAIL", "TRAIL LIMIT", "MIT", "LIT", "MOC", "LOC"),
    *("REL", "PEG MID", "PEG BEST", "PEG BENCH", "MTL", "VOL"),
)
TIFS: Final = {
    "DAY": Order(orderType="LMT", lmtPrice=90, tif="DAY"),
    "GTC": Order(orderType="LMT", lmtPrice=90, tif="GTC"),
    "IOC": Order(orderType="LMT", lmtPrice=90, tif="IOC"),
    "FOK": Order(orderType="LMT", lmtPrice=90, tif="FOK"),
    "GTD": Order(orderType="LMT", lmtPrice=90, tif="GTD", goodTillDate="20991231 16:00:00"),
    "OPG": Order(orderType="LMT", lmtPrice=90, tif="OPG"),
}
# What each type needs; the others get a limit and a trigger.
PRICES: Final = {
    "MKT": Order(),
    "MOC": Order(),
    "MTL": Order(),
    "LMT": Order(lmtPrice=90),
    "LOC": Order(lmtPrice=90),
    "STP": Order(auxPrice=120),
    "MIT": Order(auxPrice=90),
    "TRAIL": Order(auxPrice=5),
    "TRAIL LIMIT": Order(auxPrice=5, lmtPriceOffset=1, trailStopPrice=120),
}
BOTH_PRICES: Final = Order(lmtPrice=121, auxPrice=120)
# A request that is answered, but not in every way that TWS answers it.
PARTLY_SERVED: Final[dict[str, str]] = {
    "setServerLogLevel": "read and ignored, as at TWS nobody sees it",
}
MARKS: Final = {
    Mark.VERIFIED: "verified: run with a real client",
    Mark.DOCUMENTED: "documented by IB",
    Mark.OBSERVED: "observed by users, or in a recording",
    Mark.ASSUMED: "assumed; a setting where it matters",
}


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table: cells, the status last but one, a remark last."""

    cells: tuple[str, ...]
    status: str
    remark: str = ""


# Asking a broker


class Probe:
    """A broker in memory with one client that has started."""

    def __init__(self) -> None:
        tape = parse_tape(tape_text(), name="probe", symbol=None)
        settings = BrokerSettings(cash=10_000_000)
        start = tape.bars[0].time
        self.broker = Broker(settings, Market(tape), start=start, journal=Journal(lambda _: None))
        self.broker.connect(1, start)
        self.ask(opening(VERSION)[len(b"API\0") :], prefix=b"API\0")
        self.broker.step()

    def ask(self, data: bytes, *, prefix: bytes = b"") -> list[list[str]]:
        """Send bytes and return the messages that come back, as fields."""
        effects = self.broker.receive(1, prefix + data, self.broker.now)
        sent = [effect.data[4:] for effect in effects if isinstance(effect, Send)]
        return [payload.decode().split("\0")[:-1] for payload in sent]


def framed(fields: Iterable[str]) -> bytes:
    """Return the frame of a message."""
    return frame("".join(f"{field}\0" for field in fields).encode())


def errors(messages: list[list[str]]) -> dict[int, str]:
    """Return the texts of the errors among messages by their codes."""
    return {int(fields[3]): fields[4] for fields in messages if fields[0] == "4"}


def request_rows() -> Iterator[Row]:
    """Ask every request of section 2.1 of a fresh broker."""
    samples = {int(message[0]): message for message in REQUESTS}
    samples[3] = ORDER_MESSAGES[VERSION][0]
    samples[71] = ("71", "2", "1", "")
    for message_id, (name, _) in DECODERS.items():
        status, remark = DONE, PARTLY_SERVED.get(name, "")
        if name != "startApi":
            sample = [word.replace("_", " ") for word in samples[message_id]]
            words = errors(Probe().ask(framed(sample))).values()
            if any("does not serve it" in text for text in words):
                status, remark = NOT, "answered with error 321, which names it"
        yield Row((str(message_id), name), PARTLY if remark and status == DONE else status, remark)


def placed(order: Order) -> dict[int, str]:
    """Place an order of a US stock and return the errors that it gets."""
    stock = Stock("TSLA", "SMART", "USD")
    order.action, order.totalQuantity = "BUY", 1
    fields = spoken(VERSION, lambda client: client.placeOrder(1, stock, order))
    return errors(Probe().ask(framed(fields)))


def refusal(found: dict[int, str]) -> str:
    """Return how an order was refused, nothing for one that was taken."""
    # A warning that the order waits (399) is no refusal, nor is an expiry (202).
    refused = {code: words for code, words in found.items() if code not in {399, 202}}
    return "; ".join(f"refused with {code}: {words}" for code, words in refused.items())


def order_type_rows() -> Iterator[Row]:
    """Place an order of every type."""
    for name in ORDER_TYPES:
        order = PRICES.get(name, BOTH_PRICES)
        order.orderType = name
        why = refusal(placed(order))
        yield Row((name,), NOT if why else DONE, why)


def tif_rows() -> Iterator[Row]:
    """Place a limit order of every time in force."""
    for name, order in TIFS.items():
        why = refusal(placed(order))
        yield Row((name,), NOT if why else DONE, why)


# Looking into the code


def syntax_trees() -> Iterator[ast.Module]:
    """Parse what could send something: all of fakebroker but the codec."""
    for path in sorted((ROOT / "fakebroker").rglob("*.py")):
        if path.parent.name != "protocol":
            yield ast.parse(path.read_text(encoding="utf-8"), str(path))


def called_names() -> set[str]:
    """Return the names of everything that is called."""
    found: set[str] = set()
    for tree in syntax_trees():
        for node in ast.walk(tree):
            match node:
                case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)):
                    found.add(name)
                case _:
                    pass
    return found


def reply_rows() -> Iterator[Row]:
    """Look for a place that makes each reply of sections 2.3 to 2.7."""
    makers = called_names()
    known: dict[str, list[str]] = {}
    for kind in reply_classes():
        known.setdefault(kind.MESSAGE, []).append(kind.__name__)
    for message_id, name in REPLIES.items():
        kinds = known.get(name, [])
        made = [kind for kind in kinds if kind in makers]
        if made and len(made) == len(kinds):
            yield Row((str(message_id), name), DONE)
        elif made:
            missing = ", ".join(sorted(set(kinds) - set(made)))
            yield Row((str(message_id), name), PARTLY, f"never sent: {missing}")
        else:
            remark = "encoded, never sent" if kinds else "unknown to the codec"
            yield Row((str(message_id), name), NOT, remark)


def reply_classes() -> tuple[type[Reply], ...]:
    """Return the classes of all replies."""
    return get_args(Reply)


def error_rows() -> Iterator[Row]:
    """Provoke each code of section 3.8 from a broker in memory."""
    for code, words in TEXTS.items():
        yield Row((str(code.value), words), DONE if is_sent(code) else NOT)


# Behaviours


def test_names() -> dict[str, str]:
    """Return the file of every test function of the project by its name."""
    found: dict[str, str] = {}
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                found.setdefault(node.name, str(path.relative_to(ROOT)))
    return found


def behaviour_rows() -> Iterator[Row]:
    """Tell each behaviour of section 0b with its marks and its tests.

    Raises:
        LookupError: A declared test does not exist.
    """
    files = test_names()
    for number, behaviour in enumerate(BEHAVIOURS, start=1):
        missing = [name for name in behaviour.tests if name not in files]
        if missing:
            raise LookupError(f"behaviour {number} names tests that do not exist: {missing}")
        # A test may say by its number which behaviour it is named after.
        numbered = sorted(name for name in files if name.startswith(f"test_{number:02}_"))
        tests = "<br>".join(f"`{name}`" for name in (*numbered, *behaviour.tests))
        status = PARTLY if behaviour.lacks else DONE
        marks = ", ".join(mark.value for mark in behaviour.marks)
        cells = (str(number), behaviour.text, marks)
        yield Row(cells, status if tests else NOT, behaviour.lacks or tests)


# The page


def table(heads: tuple[str, ...], rows: Iterable[Row]) -> list[str]:
    """Return a table as lines, with a count of what is done before it."""
    listed = list(rows)
    done = sum(row.status == DONE for row in listed)
    lines = [f"{done} of {len(listed)} done.", ""]
    lines.append(f"| {' | '.join((*heads, 'status', 'remark'))} |")
    lines.append(f"| {' | '.join('---' for _ in (*heads, '', ''))} |")
    for row in listed:
        cells = (*(escaped(cell) for cell in row.cells), row.status, escaped(row.remark))
        lines.append(f"| {' | '.join(cells)} |".replace("  |", " |"))
    return lines


def escaped(text: str) -> str:
    """Return text that does not end a table's cell."""
    return text.replace("|", "\\|").replace("\n", " ")


def page() -> str:
    """Return the whole page."""
    lines = [
        "# What of TWS is there",
        "",
        f"Generated by `{COMMAND}`; a test compares it with the code. Sections are those of the",
        "protocol specification the broker was written from. *done*: it is there; *partly*: there",
        "with the restriction named; *not*: refused loudly or never sent.",
        "",
        "## Requests (section 2.1)",
        "",
        "Each was sent to a broker in memory. A message id that is not here is answered with error",
        "321 and leaves an `unknown` line in the journal.",
        "",
        *table(("id", "message"), request_rows()),
        "",
        "## Replies (sections 2.3 to 2.7)",
        "",
        *table(("id", "message"), reply_rows()),
        "",
        "## Order types",
        "",
        "Each was placed for a US stock.",
        "",
        *table(("type",), order_type_rows()),
        "",
        "## Time in force",
        "",
        *table(("TIF",), tif_rows()),
        "",
        "## Error codes (section 3.8)",
        "",
        "*done*: a situation or a named fault that sends it was played on a broker in memory. The",
        "faults `notice` and `reject` send any code with any text; they do not count.",
        "",
        *table(("code", "text"), error_rows()),
        "",
        "## Behaviours (section 0b)",
        "",
        "How far the behaviour itself is to be trusted:",
        "",
        *(f"- {words}" for words in MARKS.values()),
        "",
        *table(("no", "behaviour", "trust"), behaviour_rows()),
        "",
    ]
    return "\n".join(lines)
