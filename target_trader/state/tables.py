"""The SQL tables of the state, and the checkpoint as rows of them.

The columns that a person would search by stand beside the record itself, which is kept whole as
JSON: one truth per row, and no second place where a field could be forgotten.
"""

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Column, Integer, MetaData, String, Table, Text

from target_trader.state.checkpoint import Checkpoint, Record, canonical, checksum

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
    Column("time", String, primary_key=True),
    Column("data", Text, nullable=False),
)
TABLES: tuple[Table, ...] = (BOT_STATE, ORDER_INTENTS, LIVE_POSITIONS, TRADES, BARS)

Row = Mapping[str, Any]
Rows = dict[tuple[Any, ...], Row]
STATE_FIELDS = ("version", "day", "saved_at", "session", "halted", "attempts", "breakouts")


def key_of(table: Table, row: Row) -> tuple[Any, ...]:
    """Return the primary key of a row."""
    return tuple(row[column.name] for column in table.primary_key.columns)


def body(record: Record) -> str:
    """Write a record as one JSON text."""
    return json.dumps(record.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))


def to_rows(checkpoint: Checkpoint) -> dict[str, Rows]:
    """Spread a checkpoint over the tables, rows by primary key."""
    tree = checkpoint.model_dump(mode="json", include=set(STATE_FIELDS))
    stamp = checkpoint.saved_at.isoformat()
    values = {name: json.dumps(tree[name], sort_keys=True) for name in STATE_FIELDS}
    values["checksum"] = checksum(canonical(checkpoint))
    rows: dict[str, list[Row]] = {
        "bot_state": [
            {"key": key, "value": value, "updated_at": stamp} for key, value in values.items()
        ],
        "order_intents": [
            {
                "number": number,
                "order_id": intent.order_id,
                "order_ref": intent.order_ref,
                "state": intent.state.value,
                "data": body(intent),
            }
            for number, intent in enumerate(checkpoint.intents)
        ],
        "live_positions": [
            {
                "trade_id": position.trade_id,
                "symbol": position.symbol,
                "status": position.status.value,
                "quantity": str(position.signed_quantity),
                "data": body(position),
            }
            for position in checkpoint.positions.values()
        ],
        "trades": [
            {"exec_stem": stem, "exec_id": each.exec_id, "symbol": each.symbol, "data": body(each)}
            for stem, each in checkpoint.executions.items()
        ],
        "bars": [
            {"symbol": symbol, "time": bar.time.isoformat(), "data": body(bar)}
            for symbol, bars in checkpoint.bars.items()
            for bar in bars
        ],
    }
    return {table.name: {key_of(table, row): row for row in rows[table.name]} for table in TABLES}


def to_json(rows: Mapping[str, list[Row]]) -> tuple[str, str | None]:
    """Gather rows into the canonical JSON of a checkpoint; also return the stored checksum.

    Raises:
        ValueError: a row holds no JSON.
        KeyError: a row that every state has is missing.
    """
    values = {row["key"]: row["value"] for row in rows["bot_state"]}
    tree: dict[str, Any] = {name: json.loads(values[name]) for name in STATE_FIELDS}
    intents = sorted(rows["order_intents"], key=lambda row: int(row["number"]))
    tree["intents"] = [json.loads(row["data"]) for row in intents]
    tree["positions"] = {row["trade_id"]: json.loads(row["data"]) for row in rows["live_positions"]}
    tree["executions"] = {row["exec_stem"]: json.loads(row["data"]) for row in rows["trades"]}
    bars: dict[str, list[Any]] = {}
    for row in sorted(rows["bars"], key=lambda row: (row["symbol"], row["time"])):
        bars.setdefault(row["symbol"], []).append(json.loads(row["data"]))
    tree["bars"] = bars
    return json.dumps(tree, sort_keys=True, separators=(",", ":")), values.get("checksum")
