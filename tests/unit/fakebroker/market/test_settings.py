"""The broker's knobs as they come from a file."""

from datetime import timedelta
from decimal import Decimal

import pytest
from pydantic import ValidationError

from fakebroker.settings import BrokerSettings


def test_settings_survive_json() -> None:
    settings = BrokerSettings(
        fill_split=(Decimal(60), Decimal(40)),
        cash=Decimal("100000.01"),
        position_delay=timedelta(seconds=2),
    )
    assert BrokerSettings.model_validate_json(settings.model_dump_json()) == settings


def test_delays_are_seconds_in_json() -> None:
    settings = BrokerSettings.model_validate_json('{"commission_delay": 10}')
    assert settings.commission_delay == timedelta(seconds=10)


@pytest.mark.parametrize(
    "record",
    [
        {"fill_spilt": [60, 40]},
        {"fill_split": [0]},
        {"fill_split": ["1.5"]},
        {"liquidity_per_bar": -1},
        {"cash": 0},
        {"account": "nobody"},
        {"position_delay": -1},
        {"cancel_after_bars": -1},
        {"commission": {"per_shares": 1}},
    ],
)
def test_what_makes_no_sense_is_refused(record: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        BrokerSettings.model_validate(record)
