"""Which stored state is taken up, for any day and any moment: against a table of its own."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from target_trader.books import Books
from target_trader.clock import NEW_YORK
from target_trader.settings import Rules, Setup, StoreKind, TraderOptions, Watchlist
from target_trader.startup import begin
from target_trader.state.checkpoint import Checkpoint, new_checkpoint
from target_trader.state.store import Loaded, Source
from tests.conftest import DEEP, DEEP_EXAMPLES

IS_DEEP = settings.get_current_profile_name() == DEEP
MONDAY = date(2025, 10, 6)
OPTIONS = TraderOptions(
    host="127.0.0.1",
    port=7497,
    client_id=2001,
    state_dir=Path("state"),
    store=StoreKind.JSON,
    watchlist=Watchlist(
        date=MONDAY,
        setups=(
            Setup(
                symbol="TSLA",
                resistance=Decimal("444.77"),
                support=Decimal("432.50"),
                target1=Decimal("460.25"),
                target2=Decimal("470.50"),
            ),
        ),
    ),
    watchlist_name="watchlist.json",
)
HALT = "IBKR rejects every stop"

# Round the clock changes of a year, midnights and the limits of the rules.
NOWS = (
    "2025-10-06T10:16:00-04:00",
    "2025-10-06T00:00:00-04:00",
    "2025-10-06T23:59:59-04:00",
    "2025-11-02T00:30:00-04:00",
    "2025-11-03T09:30:00-05:00",
    "2026-03-09T09:30:00-04:00",
)
SECONDS = (-1, 0, 1, 59, 60, 61, 3599, 3600, 3601, 36_000, 86_400, 90_000)
nows = st.sampled_from(NOWS).map(datetime.fromisoformat)
ages = st.builds(
    lambda sign, seconds, days: sign * timedelta(seconds=seconds, days=days),
    st.sampled_from((1, 1, -1)),
    st.sampled_from(SECONDS) | st.integers(0, 90_000),
    st.sampled_from((0, 0, 0, 1, 3, 400)),
)
days_off = st.sampled_from((0, 0, 0, 0, -1, -3, 1, 7))


@dataclass(frozen=True)
class Verdict:
    """What is to become of a state."""

    used: bool
    may_enter: bool
    doubted: bool = False


def verdict(*, age: timedelta, days: int, backup: bool) -> Verdict:
    """The table: `age` of the last save, the stored day relative to today, which copy.

    | saved | stored day | copy | state | entries |
    | --- | --- | --- | --- | --- |
    | more than a minute in the future | before today | main | rejected | yes |
    | more than a minute in the future | before today | backup | rejected | no |
    | more than a minute in the future | today or later | any | rejected | no |
    | else | after today | any | rejected | no |
    | else | before today | main | rejected | yes |
    | else | before today | backup | rejected | no |
    | else | today | main | used | yes |
    | else | today | backup | used | after asking again |
    """
    if days == 0 and age >= timedelta(minutes=-1):
        return Verdict(used=True, may_enter=True, doubted=backup)
    return Verdict(used=False, may_enter=days < 0 and not backup)


class NoStore:
    """A store that nothing is asked of."""

    def load(self) -> Loaded:
        raise AssertionError("begin() is given what was loaded")

    def save(self, checkpoint: Checkpoint) -> None:
        raise AssertionError(f"begin() saves nothing: {checkpoint.day}")

    def close(self) -> None:
        raise AssertionError("begin() closes nothing")


class StoppedClock:
    """A clock that shows one moment."""

    def __init__(self, moment: datetime) -> None:
        self.moment = moment.astimezone(NEW_YORK)

    def now(self) -> datetime:
        return self.moment

    def advance(self, moment: datetime) -> None:
        raise AssertionError(f"begin() moves no clock: {moment}")


def begun(loaded: Loaded, now: datetime) -> Checkpoint:
    """Return the books after a state was loaded."""
    clock = StoppedClock(now)
    today = clock.now().date()
    books = Books(
        new_checkpoint(today, now=clock.now()), NoStore(), clock=clock, rules=OPTIONS.rules
    )
    begin(books, loaded, options=OPTIONS)
    return books.checkpoint


def stored(now: datetime, *, age: timedelta, days: int, halted: bool) -> Checkpoint:
    """Return a state with an attempt in it, saved `age` ago, in UTC as a disk may give it."""
    day = now.astimezone(NEW_YORK).date() + timedelta(days=days)
    saved = (now - age).astimezone(UTC)
    made = new_checkpoint(day, now=saved)
    made.attempts["TSLA|LONG|444.77"] = 2
    made.circuit_breaker.failures = 3
    if halted:
        made.halt(HALT, now=saved)
    return made


@settings(
    max_examples=DEEP_EXAMPLES * 2 if IS_DEEP else 200,
    deadline=None,
    derandomize=not IS_DEEP,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(now=nows, age=ages, days=days_off, backup=st.booleans(), halted=st.booleans())
@example(now=datetime.fromisoformat(NOWS[0]), age=timedelta(0), days=0, backup=False, halted=False)
@example(
    now=datetime.fromisoformat(NOWS[0]), age=timedelta(hours=-2), days=0, backup=True, halted=True
)
def test_a_state_is_taken_up_as_the_table_says(
    now: datetime, age: timedelta, days: int, backup: bool, halted: bool
) -> None:
    state = stored(now, age=age, days=days, halted=halted)
    source = Source.BACKUP if backup else Source.MAIN
    problems = ("trader_state_20251006.json does not match its own checksum",) if backup else ()
    books = begun(Loaded(state.model_copy(deep=True), source, problems), now)
    wanted = verdict(age=age, days=days, backup=backup)
    assert books.day == now.astimezone(NEW_YORK).date()
    assert books.attempts == (state.attempts if wanted.used else {})
    assert (books.halted is None) is (wanted.may_enter and not halted)
    assert (books.session.doubted_since is not None) is wanted.doubted


@given(now=nows, age=ages, days=days_off, backup=st.booleans())
def test_halts_and_the_circuit_breaker_outlive_every_verdict(
    now: datetime, age: timedelta, days: int, backup: bool
) -> None:
    state = stored(now, age=age, days=days, halted=True)
    books = begun(Loaded(state, Source.BACKUP if backup else Source.MAIN), now)
    assert HALT in str(books.halted)
    assert books.circuit_breaker.failures == 3


@given(now=nows, lost=st.booleans())
def test_without_a_state_entries_are_open_only_when_there_never_was_one(
    now: datetime, lost: bool
) -> None:
    problems = ("trader.db cannot be believed",) if lost else ()
    books = begun(Loaded(None, Source.NONE, problems), now)
    assert (books.halted is not None) is lost
    assert books.attempts == {}


def test_the_table_stands_for_the_rules_as_they_are() -> None:
    assert Rules().future_tolerance == timedelta(minutes=1)
