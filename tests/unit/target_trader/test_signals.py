"""From bars to brackets: warm-up, both strategies, once per bar, and what is durable together."""

from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal

import pytest

from target_trader.books import Books
from target_trader.clock import NEW_YORK, MarketClock
from target_trader.library import IB
from target_trader.names import IntentState, Leg, Side
from target_trader.orders import OrderDesk
from target_trader.settings import BreakEntry, Rules, Setup, SmaRules, Strategy, Watchlist
from target_trader.signals import SignalDesk
from target_trader.state.checkpoint import (
    BarRecord,
    BookedExecution,
    Checkpoint,
    Intent,
    new_checkpoint,
)
from target_trader.state.store import Loaded, Source
from target_trader.strategy.signal import Signal

TEN = datetime(2025, 10, 6, 10, 0, tzinfo=NEW_YORK)
BAR = timedelta(seconds=5)
QUICK = SmaRules(fast=2, slow=3, timeframe=BAR, trend_timeframe=BAR)
PS60_RULES = Rules()
SMA_RULES = Rules(strategies=(Strategy.SMA,), sma=QUICK, warmup_bars=0)
SHORTS = replace(SMA_RULES, sma=replace(QUICK, shorts=True))
UP = ["10", "9", "8", "7", "9", "10"]
"""The averages cross upwards with the last one."""
DOWN = ["9", "8"]
"""Downwards, after `UP`, with the last one."""


def setup(symbol: str) -> Setup:
    """Return levels: TSLA's real ones, and some that ten dollars never reach."""
    tesla = symbol == "TSLA"
    return Setup(
        symbol=symbol,
        resistance=Decimal("444.77") if tesla else Decimal(100),
        support=Decimal("432.50") if tesla else Decimal(1),
        target1=Decimal("460.25"),
        target2=Decimal("470.50"),
    )


class Memory:
    """A store that keeps what was saved, as text, the newest last."""

    def __init__(self) -> None:
        self.saved: list[str] = []

    def load(self) -> Loaded:
        """Return nothing: this store is only written."""
        return Loaded(None, Source.NONE)

    def save(self, checkpoint: Checkpoint) -> None:
        """Keep the text of a checkpoint."""
        self.saved.append(checkpoint.model_dump_json())

    def close(self) -> None:
        """Do nothing; there is nothing to let go of."""

    @property
    def newest(self) -> Checkpoint:
        """Return what a next life would begin with."""
        return Checkpoint.model_validate_json(self.saved[-1])


class PaperDesk(OrderDesk):
    """Plans and remembers like the real desk; what it would send, it writes down."""

    last_id = 0

    def __init__(self, books: Books, rules: Rules) -> None:
        super().__init__(IB(), books, rules=rules, client_id=2001)
        self.sent: list[str] = []

    def next_order_id(self) -> int:
        """Count, because nobody is connected."""
        PaperDesk.last_id += 1
        return PaperDesk.last_id

    def send(self, intent: Intent, *, transmit: bool) -> None:
        """Write the order down; the last of a bracket is marked."""
        self.sent.append(f"{intent.order_ref}{'!' if transmit else ''}")
        intent.state = IntentState.SENT


class Life:
    """One life of the trading part over bars."""

    def __init__(self, rules: Rules, *, stored: Checkpoint | None = None) -> None:
        self.rules = rules
        self.store = Memory()
        self.clock = MarketClock()
        self.clock.advance(TEN)
        first = stored or new_checkpoint(date(2025, 10, 6), now=TEN)
        self.books = Books(first, self.store, clock=self.clock, rules=rules)
        self.orders = PaperDesk(self.books, rules)
        watchlist = Watchlist(
            date=date(2025, 10, 6), setups=tuple(map(setup, ["TSLA", "AAPL", "NVDA"]))
        )
        self.desk = SignalDesk(self.books, self.orders, watchlist=watchlist, rules=rules)

    @property
    def day(self) -> Checkpoint:
        """The checkpoint in force."""
        return self.books.checkpoint

    def play(self, symbol: str, closes: list[str], *, first: int = 0, link_up: bool = True) -> None:
        """Take bars as the bot does: every signal is considered at once."""
        for number, close in enumerate(closes, start=first):
            one = bar(number, close)
            self.clock.advance(one.time + BAR)
            for signal in self.desk.take(symbol, one):
                self.desk.consider(signal, link_up=link_up)

    def settle(self, leg: Leg, *, price: str = "10") -> None:
        """Let the broker fill the live orders of a leg; an exit ends the other exits."""
        for intent in self.day.intents:
            if not intent.live or intent.leg is not leg:
                continue
            intent.state, intent.filled = IntentState.FILLED, intent.quantity
            position = self.day.positions[intent.trade_id]
            if leg is Leg.ENTRY:
                position.shares, position.entry_price = intent.quantity, Decimal(price)
                continue
            position.closed_shares = position.shares
            for other in self.day.intents:
                if other.trade_id == intent.trade_id and other.live:
                    other.state = IntentState.CANCELLED


def bar(number: int, close: str) -> BarRecord:
    """Make the bar that starts so many times five seconds after ten o'clock."""
    price = Decimal(close)
    return BarRecord(
        time=TEN + BAR * number,
        open=price,
        high=price,
        low=price,
        close=price,
        volume=Decimal(1000),
    )


WARM = ["444.50"] * 20


def test_a_break_after_twenty_bars_is_entered_and_after_nineteen_it_is_not() -> None:
    for bars, sent in ((18, 0), (19, 3)):
        life = Life(PS60_RULES)
        life.play("TSLA", [*WARM[:bars], "445.25"])
        assert len(life.orders.sent) == sent


def test_a_bracket_of_a_break_is_entry_stop_and_partial_and_the_last_one_releases_it() -> None:
    life = Life(PS60_RULES)
    life.play("TSLA", [*WARM, "445.25"])
    trade = "PS60|TSLA|L|20251006|1"
    assert life.orders.sent == [f"{trade}|entry", f"{trade}|stop", f"{trade}|partial!"]
    assert life.day.session.entry_paths == {"WEAK": 1}


def test_a_quick_restart_does_not_warm_up_again() -> None:
    life = Life(PS60_RULES)
    life.play("TSLA", WARM)
    life.books.save()
    reborn = Life(PS60_RULES, stored=life.store.newest)
    reborn.play("TSLA", ["445.25"], first=60)
    assert len(reborn.orders.sent) == 3


def test_a_restart_after_more_than_an_hour_warms_up_again_with_an_empty_buffer() -> None:
    life = Life(PS60_RULES)
    life.play("TSLA", WARM)
    # The last bar began 95 seconds after ten; 720 bars make the hour.
    for first, bars_seen in ((19 + 720, 21), (19 + 721, 1)):
        reborn = Life(PS60_RULES, stored=life.day.model_copy(deep=True))
        reborn.play("TSLA", ["445.25"], first=first)
        assert reborn.day.breakouts["TSLA"].bars_seen == bars_seen
        assert len(reborn.day.bars["TSLA"]) == bars_seen
        assert len(reborn.orders.sent) == (3 if bars_seen == 21 else 0)


def test_after_the_gap_the_averages_begin_again_for_that_symbol_alone() -> None:
    life = Life(SMA_RULES)
    life.play("AAPL", UP[:5])
    life.play("NVDA", UP[:5])
    life.play("AAPL", ["10"], first=1000)
    assert life.day.sma["AAPL:2:3:5"].closes == [10]
    assert len(life.day.sma["NVDA:2:3:5"].closes) == 3


def test_bars_that_are_told_again_after_a_reconnect_are_not_acted_on_again() -> None:
    life = Life(PS60_RULES)
    life.play("TSLA", [*WARM, "445.25"])
    reborn = Life(PS60_RULES, stored=life.store.newest)
    reborn.play("TSLA", [*WARM, "445.25"])
    assert reborn.orders.sent == []
    assert reborn.day.breakouts["TSLA"].bars_seen == 21


def test_the_memory_of_the_bar_and_the_intents_are_durable_in_one_save() -> None:
    life = Life(PS60_RULES)
    life.play("TSLA", [*WARM, "445.25"])
    (only,) = life.store.saved
    stored = Checkpoint.model_validate_json(only)
    assert stored.breakouts["TSLA"].last_bar == TEN + BAR * 20
    assert [each.state for each in stored.intents] == [IntentState.PLANNED] * 3
    assert stored.attempts == {"TSLA|LONG|444.77": 1}
    assert stored.positions["PS60|TSLA|L|20251006|1"].order_ids.keys() == {
        "entry",
        "stop",
        "partial",
    }


def test_a_symbol_that_is_not_watched_is_not_remembered() -> None:
    life = Life(PS60_RULES)
    life.play("AMD", ["1", "2"])
    assert life.day.bars == {}


def test_every_block_is_counted_by_its_name() -> None:
    life = Life(PS60_RULES)
    life.play("TSLA", ["444.50", "445.25", "444.50", "445.25"])
    assert life.day.session.filter_blocks == {"warmup": 2}
    life.play("TSLA", [*WARM, "445.25"], first=4, link_up=False)
    assert life.day.session.filter_blocks == {"warmup": 2, "link_down": 1}
    assert life.orders.sent == []


def test_two_breaks_of_one_moment_in_two_symbols_share_the_last_trade_of_the_day() -> None:
    life = Life(PS60_RULES)
    life.play("TSLA", WARM)
    life.play("NVDA", ["99"] * 20)
    life.day.session.trades_today = 19
    life.play("TSLA", ["445.25"], first=20)
    life.play("NVDA", ["101"], first=20)
    assert len(life.orders.sent) == 3
    assert life.day.session.filter_blocks == {"daily_trades": 1}


def test_hybrid_entries_are_counted_by_the_path_that_they_took() -> None:
    rules = replace(PS60_RULES, break_entry=BreakEntry.HYBRID)
    life = Life(rules)
    life.play("TSLA", [*WARM, "445.25", "444.90", "445.25"])
    assert life.day.session.entry_paths == {"PULLBACK": 1}


def test_scaling_in_gives_the_second_trade_its_own_bracket_group_and_attempt() -> None:
    life = Life(replace(PS60_RULES, scale_in=True))
    life.play("TSLA", [*WARM, "445.25"])
    life.settle(Leg.ENTRY, price="445.25")
    life.play("TSLA", ["444.50", "445.25", "444.50", "445.25"], first=21)
    assert len(life.orders.sent) == 6
    assert sorted(life.day.positions) == ["PS60|TSLA|L|20251006|1", "PS60|TSLA|L|20251006|2"]
    groups = {each.oca_group for each in life.day.intents if each.leg is Leg.STOP}
    assert len(groups) == 2
    assert life.day.attempts == {"TSLA|LONG|444.77": 2}


def test_without_scaling_a_second_break_while_a_position_is_held_is_nothing() -> None:
    life = Life(PS60_RULES)
    life.play("TSLA", [*WARM, "445.25"])
    life.settle(Leg.ENTRY, price="445.25")
    life.play("TSLA", ["444.50", "445.25"], first=21)
    assert len(life.orders.sent) == 3


def test_a_cross_upwards_buys_at_market_with_a_stop_and_nothing_else() -> None:
    life = Life(SMA_RULES)
    life.play("AAPL", UP)
    assert life.orders.sent == ["SMA|AAPL|L|20251006|1|entry", "SMA|AAPL|L|20251006|1|stop!"]
    position = life.day.positions["SMA|AAPL|L|20251006|1"]
    assert (position.strategy, position.initial_stop) == ("SMA", Decimal("9.90"))
    assert (position.partial_price, position.target1, position.pivot) == (None, None, None)
    assert life.day.session.entry_paths == {"SMA": 1}


def test_the_last_signal_is_durable_with_the_intents_that_it_stands_for() -> None:
    life = Life(SMA_RULES)
    life.play("AAPL", UP)
    (only,) = life.store.saved
    stored = Checkpoint.model_validate_json(only)
    assert len(stored.intents) == 2
    assert stored.last_signals["AAPL:2:3"].signal == "BUY"
    assert stored.attempts == {"SMA:AAPL|LONG": 1}


@pytest.mark.parametrize("days", [0, 1])
def test_a_buy_that_was_acted_on_is_not_acted_on_again_after_a_restart_nor_the_next_day(
    days: int,
) -> None:
    """The document's third scenario: killed while the order was sent; nobody knows if it went."""
    life = Life(SMA_RULES)
    life.play("AAPL", UP)
    stored = life.store.newest
    day = new_checkpoint(stored.day + timedelta(days=days), now=TEN, keeping=stored)
    reborn = Life(SMA_RULES, stored=day)
    reborn.play("AAPL", UP, first=17280 * days)
    assert reborn.orders.sent == []
    assert reborn.day.session.filter_blocks == {"duplicate_signal": 1}


def test_a_blocked_cross_was_not_acted_on() -> None:
    life = Life(replace(SMA_RULES, warmup_bars=20))
    life.play("AAPL", UP)
    assert life.day.last_signals == {}
    assert life.day.session.filter_blocks == {"warmup": 1}


def test_a_cross_downwards_ends_the_long_by_a_field_and_not_by_an_action() -> None:
    life = Life(SMA_RULES)
    life.play("AAPL", UP)
    life.settle(Leg.ENTRY)
    life.play("AAPL", DOWN, first=6)
    stored = life.store.newest
    assert stored.positions["SMA|AAPL|L|20251006|1"].exit_requested == "SMA 2 crossed below 3 at 8"
    assert stored.last_signals["AAPL:2:3"].signal == "SELL"
    assert len(life.orders.sent) == 2


def test_without_shorts_a_sell_opens_nothing_and_lets_the_next_buy_in() -> None:
    life = Life(SMA_RULES)
    life.play("AAPL", UP)
    life.settle(Leg.ENTRY)
    life.settle(Leg.STOP)
    life.play("AAPL", [*DOWN, "7", "9", "12"], first=6)
    assert [each.partition("|2")[0] for each in life.orders.sent] == ["SMA|AAPL|L"] * 4
    assert life.orders.sent[2] == "SMA|AAPL|L|20251006|2|entry"


def test_a_turn_to_short_waits_until_the_long_is_closed_also_over_a_restart() -> None:
    life = Life(SHORTS)
    life.play("AAPL", UP)
    life.settle(Leg.ENTRY)
    life.play("AAPL", [*DOWN, "7"], first=6)
    assert len(life.orders.sent) == 2
    reborn = Life(SHORTS, stored=life.store.newest)
    reborn.play("AAPL", ["7"], first=9)
    assert reborn.orders.sent == []
    reborn.settle(Leg.STOP)
    reborn.play("AAPL", ["7", "7"], first=10)
    assert reborn.orders.sent == ["SMA|AAPL|S|20251006|1|entry", "SMA|AAPL|S|20251006|1|stop!"]
    assert reborn.day.last_signals["AAPL:2:3"].pending is None


def test_a_blocked_turn_is_dropped_and_not_asked_for_at_every_bar() -> None:
    life = Life(SHORTS)
    life.play("AAPL", UP)
    life.settle(Leg.ENTRY)
    life.play("AAPL", DOWN, first=6)
    life.settle(Leg.STOP)
    life.day.session.daily_pnl = Decimal(-1000)
    life.play("AAPL", ["7", "6", "5"], first=8)
    assert life.day.session.filter_blocks == {"daily_loss": 1}
    assert len(life.orders.sent) == 2


def test_a_turn_waits_until_the_exits_of_the_closed_long_are_gone() -> None:
    life = Life(SHORTS)
    life.play("AAPL", UP)
    life.settle(Leg.ENTRY)
    life.play("AAPL", DOWN, first=6)
    (position,) = life.day.positions.values()
    position.closed_shares = position.shares
    life.play("AAPL", ["7"], first=8)
    assert (len(life.orders.sent), life.day.session.filter_blocks) == (2, {})
    life.settle(Leg.STOP)
    life.play("AAPL", ["6"], first=9)
    assert len(life.orders.sent) == 4


def test_a_turn_waits_for_the_link_to_come_back() -> None:
    life = Life(SHORTS)
    life.play("AAPL", UP)
    life.settle(Leg.ENTRY)
    life.play("AAPL", DOWN, first=6)
    life.settle(Leg.STOP)
    life.play("AAPL", ["7"], first=8, link_up=False)
    life.play("AAPL", ["6"], first=9)
    assert len(life.orders.sent) == 4


def test_a_crossover_leaves_a_position_of_the_breakouts_alone() -> None:
    life = Life(replace(SMA_RULES, strategies=(Strategy.PS60, Strategy.SMA)))
    life.play("AAPL", ["10", "9", "99", "101"])
    assert life.orders.sent[0] == "PS60|AAPL|L|20251006|1|entry"
    life.settle(Leg.ENTRY, price="101")
    life.play("AAPL", ["90", "80"], first=4)
    assert life.day.last_signals["AAPL:2:3"].signal == "SELL"
    assert life.day.positions["PS60|AAPL|L|20251006|1"].exit_requested is None


def test_only_the_chosen_strategies_are_traded() -> None:
    breaking = [*["99"] * 20, "101"]
    for strategies, sent in (((Strategy.SMA,), 0), ((Strategy.PS60,), 3)):
        life = Life(replace(PS60_RULES, strategies=strategies))
        life.play("AAPL", breaking)
        assert len(life.orders.sent) == sent
    life = Life(replace(SMA_RULES, strategies=(Strategy.PS60,)))
    life.play("AAPL", UP)
    assert (life.orders.sent, life.day.sma) == ([], {})


def test_of_two_signals_of_one_bar_in_one_symbol_the_first_is_entered() -> None:
    life = Life(replace(SMA_RULES, strategies=(Strategy.PS60, Strategy.SMA)))
    life.play("AAPL", ["99", "98", "97", "96", "98", "101"])
    assert life.orders.sent[0] == "PS60|AAPL|L|20251006|1|entry"
    assert life.day.session.filter_blocks == {"position": 1}
    assert "AAPL:2:3" not in life.day.last_signals


BOTH = replace(SMA_RULES, strategies=(Strategy.PS60, Strategy.SMA), scale_in=True, sma=SHORTS.sma)


def test_of_two_strategies_the_second_hears_a_bar_that_the_bot_died_of_in_the_first() -> None:
    life = Life(BOTH)
    life.play("TSLA", ["430", "440", "440", "444.50"])
    cross = life.day.sma["TSLA:2:3:5"]
    last = TEN + BAR * 3
    assert cross.last_bar == life.day.breakouts["TSLA"].last_bar == last
    signals = life.desk.take("TSLA", bar(4, "445.25"))
    first = next(signals)
    life.desk.consider(first, link_up=True)  # Here the bot dies.
    stored = life.store.newest
    assert stored.intents[-1].order_ref.startswith("PS60|TSLA")
    assert stored.breakouts["TSLA"].last_bar == last + BAR
    assert stored.sma["TSLA:2:3:5"].last_bar == last
    reborn = Life(BOTH, stored=stored)
    reborn.play("TSLA", ["445.25"], first=4)
    assert reborn.day.sma["TSLA:2:3:5"].last_bar == last + BAR
    assert reborn.day.breakouts["TSLA"].bars_seen == 5
    assert len(reborn.day.bars["TSLA"]) == 5
    assert reborn.orders.sent == []
    assert list(reborn.desk.take("TSLA", bar(4, "445.25"))) == []


def test_the_price_of_an_old_bar_is_not_traded_and_its_break_is_over() -> None:
    life = Life(PS60_RULES)
    life.play("TSLA", WARM)
    for number, fresh in ((20, False), (21, True)):
        for signal in life.desk.take("TSLA", bar(number, "445.25")):
            life.desk.consider(signal, link_up=True, fresh=fresh)
    assert life.day.session.filter_blocks == {"late": 1}
    assert life.orders.sent == []


def test_the_entry_of_an_older_cross_outlives_a_bar_that_came_late() -> None:
    life = Life(SMA_RULES)
    life.play("AAPL", UP)
    life.day.last_signals["AAPL:2:3"].pending = Side.LONG
    life.settle(Leg.ENTRY)
    life.settle(Leg.STOP)
    for position in life.day.positions.values():
        position.closed_shares = position.shares
    for number, fresh, sent in ((6, False, 2), (7, True, 4)):
        for signal in life.desk.take("AAPL", bar(number, "11")):
            life.desk.consider(signal, link_up=True, fresh=fresh)
        assert len(life.orders.sent) == sent


def test_a_bar_that_ended_before_the_last_fill_does_not_arm_its_level() -> None:
    """Of a bot that was away: the position was held when the bar ended, and is not held now."""
    life = Life(PS60_RULES)
    life.play("TSLA", [*WARM, "445.25"])
    life.settle(Leg.ENTRY, price="445.25")
    life.settle(Leg.STOP)
    sold = TEN + BAR * 23
    life.day.executions["0001"] = BookedExecution(
        exec_id="0001.01",
        time=sold,
        symbol="TSLA",
        side="SLD",
        shares=Decimal(100),
        price=Decimal("443.37"),
        order_id=2,
        client_id=2001,
        perm_id=2,
        order_ref="PS60|TSLA|L|20251006|1|stop",
    )
    life.play("TSLA", ["444.00"], first=21)  # It ends five seconds before the fill.
    assert not life.day.breakouts["TSLA"].armed_long
    life.play("TSLA", ["444.00"], first=22)
    assert life.day.breakouts["TSLA"].armed_long


def test_what_a_bar_before_the_open_has_armed_ends_with_the_first_bar_after_it() -> None:
    """Also where the counters were cleared before these bars were told."""
    before = datetime(2025, 10, 6, 9, 29, 50, tzinfo=NEW_YORK)
    for start, armed in ((before, False), (before + BAR, True)):
        life = Life(PS60_RULES)
        signals: list[Signal] = []
        for number, close in enumerate(("444.50", "445.25")):
            one = bar(0, close).model_copy(update={"time": start + BAR * number})
            signals += life.desk.take("TSLA", one)
        assert life.day.breakouts["TSLA"].bars_seen == 2
        # Armed by the bar that ends at the open, broken by the next one.
        assert len(signals) == int(armed)
