import re
from dataclasses import replace
from datetime import timedelta

import pytest
from pydantic import ValidationError

from fakebroker.faults.field import HalfAlive, TimesUnknown
from fakebroker.market.tape import parse_tape
from fakebroker.settings import BrokerSettings
from harness.case import Case, canonical, case_id
from harness.errors import UserError
from harness.explore.draw import Choices, draw
from harness.scenario import CaseParts
from harness.token import Token
from tests.unit.harness.scenarios_for_tests import STORY, bars, small_case
from tests.unit.harness.stories import OPEN


def test_a_case_survives_its_json() -> None:
    case = small_case()
    again = Case.model_validate_json(canonical(case))
    assert again == case
    assert case_id(again) == case_id(case)


def test_a_setting_at_its_default_leaves_the_id_as_it_is() -> None:
    told = small_case(broker=BrokerSettings(slippage=0))
    assert case_id(told) == case_id(small_case(broker=BrokerSettings()))
    assert case_id(small_case(broker=BrokerSettings(slippage=1))) != case_id(told)


def test_two_faults_that_differ_in_their_name_alone_make_two_cases() -> None:
    alive, unknown = (
        small_case(broker=BrokerSettings(faults=(fault,)))
        for fault in (HalfAlive(), TimesUnknown())
    )
    assert case_id(alive) != case_id(unknown)
    assert Case.model_validate_json(canonical(alive)) == alive


@pytest.mark.parametrize(
    "changes", [{"store": "sqlite"}, {"tape": bars(5)}, {"ends_at": OPEN}, {"crashes": ()}]
)
def test_whatever_changes_a_case_changes_its_id(changes: dict[str, object]) -> None:
    assert case_id(small_case(**changes)) != case_id(small_case())


def test_a_case_refuses_fields_that_it_does_not_know() -> None:
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        small_case(colour="red")


def test_bars_of_a_case_must_be_in_order() -> None:
    with pytest.raises(ValidationError, match="in the order of their times"):
        small_case(tape=tuple(reversed(bars())))


def test_a_bar_counts_from_its_start() -> None:
    case = small_case()
    assert case.bars_through(OPEN) == 1
    assert case.bars_through(OPEN + timedelta(seconds=12)) == 3
    assert case.bars_through(OPEN - timedelta(seconds=1)) == 0


def test_the_same_seed_draws_the_same_choices_and_zero_the_plain_ones() -> None:
    assert draw(7) == draw(7)
    assert len({draw(seed).model_dump_json() for seed in range(1, 30)}) > 20
    assert draw(0) == Choices()


def test_choices_change_the_broker_and_nothing_else_of_it() -> None:
    choices = Choices(fill_split=(60, 40), first_order_id=17)
    settings = choices.settings()
    assert [int(size) for size in settings.fill_split] == [60, 40]
    assert settings.first_order_id == 17
    assert settings.cash == Choices().settings().cash


def test_a_scenario_builds_a_case_of_its_store_and_seed() -> None:
    case = STORY.case("sqlite", seed=3)
    assert (case.scenario, case.store, case.seed) == ("story", "sqlite", 3)


def test_an_unknown_store_is_refused_with_those_that_exist() -> None:
    with pytest.raises(UserError, match="unknown store 'mongo'; choose one of json, sqlite, redis"):
        STORY.case("mongo")


def test_a_token_fits_the_case_that_it_was_made_of() -> None:
    case = STORY.case("json", seed=7)
    token = Token.parse(str(Token.of(case)))
    token.check(case)
    assert str(token).startswith("story/json/seed=7@")


def test_a_token_refuses_a_case_that_has_changed() -> None:
    token = Token.of(small_case())
    with pytest.raises(UserError, match=r"'story' or its tape has changed since the token"):
        token.check(small_case(tape=bars(5)))


@pytest.mark.parametrize(
    "text", ["", "story", "story/json", "story/json@12345", "story/json/seed=0@3f9a1c", "a b/c@3f"]
)
def test_what_is_no_token_is_refused_with_its_text_and_the_shape(text: str) -> None:
    with pytest.raises(UserError, match=re.escape(repr(text))) as refusal:
        Token.parse(text)
    assert "SCENARIO/STORE" in str(refusal.value)


def test_a_negative_seed_is_refused() -> None:
    with pytest.raises(UserError, match="the seed -1 is negative"):
        STORY.case("json", seed=-1)


def test_a_tape_that_cannot_be_read_is_a_users_error_with_its_line() -> None:
    def build(_choices: Choices) -> CaseParts:
        tape = parse_tape("time,open\n", name="day.csv", symbol="TSLA")
        return CaseParts(tape=tape.bars, watchlist={}, crashes=())

    with pytest.raises(UserError, match=r"scenario 'story': day.csv line 1"):
        replace(STORY, build=build).case("json")
