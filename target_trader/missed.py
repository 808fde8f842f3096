"""The bars that a bot has missed while it was dead or not connected.

A kill costs the bars since the last save, and the one that was being worked on; a lost connection
costs those of its time. The broker still has them. They are taken in the order of time through the
same step as live ones, so that memories, candles and warm-up are those of a bot that has heard them
all. What a bar is remembered by decides what is asked for: nothing is taken twice.

Live bars are asked for before those of the past and wait for them, so that none falls between.
"""

import asyncio
import logging
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from target_trader.books import Books
from target_trader.errors import NotConnectedError
from target_trader.gateway import Gateway
from target_trader.library import Contract
from target_trader.log import tell
from target_trader.settings import Rules, Strategy
from target_trader.state.checkpoint import BarRecord, Checkpoint
from target_trader.strategy import sma
from target_trader.strategy.signal import BAR

HeardBar = tuple[str, BarRecord]

# IBKR tells bars of five seconds for an hour at a time; a whole minute is a usual question.
SPAN_LEAST, SPAN_MOST = timedelta(minutes=1), timedelta(hours=1)


class MissedBars:
    """Asks the broker for the bars that the memories of the watched symbols lack.

    Args:
        gateway: the connection.
        books: the memories, and the clock.
        rules: how long a gap may be, and which strategies have memories.
    """

    def __init__(self, gateway: Gateway, books: Books, *, rules: Rules) -> None:
        self.gateway = gateway
        self.books = books
        self.rules = rules

    async def ask(self, contracts: Mapping[str, Contract]) -> list[HeardBar]:
        """Return the missed bars in the order of time; none is no reason to stop.

        Args:
            contracts: the contract of each symbol that may be asked for.

        Raises:
            NotConnectedError: the connection is gone, and with it the live bars.
        """
        gaps = self.gaps(sorted(contracts))
        if not gaps:
            return []
        asked = self.gateway.ask_time()
        questions = (self.bars_since(contracts[name], gaps[name]) for name in gaps)
        answers = await asyncio.gather(*questions)
        self.take_time(asked)
        if not self.gateway.connected:
            raise NotConnectedError("the connection was lost while missed bars were asked for")
        found: list[HeardBar] = []
        for symbol, bars in zip(gaps, answers, strict=True):
            found += [(symbol, bar) for bar in self.whole(symbol, bars, since=gaps[symbol])]
        return sorted(found, key=lambda each: each[1].time)

    def gaps(self, symbols: Iterable[str]) -> dict[str, datetime]:
        """Return from when on the bars of each symbol are not known, where that can be mended.

        After a longer gap the warm-up begins again anyhow.
        """
        now = self.books.clock.now()
        known = {
            each: heard_until(self.books.checkpoint, each, rules=self.rules) for each in symbols
        }
        return {
            symbol: since
            for symbol, since in known.items()
            if since is not None and timedelta(0) <= now - since <= self.rules.warmup_gap
        }

    async def bars_since(self, contract: Contract, since: datetime) -> list[BarRecord]:
        """Ask for the bars of one symbol; none when the broker does not answer."""
        late = self.books.clock.now() - since
        # Rounded up, with time for the way there: what is known already is passed over.
        minutes = -(-late // SPAN_LEAST) + 1
        span = min(minutes * SPAN_LEAST, SPAN_MOST)
        try:
            return await self.gateway.past_bars(contract, span)
        except NotConnectedError:
            return []

    def take_time(self, asked: "asyncio.Future[datetime]") -> None:
        """Move the clock to the time that the broker has told before the bars, if it has."""
        if asked.done() and not asked.cancelled() and asked.exception() is None:
            self.books.clock.advance(asked.result())
        asked.cancel()

    def whole(self, symbol: str, bars: list[BarRecord], *, since: datetime) -> list[BarRecord]:
        """Return the bars that are wanted and have ended; say what was found of a gap.

        The broker also tells the bar that is being made. That one comes live, and whole.
        """
        now = self.books.clock.now()
        found = [bar for bar in bars if since <= bar.time and bar.time + BAR <= now]
        if found:
            first, last = found[0].time, found[-1].time
            words = f"{symbol}: {len(found)} missed bars taken, {first:%H:%M:%S} to {last:%H:%M:%S}"
            tell("bars_missed", words, symbol=symbol, bars=len(found), since=since)
        elif now - since >= BAR:
            words = f"{symbol}: IBKR does not tell the bars since {since:%H:%M:%S}: on without them"
            tell("bars_not_told", words, level=logging.WARNING, symbol=symbol, since=since)
        return found


def heard_until(checkpoint: Checkpoint, symbol: str, *, rules: Rules) -> datetime | None:
    """Return until when all memories of a symbol have heard its bars; None for one without.

    A symbol that the day began with and that has no bar yet is watched since then. One that was
    added later has missed nothing: it warms up like any at a first start.
    """
    memory = checkpoint.breakouts.get(symbol)
    heard = [memory.last_bar] if memory is not None and memory.last_bar is not None else []
    if Strategy.SMA in rules.strategies:
        averages = sma.memories(checkpoint, symbol, rules=rules.sma)
        heard += [each.last_bar for each in averages if each.last_bar is not None]
    if heard:
        return min(heard) + BAR
    began = checkpoint.session.start_time
    watched = any(each.symbol == symbol for each in checkpoint.session.watchlist)
    return began if watched else None
