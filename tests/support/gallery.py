"""The broken traders of `scenarios/gallery`: what each is run on, and which law must name it.

The days are the shortest that the bot's rules allow: 21 bars of warm-up, the breakout, and what
the bug needs. All laws are asked; a bug that breaks none of them is caught by the comparison with
the run without crashes (`SameEnd`).
"""

from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from fakebroker.faults.base import AtTime
from fakebroker.faults.field import CorrectExecution, UnmanageableOrder
from harness.case import Crash
from harness.checks import Expectation
from harness.downtime import Act, CancelOrder, Downtime, FillOrder, ManualOrder, OrderChoice
from harness.expectations import same_end_as_clean
from harness.explore.draw import Choices
from harness.faults.servers import RedisOutage, ServerFault
from harness.faults.storage import Empty
from harness.points import CrashPoint, FailPoint, Quiet, processed, unsent
from harness.scenario import CaseParts, Scenario
from scenarios.day import WATCHLIST, Turn, at, broker, walk

GALLERY = Path(__file__).parents[2] / "scenarios" / "gallery"

WARM_UP = (("10:00:00", "444.20"), ("10:01:45", "444.70"))
BREAK = (*WARM_UP, ("10:01:50", "445.25"), ("10:02:05", "445.25"))
"""The bot buys 100 at 445.25, with a stop at 443.37 and a partial exit at 447.13."""
BREAK_AND_WAIT = (*BREAK, ("10:02:25", "445.25"))
PARTIAL = (*BREAK, ("10:02:10", "447.20"), ("10:02:25", "447.20"))
"""50 are sold at 447.13; the stop goes to the entry, and a target for the rest to 460.25."""
HELD = Quiet(after_bar=at("10:01:55"))
"""The position stands and the bot waits."""
BRACKET_LEGS = 3


@dataclass(frozen=True, slots=True)
class Exhibit:
    """One broken trader.

    Attributes:
        file: its file in the gallery, without the suffix.
        bug: its number in the catalogue of recovery bugs.
        because_of: the law that must name it.
        says: what the law must say of it.
        scenario: what it is run on.
        sound_alone: without the crash no law is broken, so that only a crash shows the bug.
        store: what it keeps its state in.
    """

    file: str
    bug: str
    because_of: str
    says: str
    scenario: Scenario
    sound_alone: bool = True
    store: str = "json"

    @property
    def path(self) -> Path:
        return GALLERY / f"{self.file}.py"


def story(
    title: str,
    turns: tuple[Turn, ...],
    *crashes: Crash,
    expects: tuple[Expectation, ...] = (),
    outages: tuple[ServerFault, ...] = (),
    **settings: object,
) -> Scenario:
    """A day of TSLA with its crashes; `settings` are the broker's."""

    def build(choices: Choices) -> CaseParts:
        return CaseParts(
            tape=walk("TSLA", *turns),
            watchlist=WATCHLIST,
            crashes=crashes,
            broker=broker(choices).model_copy(update=settings),
            outages=outages,
        )

    name = title.replace(" ", "-")
    return Scenario(name=name, title=title, story=title, build=build, expectations=expects)


def dies(point: CrashPoint, *acts: Act, until: str | None = None) -> Crash:
    """A kill; people act at the broker, the market goes on, and the bot is started again."""
    stop = None if until is None else at(until)
    return Crash(point=point, downtime=Downtime(acts=acts, until=stop))


def passing(name: str, *, nth: int = 1) -> FailPoint:
    """The n-th passage of a failpoint of the bot."""
    return FailPoint(name=name, occurrence=nth)


def by_hand(shares: int) -> ManualOrder:
    """Somebody sells."""
    return ManualOrder(symbol="TSLA", action="SELL", quantity=Decimal(shares))


SAME_END = (same_end_as_clean(),)
IN_POSITION = story("killed in a position", BREAK, dies(HELD))
TAKEN = story(
    "the order is taken and not acknowledged",
    BREAK,
    dies(processed("placeOrder", nth=BRACKET_LEGS)),
)
SENT = story("the last order has just been sent", BREAK, dies(passing("order.sent.partial")))
NEVER_LEFT = story("the order never left", BREAK, dies(passing("intents.saved")))
CLOSED = story("closed by hand while dead", BREAK, dies(HELD, by_hand(100)))
REDUCED = story("reduced by hand while dead", BREAK, dies(HELD, by_hand(40)))
STOP = OrderChoice(symbol="TSLA", leg="stop")
UNPROTECTED = story(
    "the stop is cancelled while dead",
    BREAK,
    dies(HELD, CancelOrder(order=STOP)),
)
THEN_PARTIAL = story("killed and then the partial", PARTIAL, dies(HELD))
STOPPED_OUT = story(
    "stopped out while dead",
    (*BREAK, ("10:02:10", "443.00"), ("10:02:20", "443.00")),
    dies(HELD, until="10:02:10"),
)
LOST_BEFORE = story(
    "stopped out and then killed",
    (*BREAK, ("10:02:10", "443.00"), ("10:02:25", "443.00")),
    dies(Quiet(after_bar=at("10:02:15"))),
)
THREE_BREAKS = story(
    "three breaks and the first is not acknowledged",
    (
        *BREAK,
        ("10:02:10", "443.00"),
        ("10:02:15", "445.25"),
        ("10:02:30", "445.25"),
        ("10:02:35", "443.00"),
        ("10:02:40", "445.25"),
        ("10:02:50", "445.25"),
    ),
    dies(processed("placeOrder", nth=BRACKET_LEGS)),
)
MOVING = story(
    "killed while it moves its stop and the price falls",
    (*PARTIAL, ("10:02:30", "443.00"), ("10:02:40", "443.00")),
    dies(passing("exits.modified"), until="10:02:30"),
)
TURNS_TWICE = story(
    "the stop fills while dead and then the target would",
    (*PARTIAL, ("10:02:30", "444.90"), ("10:02:40", "461.00"), ("10:02:50", "461.00")),
    dies(Quiet(after_bar=at("10:02:15")), until="10:02:40"),
)
FIRST_LEG = story("the entry alone is at the broker", BREAK, dies(processed("placeOrder")))
BEFORE = story("killed before the break", BREAK, dies(Quiet(after_bar=at("10:01:40"))))
SAVING = story("killed in a save", PARTIAL, dies(HELD), dies(passing("state.temp_written", nth=2)))
CORRECTED = story(
    "the fill is corrected while dead",
    BREAK,
    dies(HELD, until="10:02:00"),
    faults=(CorrectExecution(when=AtTime(at=at("10:02:00")), price=Decimal("445.35")),),
)
IN_PARTS = story(
    "killed between two parts of the entry",
    BREAK_AND_WAIT,
    dies(Quiet(after_bar=at("10:01:45"))),
    liquidity_per_bar=Decimal(60),
)
BOOKING = story(
    "killed while it books", PARTIAL, dies(passing("fill.before_save")), expects=SAME_END
)
DECIDING = story(
    "killed while it decides",
    BREAK_AND_WAIT,
    dies(passing("intents.before_save")),
    expects=SAME_END,
)
BREAK_STOPPED = story(
    "stopped out at once while dead",
    BREAK,
    dies(Quiet(after_bar=at("10:01:45")), FillOrder(order=STOP, price=Decimal("443.37"))),
)
UNHEARD = story("the partial fills unheard", PARTIAL, dies(unsent("execDetails", nth=2)))
UNSAVED = story(
    "the order is sent while the server is away",
    BREAK,
    dies(Quiet(after_bar=at("10:01:45"))),
    outages=(RedisOutage(after_bar=at("10:01:40"), until=at("10:01:55")),),
)
AFTER_THE_HALT = Quiet(after_bar=at("10:02:40"))
"""The broker refused to change the stop of an earlier life; it has filled, and the bot is flat."""


def halted(title: str, crash: Crash) -> Scenario:
    """A bot that is halted, dies, and sees another break when it is back."""
    tail = (("10:02:35", "443.00"), ("10:02:45", "443.00"), ("10:02:50", "445.25"))
    return story(
        title,
        (*PARTIAL, *tail, ("10:03:10", "445.25")),
        dies(HELD),
        crash,
        faults=(UnmanageableOrder(),),
    )


HALTED = halted("halted and started again", dies(AFTER_THE_HALT))
HALTED_AND_DAMAGED = halted(
    "halted and the state file is empty",
    Crash(point=AFTER_THE_HALT, storage=Empty(role="state")),
)

EXHIBITS = (
    # What is on the disk.
    Exhibit("writes_in_place", "S01", "NoTimeTravel", "and now there is none", SAVING),
    Exhibit("never_flushed", "S05", "IntentBeforeSend", "before any record of it was", SENT),
    Exhibit(
        "ignores_failed_saves",
        "S06",
        "IntentBeforeSend",
        "before any record of it was durable",
        UNSAVED,
        store="redis",
    ),
    Exhibit("backup_first", "S11", "HaltSticks", "and trades on after a restart", HALTED),
    Exhibit(
        "damage_is_nothing",
        "S12",
        "LoadOrHaltLoudly",
        "has forgotten that it was halted",
        HALTED_AND_DAMAGED,
    ),
    Exhibit("attempt_then_orders", "S15", "SameEnd", "Position TSLA 100 is missing", DECIDING),
    # Orders and what they are called.
    Exhibit("intent_after_send", "O01", "IntentBeforeSend", "before any record of it", SENT),
    Exhibit("sends_again", "O03", "OneIntentOneOrder", "entry asked for 100 shares and was", TAKEN),
    Exhibit("drops_unacknowledged", "O04", "Protected", "LONG 100 TSLA has a stop for 200", TAKEN),
    Exhibit("ref_of_the_process", "O05", "Protected", "LONG 100 TSLA has a stop for 200", TAKEN),
    Exhibit("ids_from_one", "O07", "IdsUnique", "used the order id 1 for two orders", THEN_PARTIAL),
    Exhibit("attempt_after_ack", "O10", "AttemptsHeld", "TSLA was entered 3 times", THREE_BREAKS),
    Exhibit(
        "new_order_for_a_change",
        "O14",
        "NoFlip",
        "sold 50 TSLA that it no longer had",
        MOVING,
        sound_alone=False,
    ),
    Exhibit(
        "children_again", "O16", "OneIntentOneOrder", "|1|stop has two live orders", IN_POSITION
    ),
    Exhibit(
        "acts_on_the_last_break", "O17", "SignalOnce", "acted again on a signal", BREAK_STOPPED
    ),
    # Fills and limits.
    Exhibit("shares_before_fill", "F01", "SameEnd", "SLD 100 at 447.13", BOOKING),
    Exhibit("status_counts_too", "F03", "Protected", "LONG 100 TSLA has a stop for 160", IN_PARTS),
    Exhibit(
        "correction_as_new",
        "F04",
        "FillOnce",
        "booked the execution 0000e0d5.67fe667b.01.02, which",
        CORRECTED,
        sound_alone=False,
    ),
    Exhibit("fills_since_start", "F06", "FillOnce", "never booked the execution SLD", STOPPED_OUT),
    Exhibit("own_fills_only", "F07", "FillOnce", "a realised profit of 0; the broker", CLOSED),
    Exhibit(
        "day_begins_at_start",
        "F15",
        "LimitsCountEverything",
        "counts 0 trades today; 1 were opened",
        LOST_BEFORE,
    ),
    Exhibit("restart_lifts_halts", "F16", "HaltSticks", "and trades on after a", HALTED),
    # Protection and what is found at the broker.
    Exhibit("stop_on_the_fill", "R01", "Protected", "LONG 100 TSLA has no stop", FIRST_LEG),
    Exhibit("exits_on_the_fill", "R01", "BreakevenAfterPartial", "the stop is at 443.37", UNHEARD),
    Exhibit("stop_placed_once", "R02", "Protected", "LONG 100 TSLA has no stop", UNPROTECTED),
    Exhibit("stop_never_resized", "R03", "Protected", "LONG 60 TSLA has a stop for 100", REDUCED),
    Exhibit("leaves_orphans", "R04", "NoOrphans", "holds no TSLA and SELL 100 TSLA STP", CLOSED),
    Exhibit(
        "no_group",
        "R05",
        "NoFlip",
        "sold 50 TSLA that it no longer had",
        TURNS_TWICE,
        sound_alone=False,
    ),
    Exhibit("trades_before_asking", "R08", "ReconcileFirst", "had heard openOrderEnd", BEFORE),
    Exhibit("warns_and_goes_on", "R11", "PositionAgrees", "believes LONG 100 TSLA; the", CLOSED),
    Exhibit("cancel_must_work", "R14", "TheBotStays", "CancelError: order 8: 10147", NEVER_LEFT),
    Exhibit("infers_fills", "R15", "FillOnce", "booked the execution inferred.", IN_POSITION),
)
