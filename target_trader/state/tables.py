"""The SQL tables of the state, and the checkpoint as rows of them.

The columns that a person would search by stand beside the record itself, which is kept whole as
JSON in `data` (in `bot_state`: `value`): one truth per row, and no second place where a field
could be forgotten. `bot_state` also has rows that are only for people (`circuit_breaker_count`,
`daily_pnl`, `daily_trade_count`, `last_signal:AAPL:10:30`); nothing reads them back.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Column, Integer, MetaData, String, Table, Text

from target_trader.state.checkpoint import (
    VERSION,
    BarRecord,
    BreakoutMemory,
    Checkpoint,
    SmaMemory,
    checksum,
)

METADATA = MetaData()

BOT_STATE = Table(
    "bot_state",
    METADATA,
    Column("key", String, primary_key=True),
    Column("value", Text, nullable=False),
    Column("updated_at", String, nullable=False),
)
ORDER_INTENTS = Table(
    "order_intents",
    METADATA,
    # Order ids recur between client ids and days; the place in the list does not.
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("order_id", Integer, nullable=False),
    Column("order_ref", String, nullable=False),
    Column("state", String, nullable=False),
    Column("data", Text, nullable=False),
)
LIVE_POSITIONS = Table(
    "live_positions",
    METADATA,
    Column("trade_id", String, primary_key=True),
    Column("symbol", String, nullable=False),
    Column("status", String, nullable=False),
    Column("quantity", String, nullable=False),
    Column("data", Text, nullable=False),
)
TRADES = Table(
    "trades",
    METADATA,
    Column("exec_stem", String, primary_key=True),
    Column("exec_id", String, nullable=False),
    Column("symbol", String, nullable=False),
    Column("data", Text, nullable=False),
)
BARS = Table(
    "bars",
    METADATA,
    Column("symbol", String, primary_key=True),
    # Rises along the list and stays with its bar while the buffer moves on: see `bar_numbers`.
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("time", String, nullable=False),
    Column("data", Text, nullable=False),
)
EQUITY_CURVE = Table(
    "equity_curve",
    METADATA,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("timestamp", String, nullable=False),
    Column("equity", String, nullable=False),
    Column("daily_pnl", String, nullable=False),
    Column("data", Text, nullable=False),
)
STRATEGY_STATE = Table(
    "strategy_state",
    METADATA,
    # "breakouts:TSLA", "sma:TSLA:60": the field of the checkpoint and its key.
    Column("strategy_name", String, primary_key=True),
    Column("state", Text, nullable=False),
    Column("timestamp", String, nullable=False),
    Column("version", Integer, nullable=False),
)
ORDER_AUDIT_LOG = Table(
    "order_audit_log",
    METADATA,
    Column("place", Integer, primary_key=True, autoincrement=False),
    Column("timestamp", String, nullable=False),
    Column("order_ref", String, nullable=False),
    Column("order_id", Integer, nullable=False),
    Column("state", String, nullable=False),
    Column("data", Text, nullable=False),
)
TABLES: tuple[Table, ...] = (
    *(BOT_STATE, ORDER_INTENTS, LIVE_POSITIONS, TRADES),
    *(BARS, EQUITY_CURVE, STRATEGY_STATE, ORDER_AUDIT_LOG),
)

Row = Mapping[str, Any]
Rows = dict[tuple[Any, ...], Row]
ELSEWHERE = frozenset(
    {
        *("positions", "intents", "executions", "bars"),
        *("breakouts", "sma", "equity_curve", "order_audit"),
    }
)
"""The fields of a checkpoint that have a table of their own; all others are in `bot_state`."""
V1_FIELDS = ("version", "day", "saved_at", "session", "halted", "attempts", "breakouts")
STRATEGY_FIELDS = ("breakouts", "sma")
BAR_SYMBOLS = "bar_symbols"
"""The row of `bot_state` that names the symbols with a buffer, which may be empty."""


KEYS = {table.name: tuple(column.name for column in table.primary_key) for table in TABLES}
"""The columns of each table's primary key."""


def key_of(table: Table, row: Row) -> tuple[Any, ...]:
    """Return the primary key of a row."""
    return tuple([row[name] for name in KEYS[table.name]])


ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"))
"""Made once: a save writes every record, a thousand at the end of a day."""


def compact(tree: object) -> str:
    """Write JSON on one line, keys sorted."""
    return ENCODER.encode(tree)


def to_rows(checkpoint: Checkpoint) -> dict[str, Rows]:
    """Spread a checkpoint over the tables, rows by primary key.

    The checkpoint is dumped once, as a whole: record by record takes twice as long.
    """
    tree = checkpoint.model_dump(mode="json")
    rows: dict[str, list[Row]] = {
        "bot_state": state_rows(checkpoint, tree),
        "order_intents": intent_rows(checkpoint, tree["intents"]),
        "live_positions": [
            {
                "trade_id": trade_id,
                "symbol": position.symbol,
                "status": position.status.value,
                "quantity": str(position.signed_quantity),
                "data": compact(tree["positions"][trade_id]),
            }
            for trade_id, position in checkpoint.positions.items()
        ],
        "trades": [
            {
                "exec_stem": stem,
                "exec_id": each.exec_id,
                "symbol": each.symbol,
                "data": compact(tree["executions"][stem]),
            }
            for stem, each in checkpoint.executions.items()
        ],
        "bars": [
            {
                "symbol": symbol,
                "number": number,
                "time": bar.time.isoformat(),
                "data": compact(data),
            }
            for symbol, bars in checkpoint.bars.items()
            for number, bar, data in zip(bar_numbers(bars), bars, tree["bars"][symbol], strict=True)
        ],
        "equity_curve": equity_rows(checkpoint, tree["equity_curve"]),
        "strategy_state": strategy_rows(checkpoint, tree),
        "order_audit_log": audit_rows(checkpoint, tree["order_audit"]),
    }
    return {table.name: {key_of(table, row): row for row in rows[table.name]} for table in TABLES}


def state_rows(checkpoint: Checkpoint, tree: Mapping[str, Any]) -> list[Row]:
    """Return the rows of `bot_state`: the fields without a table, the checksum, the words."""
    fields = set(Checkpoint.model_fields) - ELSEWHERE
    values = {name: compact(tree[name]) for name in sorted(fields)}
    values[BAR_SYMBOLS] = compact(sorted(checkpoint.bars))
    values["checksum"] = checksum(compact(tree))
    values["circuit_breaker_count"] = str(checkpoint.circuit_breaker.failures)
    values["daily_pnl"] = str(checkpoint.session.daily_pnl)
    values["daily_trade_count"] = str(checkpoint.session.trades_today)
    for key, last in checkpoint.last_signals.items():
        values[f"last_signal:{key}"] = last.signal
    stamp = checkpoint.saved_at.isoformat()
    return [{"key": key, "value": value, "updated_at": stamp} for key, value in values.items()]


def intent_rows(checkpoint: Checkpoint, trees: Sequence[object]) -> list[Row]:
    """Return the rows of `order_intents`."""
    return [
        {
            "number": number,
            "order_id": intent.order_id,
            "order_ref": intent.order_ref,
            "state": intent.state.value,
            "data": compact(trees[number]),
        }
        for number, intent in enumerate(checkpoint.intents)
    ]


def equity_rows(checkpoint: Checkpoint, trees: Sequence[object]) -> list[Row]:
    """Return the rows of `equity_curve`."""
    return [
        {
            "number": number,
            "timestamp": point.time.isoformat(),
            "equity": str(point.equity),
            "daily_pnl": str(point.daily_pnl),
            "data": compact(trees[number]),
        }
        for number, point in enumerate(checkpoint.equity_curve)
    ]


def strategy_rows(checkpoint: Checkpoint, tree: Mapping[str, Any]) -> list[Row]:
    """Return the rows of `strategy_state`; the time is that of the last bar taken in."""
    memories: list[tuple[str, str, BreakoutMemory | SmaMemory]] = [
        *(("breakouts", key, each) for key, each in checkpoint.breakouts.items()),
        *(("sma", key, each) for key, each in checkpoint.sma.items()),
    ]
    return [
        {
            "strategy_name": f"{field}:{key}",
            "state": compact(tree[field][key]),
            "timestamp": memory.last_bar.isoformat() if memory.last_bar else "",
            "version": VERSION,
        }
        for field, key, memory in memories
    ]


def audit_rows(checkpoint: Checkpoint, trees: Sequence[object]) -> list[Row]:
    """Return the rows of `order_audit_log`."""
    return [
        {
            "place": place,
            "timestamp": each.time.isoformat(),
            "order_ref": each.order_ref,
            "order_id": each.order_id,
            "state": each.state.value,
            "data": compact(trees[place]),
        }
        for place, each in enumerate(checkpoint.order_audit)
    ]


def bar_numbers(bars: Iterable[BarRecord]) -> list[int]:
    """Number bars by their time in microseconds, and one higher where the time does not rise.

    So a bar keeps its number, and its row, while the buffer moves on.
    """
    numbers: list[int] = []
    for bar in bars:
        number = round(bar.time.timestamp() * 1_000_000)
        numbers.append(max(number, numbers[-1] + 1) if numbers else number)
    return numbers


def to_tree(rows: Mapping[str, list[Row]]) -> tuple[dict[str, Any], str | None]:
    """Gather rows into the JSON tree of a checkpoint; also return the stored checksum.

    Raises:
        ValueError: a row holds no JSON.
        KeyError: a row that every state has is missing.
    """
    values = {row["key"]: row["value"] for row in rows["bot_state"]}
    old = json.loads(values["version"]) == 1
    fields = V1_FIELDS if old else sorted(set(Checkpoint.model_fields) - ELSEWHERE)
    tree: dict[str, Any] = {name: json.loads(values[name]) for name in fields if name in values}
    tree["intents"] = in_order(rows["order_intents"], "number")
    tree["positions"] = {row["trade_id"]: json.loads(row["data"]) for row in rows["live_positions"]}
    tree["executions"] = {row["exec_stem"]: json.loads(row["data"]) for row in rows["trades"]}
    symbols = {row["symbol"] for row in rows["bars"]} if old else json.loads(values[BAR_SYMBOLS])
    tree["bars"] = {
        symbol: in_order(
            [row for row in rows["bars"] if row["symbol"] == symbol], "time" if old else "number"
        )
        for symbol in sorted(symbols)
    }
    if not old:
        tree["equity_curve"] = in_order(rows["equity_curve"], "number")
        tree["order_audit"] = in_order(rows["order_audit_log"], "place")
        for field in STRATEGY_FIELDS:
            tree[field] = {}
        for row in rows["strategy_state"]:
            field, _, key = row["strategy_name"].partition(":")
            tree[field][key] = json.loads(row["state"])
    return tree, values.get("checksum")


def in_order(rows: list[Row], column: str) -> list[Any]:
    """Return the records of rows in the order of a column."""
    return [json.loads(row["data"]) for row in sorted(rows, key=lambda row: row[column])]
