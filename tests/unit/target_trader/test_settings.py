"""The configuration: its file, its environment, its options, and what it says about mistakes."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import fields
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

import target_trader
from target_trader.config import SECONDS, Config
from target_trader.config_sources import SECTIONS, Given, settle, toml_of
from target_trader.errors import TraderError
from target_trader.settings import (
    BreakEntry,
    Hours,
    Library,
    Policy,
    Rules,
    SmaRules,
    StoreKind,
    Strategy,
)

EXAMPLE = Path(target_trader.__file__).with_name("example.toml")
KEYS = [(section, key) for section, model in SECTIONS.items() for key in model.model_fields]


def config_of(text: str, folder: Path, environment: Mapping[str, str] | None = None) -> Config:
    """Settle the configuration of a file with this text."""
    path = folder / "trader.toml"
    path.write_text(text)
    return settle(path, environment or {}).config


def complaint(text: str, folder: Path, environment: Mapping[str, str] | None = None) -> str:
    """Return what is said about a file with this text."""
    with pytest.raises(TraderError) as caught:
        config_of(text, folder, environment)
    return str(caught.value)


def test_without_anything_given_the_rules_are_the_defaults_of_rules() -> None:
    assert settle(None, {}).config.rules() == Rules()


def test_every_rule_can_be_configured() -> None:
    keys = {key.removesuffix(SECONDS) for section, key in KEYS if section != "sma"}
    assert {field.name for field in fields(Rules)} - {"sma"} <= keys
    sma = {key.removesuffix(SECONDS) for section, key in KEYS if section == "sma"}
    assert {field.name for field in fields(SmaRules)} == sma


def test_the_example_file_holds_every_key_and_its_default() -> None:
    text = EXAMPLE.read_text()
    assert settle(EXAMPLE, {}).config == Config()
    for name, model in SECTIONS.items():
        part = re.split(r"^\[", text.split(f"\n[{name}]\n")[1], maxsplit=1, flags=re.MULTILINE)[0]
        for key in model.model_fields:
            line = re.search(rf"^(#?){key} = ", part, flags=re.MULTILINE)
            assert line is not None, f"[{name}] {key} is not in the example"
            without_default = getattr(getattr(Config(), name), key) is None
            assert bool(line[1]) == without_default, f"[{name}] {key}"


def test_the_values_that_the_example_only_suggests_are_accepted(tmp_path: Path) -> None:
    config = config_of(re.sub(r"^#(?=\w)", "", EXAMPLE.read_text(), flags=re.MULTILINE), tmp_path)
    assert config.state.dir == Path("state")
    assert config.state.redis_url == "redis://127.0.0.1:6379/0"


def test_a_file_sets_numbers_choices_lists_and_durations(tmp_path: Path) -> None:
    rules = config_of(
        """
        [trade]
        strategies = ["sma", "ps60"]
        [state]
        stale_after_seconds = 0.5
        [recovery]
        policy = "HALT_AND_ALERT"
        [risk]
        max_daily_loss = 250.75
        scale_in = true
        hours = "any"
        [ps60]
        break_entry = "hybrid"
        [sma]
        fast = 3
        timeframe_seconds = 15
        """,
        tmp_path,
    ).rules()
    assert rules.strategies == (Strategy.SMA, Strategy.PS60)
    assert rules.stale_after == timedelta(milliseconds=500)
    assert rules.policy is Policy.HALT_AND_ALERT
    assert rules.max_daily_loss == Decimal("250.75")
    assert rules.scale_in
    assert rules.hours is Hours.ANY
    assert rules.break_entry is BreakEntry.HYBRID
    assert (rules.sma.fast, rules.sma.timeframe) == (3, timedelta(seconds=15))


def test_the_environment_wins_over_the_file_and_an_option_over_both(tmp_path: Path) -> None:
    path = tmp_path / "trader.toml"
    path.write_text("[broker]\nport = 1\nclient_id = 1\nhost = 'one'\n")
    environment = {"TARGET_TRADER_BROKER_PORT": "2", "TARGET_TRADER_BROKER_CLIENT_ID": "2"}
    option = Given("broker", "client_id", 3, "option --client-id")
    broker = settle(path, environment, [option]).config.broker
    assert (broker.host, broker.port, broker.client_id) == ("one", 2, 3)


@pytest.mark.parametrize(
    ("variable", "text", "section", "key", "value"),
    [
        ("TARGET_TRADER_RISK_QUANTITY", "50", "risk", "quantity", Decimal(50)),
        ("TARGET_TRADER_RISK_SCALE_IN", "true", "risk", "scale_in", True),
        ("TARGET_TRADER_LIBRARY", "ib_async", "broker", "library", Library.IB_ASYNC),
        ("TARGET_TRADER_STATE_STORE", "sqlite", "state", "store", StoreKind.SQLITE),
        ("REDIS_URL", "redis://r:1/0", "state", "redis_url", "redis://r:1/0"),
        (
            "TARGET_TRADER_TRADE_STRATEGIES",
            "ps60, sma",
            "trade",
            "strategies",
            (Strategy.PS60, Strategy.SMA),
        ),
        ("TARGET_TRADER_SMA_TIMEFRAME_SECONDS", "30", "sma", "timeframe_seconds", Decimal(30)),
        ("TARGET_TRADER_BROKER_HOST", "127.0.0.2", "broker", "host", "127.0.0.2"),
    ],
)
def test_an_environment_variable_sets_its_key(
    variable: str, text: str, section: str, key: str, value: object
) -> None:
    config = settle(None, {variable: text}).config
    assert getattr(getattr(config, section), key) == value


def test_an_empty_environment_variable_is_not_given() -> None:
    assert settle(None, {"REDIS_URL": "", "TARGET_TRADER_BROKER_PORT": ""}).config == Config()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[broker]\nprt = 1", r"\[broker\] prt = 1: unknown key; known are host, port"),
        ("[brokr]\nport = 1", r"\[brokr\] port = 1: unknown section; known are broker"),
        ("[brokr]", "unknown section"),
        ("port = 1", r"port = 1 stands outside of a section; sections are \[broker\]"),
        ("[broker]\nport = 'x'", r"\[broker\] port = x: .*valid integer"),
        ("[broker]\nport = true", r"\[broker\] port = True: .*valid integer"),
        ("[broker]\nport = 65536", r"\[broker\] port = 65536: .*less than or equal to 65535"),
        ("[broker]\nhost = ''", r"\[broker\] host = : .*at least 1 character"),
        ("[broker]\nlibrary = 'ibapi'", r"library = ibapi: .*'ib_insync' or 'ib_async'"),
        ("[risk]\nquantity = 0", r"quantity = 0: .*greater than 0"),
        ("[risk]\nquantity = 0.5", r"quantity = 0.5: .*multiple of 1"),
        ("[risk]\nquantity = '100'", "quantity = 100: expected a number"),
        ("[risk]\nquantity = true", "quantity = True: expected a number"),
        ("[risk]\nmax_daily_loss = inf", r"max_daily_loss = Infinity: .*finite"),
        ("[risk]\nquantity = 2000", r"max_shares \(1000\) must not be less than quantity"),
        ("[risk]\nscale_in = 1", r"scale_in = 1: .*boolean"),
        ("[risk]\nmax_attempts = 0", r"max_attempts = 0: .*greater than or equal to 1"),
        ("[recovery]\npolicy = 'HOPE'", r"policy = HOPE: .*WARN_ONLY"),
        ("[recovery]\ngrace_seconds = 0", r"grace_seconds = 0: .*greater than 0"),
        ("[trade]\nstrategies = []", r"strategies = \[\]: .*at least 1 item"),
        ("[trade]\nstrategies = ['ps60', 'ps60']", "one is named twice"),
        ("[ps60]\nbars_kept = 5", r"bars_kept \(5\) must not be less than warmup_bars \(20\)"),
        ("[ps60]\npartial_share = 1", r"partial_share = 1: .*less than 1"),
        ("[sma]\nfast = 30", r"fast \(30\) must be less than slow \(30\)"),
        ("[sma]\ntimeframe_seconds = 7", "multiples of a bar's 5 seconds"),
        ("[sma]\ntrend_timeframe_seconds = 30", "must not be less than timeframe_seconds"),
        ("[state]\nstore = 'redis'\nredis_url = 'localhost'", "expected redis://"),
        ("[broker", "is no TOML"),
    ],
)
def test_a_mistake_in_the_file_is_one_line_with_its_place(
    text: str, words: str, tmp_path: Path
) -> None:
    said = complaint(text, tmp_path)
    assert re.search(words, said), said
    assert "trader.toml" in said
    assert len(said.splitlines()) == 1


def test_every_mistake_is_told_at_once_with_where_it_was_made(tmp_path: Path) -> None:
    said = complaint(
        "[broker]\nprt = 1\nport = 0\n", tmp_path, {"TARGET_TRADER_SMA_FAST": "x"}
    ).splitlines()
    assert len(said) == 3
    assert said[0].endswith("known are host, port, client_id, library")
    assert "[broker] port = 0" in said[1]
    assert said[2].startswith("environment variable TARGET_TRADER_SMA_FAST: [sma] fast = x: ")


def test_a_misspelt_environment_variable_is_refused() -> None:
    with pytest.raises(TraderError, match="TARGET_TRADER_RISK_QUANTTY: unknown"):
        settle(None, {"TARGET_TRADER_RISK_QUANTTY": "1"})


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_a_file_that_cannot_be_read_is_named(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "trader.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(TraderError, match=r"configuration .*trader\.toml cannot be read"):
        settle(path, {})


def test_a_foreign_redis_url_disturbs_nobody_who_does_not_use_redis() -> None:
    assert settle(None, {"REDIS_URL": "localhost:6379"}).config.state.store is StoreKind.JSON


def test_what_is_printed_is_toml_of_the_same_configuration_with_the_origins(
    tmp_path: Path,
) -> None:
    path = tmp_path / "trader.toml"
    path.write_text("[trade]\nwatchlist = 'C:\\day \"1\".json'\n[sma]\nstop_fraction = 0.020\n")
    settled = settle(path, {"TARGET_TRADER_RISK_SCALE_IN": "true"})
    printed = toml_of(settled)
    again = tmp_path / "again.toml"
    again.write_text(printed)
    assert settle(again, {}).config == settled.config
    assert "scale_in = true  # environment variable TARGET_TRADER_RISK_SCALE_IN" in printed
    assert f"stop_fraction = 0.020  # {path}" in printed
    assert "port = 7497  # default" in printed
    assert set(tomllib.loads(printed)) == set(SECTIONS)


@pytest.mark.parametrize(
    "url",
    [
        "redis://:geheim@r:1/0",
        "rediss://me:geheim@r/0",
        "redis://r:1/0?password=geheim&x=1",
        "redis://[geheim",
    ],
)
def test_a_password_in_a_url_is_never_printed(url: str, tmp_path: Path) -> None:
    printed = toml_of(settle(None, {"REDIS_URL": url}))
    assert "geheim" not in printed
    said = complaint("[state]\nstore = 'redis'\n", tmp_path, {"REDIS_URL": f"http{url}"})
    assert "geheim" not in said
