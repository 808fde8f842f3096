"""Any checkpoint comes back from any store as it was saved, and never as another one."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from target_trader.clock import NEW_YORK
from target_trader.errors import TraderError
from target_trader.names import IntentState
from target_trader.settings import StoreKind
from target_trader.state.checkpoint import (
    VERSION,
    BarRecord,
    BookedExecution,
    Checkpoint,
    EquityPoint,
    OrderAudit,
    Record,
    canonical,
)
from target_trader.state.choice import open_store, read_state
from target_trader.state.json_store import backup_path, main_path
from target_trader.state.sqlite_read import DATABASE
from target_trader.state.store import Loaded, Source
from tests.conftest import DEEP, DEEP_EXAMPLES
from tests.support.stores import redis_url

IS_DEEP = settings.get_current_profile_name() == DEEP
DAY = date(2025, 10, 6)
FIXED = st.integers(-12 * 60, 12 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


def few(examples: int) -> settings:
    """Return the settings of a property that opens files."""
    return settings(
        max_examples=DEEP_EXAMPLES // 4 if IS_DEEP else examples,
        deadline=None,
        derandomize=not IS_DEEP,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


def is_twice(moment: datetime) -> bool:
    """Tell whether this local time comes twice: Python calls it unequal to any other zone's."""
    return moment.replace(fold=0).utcoffset() != moment.replace(fold=1).utcoffset()


EPOCH = datetime(1990, 1, 2, tzinfo=UTC)
moments = st.builds(
    lambda since, zone: (EPOCH + since).astimezone(zone),
    st.timedeltas(timedelta(0), timedelta(days=40_000)),
    st.sampled_from([UTC, NEW_YORK]) | FIXED,
).filter(lambda moment: not is_twice(moment))
numbers = st.one_of(
    st.sampled_from(["0", "-0", "0.00", "1E+3", "1e-7", "100.10", "444.77", "-0.5000"]).map(
        Decimal
    ),
    st.decimals(allow_nan=False, allow_infinity=False, places=2),
    st.decimals(allow_nan=False, allow_infinity=False),
    st.builds(Decimal, st.tuples(st.just(1), st.just((1, 2, 0)), st.integers(-30, 30))),
)
texts = st.sampled_from(["TSLA", "BRK B", "ÄÖ", "株式", "🚀", "a|b.c", ""]) | st.text(max_size=8)
ids = st.integers(0, 2**31 - 1)


def values(annotation: Any) -> st.SearchStrategy[Any]:  # noqa: ANN401 - an annotation has no type of its own
    """Return a strategy for what a field of this type may hold."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin in (Union, UnionType):
        return st.one_of([values(each) for each in inner])
    if origin is list:
        return st.lists(values(inner[0]), max_size=2)
    if origin is dict:
        return st.dictionaries(values(inner[0]), values(inner[1]), max_size=2)
    plain = {str: texts, int: ids, bool: st.booleans(), Decimal: numbers, datetime: moments}
    plain |= {type(None): st.none(), date: st.dates(date(1990, 1, 1), date(2100, 1, 1))}
    if annotation in plain:
        return plain[annotation]
    if issubclass(annotation, Enum):
        return st.sampled_from(annotation)
    assert issubclass(annotation, Record), annotation
    return records(annotation)


def records(kind: type[Record]) -> st.SearchStrategy[Any]:
    """Return a strategy for a record; a field that is added later is drawn as well."""
    fields = {name: field.annotation for name, field in kind.model_fields.items()}
    return st.builds(kind, **{name: values(annotation) for name, annotation in fields.items()})


def in_order(rows: Sequence[Any], *, first: datetime) -> list[Any]:
    """Number rows and give them rising times, as the bot writes them."""
    found = []
    for number, row in enumerate(rows):
        changes: dict[str, Any] = {"time": first + timedelta(seconds=5 * number)}
        if "number" in type(row).model_fields:
            changes["number"] = number
        found.append(row.model_copy(update=changes))
    return found


@st.composite
def checkpoints(draw: st.DrawFn, *, day: date | None = None) -> Checkpoint:
    """Draw a whole checkpoint; with the orders of rows that the bot keeps, and no others."""
    made: Checkpoint = draw(records(Checkpoint))
    first = datetime(2025, 10, 6, 9, 30, tzinfo=NEW_YORK)
    made.version = VERSION
    made.day = day or made.day
    made.bars = {name: in_order(rows, first=first) for name, rows in made.bars.items()}
    made.equity_curve = in_order(made.equity_curve, first=first)
    made.order_audit = in_order(made.order_audit, first=first)
    return made


@dataclass(frozen=True)
class Place:
    """A kind of store; with Redis, each folder has a place of its own in one embedded server."""

    kind: StoreKind

    def url(self, folder: Path) -> str | None:
        return redis_url(folder) if self.kind is StoreKind.REDIS else None

    def fresh(self) -> tempfile.TemporaryDirectory[str]:
        return tempfile.TemporaryDirectory()

    def save(self, folder: Path, *saved: Checkpoint) -> None:
        """Save checkpoints in one life of the bot."""
        store = open_store(self.kind, folder, redis_url=self.url(folder))
        try:
            store.load()
            for each in saved:
                store.save(each)
        finally:
            store.close()

    def load(self, folder: Path) -> Loaded:
        """Load in another life of the bot."""
        store = open_store(self.kind, folder, redis_url=self.url(folder))
        try:
            return store.load()
        finally:
            store.close()

    def read(self, folder: Path) -> Loaded:
        """Look at the state from outside."""
        return read_state(self.kind, folder, redis_url=self.url(folder))


@pytest.fixture(scope="module", params=StoreKind, ids=str)
def place(request: pytest.FixtureRequest) -> Place:
    """Every kind of store there is."""
    return Place(request.param)


def assert_is(loaded: Loaded, wanted: Checkpoint) -> None:
    assert loaded.checkpoint == wanted
    assert canonical(loaded.checkpoint) == canonical(wanted)
    assert (loaded.source, loaded.problems) == (Source.MAIN, ())


@few(12)
@given(saved=checkpoints())
def test_what_was_saved_is_loaded_and_read_to_the_letter(place: Place, saved: Checkpoint) -> None:
    with place.fresh() as name:
        place.save(Path(name), saved)
        assert_is(place.load(Path(name)), saved)
        assert_is(place.read(Path(name)), saved)


@few(6)
@given(saved=st.lists(checkpoints(day=DAY), min_size=2, max_size=3), lives=st.booleans())
def test_of_many_saves_the_last_is_loaded(
    place: Place, saved: list[Checkpoint], lives: bool
) -> None:
    with place.fresh() as name:
        if lives:
            for each in saved:
                place.save(Path(name), each)
        else:
            place.save(Path(name), *saved)
        assert_is(place.load(Path(name)), saved[-1])


def test_a_day_of_thousands_of_rows_is_loaded_as_it_was_saved(place: Place) -> None:
    small, big = small_days()[0], big_day()
    with place.fresh() as name:
        place.save(Path(name), big, small, big)
        assert_is(place.load(Path(name)), big)


def is_harmless(loaded: Loaded, *, newest: str, older: Mapping[str, Source]) -> bool:
    """Tell whether a damage was harmless or noticed: it is never believed as something else."""
    if loaded.checkpoint is None:
        return loaded.state_was_lost
    text = canonical(loaded.checkpoint)
    if text == newest:
        return True
    return older.get(text) is loaded.source and bool(loaded.problems)


def read_or_refuse(kind: StoreKind, folder: Path) -> Loaded:
    """Read a state; one of another version is refused with words."""
    try:
        return read_state(kind, folder)
    except TraderError as error:
        return Loaded(None, Source.NONE, (str(error),))


def small_days() -> tuple[Checkpoint, Checkpoint]:
    """Return two versions of one small day."""
    start = datetime(2025, 10, 6, 9, 30, tzinfo=NEW_YORK)
    session = {"start_time": start, "daily_pnl": Decimal("-100.50"), "trades_today": 1}
    tree = {"day": DAY, "saved_at": start, "session": session, "attempts": {"TSLA|LONG|4.77": 1}}
    older = Checkpoint.model_validate(tree)
    newer = older.model_copy(deep=True, update={"attempts": {"TSLA|LONG|4.77": 2}})
    newer.halt("Größe", now=start)
    return older, newer


def big_day() -> Checkpoint:
    """Return a day with two thousand rows, the last five hundred of them alike but for the key."""
    made = small_days()[1]
    start = made.saved_at
    for number in range(500):
        moment, shares = start + timedelta(seconds=5 * number), Decimal(number)
        bar = {"open": shares, "high": shares, "low": shares, "close": shares, "volume": shares}
        made.bars.setdefault("TSLA", []).append(BarRecord(time=moment, **bar))
        made.equity_curve.append(EquityPoint(time=moment, equity=shares, daily_pnl=-shares))
        made.order_audit.append(
            OrderAudit(
                number=number,
                time=moment,
                order_ref=f"r{number}",
                order_id=number,
                perm_id=None,
                state=IntentState.SENT,
                quantity=shares,
                filled=Decimal(0),
                price=None,
            )
        )
        made.executions[f"0000e0d5.{number}.01"] = BookedExecution(
            exec_id=f"0000e0d5.{number}.01.01",
            time=start,
            symbol="TSLA",
            side="BOT",
            shares=Decimal(1),
            price=Decimal("444.77"),
            order_id=1,
            client_id=2001,
            perm_id=1,
            order_ref="",
        )
    return made


def test_one_changed_bit_of_any_byte_of_a_json_state_is_never_another_state(
    tmp_path: Path,
) -> None:
    older, newer = small_days()
    Place(StoreKind.JSON).save(tmp_path, older, newer)
    path = main_path(tmp_path, DAY)
    good = path.read_bytes()
    for place in range(len(good)):
        for bit in range(8) if IS_DEEP else (place % 8,):
            damaged = bytearray(good)
            damaged[place] ^= 1 << bit
            path.write_bytes(damaged)
            loaded = read_or_refuse(StoreKind.JSON, tmp_path)
            known = {canonical(older): Source.BACKUP}
            assert is_harmless(loaded, newest=canonical(newer), older=known), (place, bit)


def test_a_json_state_cut_at_any_length_gives_the_backup_and_says_so(tmp_path: Path) -> None:
    older, newer = small_days()
    Place(StoreKind.JSON).save(tmp_path, older, newer)
    path = main_path(tmp_path, DAY)
    good = path.read_bytes()
    for length in range(len(good.rstrip())):
        path.write_bytes(good[:length])
        loaded = read_or_refuse(StoreKind.JSON, tmp_path)
        assert loaded.checkpoint == older, length
        assert loaded.source is Source.BACKUP
        assert path.name in loaded.problems[0]


def test_main_and_backup_cut_at_any_length_are_a_lost_state_and_no_clean_start(
    tmp_path: Path,
) -> None:
    older, newer = small_days()
    Place(StoreKind.JSON).save(tmp_path, older, newer)
    copies = [main_path(tmp_path, DAY), backup_path(tmp_path, DAY)]
    good = [path.read_bytes() for path in copies]
    for length in range(min(len(each.rstrip()) for each in good)):
        for path, text in zip(copies, good, strict=True):
            path.write_bytes(text[:length])
        loaded = read_or_refuse(StoreKind.JSON, tmp_path)
        assert loaded.state_was_lost, length


@few(20)
@given(
    saved=checkpoints(day=DAY), where=st.floats(0, 1, exclude_max=True), value=st.integers(1, 255)
)
def test_a_changed_byte_of_any_json_state_is_never_another_state(
    saved: Checkpoint, where: float, value: int
) -> None:
    older, _ = small_days()
    with tempfile.TemporaryDirectory() as name:
        Place(StoreKind.JSON).save(Path(name), older, saved)
        path = main_path(Path(name), DAY)
        damaged = bytearray(path.read_bytes())
        damaged[int(where * len(damaged))] ^= value
        path.write_bytes(damaged)
        loaded = read_or_refuse(StoreKind.JSON, Path(name))
    known = {canonical(older): Source.BACKUP}
    assert is_harmless(loaded, newest=canonical(saved), older=known)


@few(25)
@given(where=st.floats(0, 1, exclude_max=True), value=st.integers(1, 255), cut=st.booleans())
def test_a_changed_byte_or_a_cut_of_the_database_is_never_another_state(
    where: float, value: int, cut: bool
) -> None:
    older, newer = small_days()
    with tempfile.TemporaryDirectory() as name:
        Place(StoreKind.SQLITE).save(Path(name), older, newer)
        path = Path(name) / DATABASE
        damaged = bytearray(path.read_bytes())
        place = int(where * len(damaged))
        damaged[place] ^= value
        path.write_bytes(damaged[:place] if cut else damaged)
        loaded = read_or_refuse(StoreKind.SQLITE, Path(name))
    known = {canonical(older): Source.BACKUP}
    # An empty file is what SQLite itself makes of a new database.
    empty = cut and place == 0
    assert empty or is_harmless(loaded, newest=canonical(newer), older=known)


@few(5)
@given(saved=checkpoints(day=DAY), other=checkpoints(day=DAY))
def test_reading_a_state_changes_nothing_of_it(
    place: Place, saved: Checkpoint, other: Checkpoint
) -> None:
    with place.fresh() as name:
        place.save(Path(name), other, saved)
        before = {path.name: path.read_bytes() for path in Path(name).iterdir()}
        first = place.read(Path(name))
        second = place.read(Path(name))
        after = {path.name: path.read_bytes() for path in Path(name).iterdir()}
    assert (before, first) == (after, second)
