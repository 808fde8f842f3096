"""Downtimes in whole runs: what the history says of them, and that the day goes on after them."""

from datetime import timedelta
from pathlib import Path

from harness.case import Case, Crash
from harness.downtime import DaysPass, Downtime, FillOrder, MarketGoesOn, OrderChoice
from harness.points import Quiet
from harness.result import Verdict
from tests.unit.harness.scenarios_for_tests import CRASH, small_case
from tests.unit.harness.stories import OPEN
from tests.unit.harness.test_runner import bot, history_of, run

STOP = OrderChoice(symbol="TSLA", leg="stop")
LAST_BAR = OPEN + timedelta(seconds=25)


def case_with(downtime: Downtime, **changes: object) -> Case:
    return small_case(crashes=(Crash(point=CRASH.point, downtime=downtime),), **changes)


def test_a_downtime_of_which_nothing_fits_stands_in_the_history_and_shows_nothing(
    tmp_path: Path,
) -> None:
    downtime = Downtime(acts=(FillOrder(order=STOP, optional=True),))
    result = run(case_with(downtime), bot(tmp_path), tmp_path)
    assert (result.verdict, result.unfit) == (Verdict.INCONCLUSIVE, True)
    assert result.reasons[0].startswith("it did not fit: the TSLA stop order was to be found")
    (skipped,) = history_of(tmp_path).of_kind("skipped")
    assert skipped.data["act"] == "the TSLA stop order is filled"
    assert str(skipped.data["reason"]).endswith("0 orders fit; working there: nothing")


def test_a_downtime_that_fits_in_part_counts(tmp_path: Path) -> None:
    acts = (FillOrder(order=STOP, optional=True), MarketGoesOn(seconds=5))
    result = run(case_with(Downtime(acts=acts)), bot(tmp_path), tmp_path)
    assert (result.verdict, result.unfit) == (Verdict.PASS, False)
    assert len(history_of(tmp_path).of_kind("skipped")) == 1


def test_an_act_that_must_fit_and_does_not_proves_nothing(tmp_path: Path) -> None:
    result = run(case_with(Downtime(acts=(FillOrder(order=STOP),))), bot(tmp_path), tmp_path)
    assert result.verdict is Verdict.INCONCLUSIVE
    assert "0 orders fit" in result.reasons[0]
    assert not result.unfit


def test_the_rest_of_the_day_is_played_on_a_later_day(tmp_path: Path) -> None:
    downtime = Downtime(acts=(DaysPass(to="after the clocks change"),))
    case = case_with(downtime, ends_at=LAST_BAR)
    result = run(case, bot(tmp_path), tmp_path)
    assert (result.verdict, result.reasons) == (Verdict.PASS, ())
    starts = [str(bar.data["start"])[:19] for bar in history_of(tmp_path).of_kind("bar")]
    assert starts[2:] == ["2025-10-06T10:00:10", "2025-11-03T10:00:15", "2025-11-03T10:00:20"]


def test_a_second_crash_is_found_by_the_time_that_the_tape_had(tmp_path: Path) -> None:
    passed = Downtime(acts=(DaysPass(to="the next trading day"),))
    second = Crash(point=Quiet(after_bar=OPEN + timedelta(seconds=20)))
    case = small_case(crashes=(Crash(point=CRASH.point, downtime=passed), second))
    result = run(case, bot(tmp_path), tmp_path)
    assert (result.verdict, result.reasons) == (Verdict.PASS, ())
    history = history_of(tmp_path)
    killed = history.kills[1]
    assert killed.time == OPEN + timedelta(days=1, seconds=25)
