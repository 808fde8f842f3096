"""The tables of the books. `entry` holds JSON and is the truth.

The other columns are reckoned by SQLite from the JSON when somebody looks, so that a person can
read the file and no fact is written twice. Rows come back in the order in which they were first
written, which is the order of arrival for orders and of the fills for executions.
"""

from typing import Final

from sqlalchemy import Column, Computed, Integer, MetaData, Table, Text

APPLICATION_ID: Final = 0x63726762
"""What marks a SQLite file as ours ("crgb")."""
SCHEMA_VERSION: Final = 1

metadata = MetaData()


def _shown(name: str, path: str, kind: type[Text] | type[Integer] = Text) -> Column[object]:
    return Column(name, kind, Computed(f"json_extract(entry, '$.{path}')", persisted=False))


origin = Table(
    "origin",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
    comment="What the books were begun with; never changes.",
)
facts = Table(
    "facts",
    metadata,
    Column("key", Text, primary_key=True),
    Column("entry", Text, nullable=False),
    comment="Time, place on the tape, cash, counters.",
)
mappings = Table(
    "mappings",
    metadata,
    Column("field", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("entry", Text, nullable=False),
    comment="The lookups of the books: ids, highest order ids, prices.",
)
orders = Table(
    "orders",
    metadata,
    Column("key", Text, primary_key=True),
    Column("entry", Text, nullable=False),
    _shown("perm_id", "perm_id", Integer),
    _shown("client_id", "client_id", Integer),
    _shown("order_id", "order_id", Integer),
    _shown("order_ref", "terms.order_ref"),
    _shown("symbol", "contract.symbol"),
    _shown("action", "terms.action"),
    _shown("order_type", "terms.order_type"),
    _shown("quantity", "terms.quantity"),
    _shown("filled", "filled"),
    _shown("stage", "stage"),
    comment="Orders that IB has, live and done.",
)
executions = Table(
    "executions",
    metadata,
    Column("key", Text, primary_key=True),
    Column("entry", Text, nullable=False),
    _shown("perm_id", "execution.perm_id", Integer),
    _shown("symbol", "execution.contract.symbol"),
    _shown("side", "execution.side"),
    _shown("shares", "execution.shares"),
    _shown("price", "execution.price"),
    _shown("time", "execution.time"),
    _shown("commission", "commission"),
    comment="Executions with what they cost, of all days.",
)
accounts = Table(
    "accounts",
    metadata,
    Column("key", Text, primary_key=True),
    Column("entry", Text, nullable=False),
    _shown("cash", "cash"),
    comment="The accounts, by code.",
)
holdings = Table(
    "holdings",
    metadata,
    Column("key", Text, primary_key=True),
    Column("entry", Text, nullable=False),
    _shown("symbol", "contract.symbol"),
    _shown("quantity", "quantity"),
    _shown("cost", "cost"),
    comment="What each account holds or traded today.",
)
