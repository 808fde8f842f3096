"""A case and a scenario that are small enough for tests."""

from datetime import timedelta
from decimal import Decimal

from fakebroker.market.tape import Bar
from harness.case import Case, Crash
from harness.downtime import Downtime
from harness.explore.draw import Choices
from harness.points import Quiet, processed
from harness.scenario import CaseParts, Scenario
from tests.unit.harness.stories import OPEN


def bars(count: int = 6) -> tuple[Bar, ...]:
    price, volume = Decimal("445.00"), Decimal(1000)
    return tuple(
        Bar("TSLA", OPEN + timedelta(seconds=5 * number), price, price, price, price, volume)
        for number in range(count)
    )


CRASH = Crash(
    point=Quiet(after_bar=OPEN + timedelta(seconds=10)),
    downtime=Downtime(until=OPEN + timedelta(seconds=20)),
)


def parts(choices: Choices) -> CaseParts:
    return CaseParts(
        tape=bars(), watchlist={"setups": []}, crashes=(CRASH,), broker=choices.settings()
    )


STORY = Scenario(name="story", title="a small story", story="Nothing much.", build=parts)


def small_case(**changes: object) -> Case:
    case = Case(
        scenario="story",
        store="json",
        tape=bars(),
        watchlist={"setups": []},
        crashes=(CRASH, Crash(point=processed("placeOrder"), arrives=False)),
    )
    return Case.model_validate({**dict(case), **changes})
