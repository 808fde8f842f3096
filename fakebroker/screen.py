"""Keeps the picture of `view` on a terminal while the event loop turns.

It looks at the broker twice a second, as the control socket would. It is for a person: nothing
waits for it, and whoever makes one has found a terminal.
"""

import asyncio
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live

from fakebroker.control_messages import Books, BooksRequest, Status, StatusRequest
from fakebroker.server import Gateway
from fakebroker.view import ROWS, render

LOOK_SECONDS = 0.5
# Lines of the picture that are no orders and no fills: heads, frames, sessions, positions.
OTHER_LINES = 26
FEWEST_ROWS = 3


class Screen:
    """A context in which a running gateway is shown on a console."""

    def __init__(self, gateway: Gateway, console: Console) -> None:
        self._gateway = gateway
        self._live = Live(console=console, auto_refresh=False, vertical_overflow="crop")
        self._rows = max(FEWEST_ROWS, min(ROWS, (console.height - OTHER_LINES) // 2))
        self._alarm: asyncio.TimerHandle | None = None

    def __enter__(self) -> Self:
        self._live.start()
        self._look()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._draw()
        self._live.stop()

    def _look(self) -> None:
        self._draw()
        self._alarm = asyncio.get_running_loop().call_later(LOOK_SECONDS, self._look)

    def _draw(self) -> None:
        status = self._gateway.serve(StatusRequest())
        assert isinstance(status, Status)
        books = self._gateway.serve(BooksRequest())
        assert isinstance(books, Books)
        self._live.update(render(status, books, rows=self._rows), refresh=True)
