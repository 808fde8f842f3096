"""A trader for which a cancel that fails is a failure.

The order that it cancels after a restart may never have reached the broker, or may be gone: the
broker says 10147, and the bot ends with an exception. Started again, it cancels it again. (R14 in
the catalogue of recovery bugs.)
"""

from target_trader.__main__ import main
from target_trader.events import BrokerEvents
from target_trader.library import Contract
from target_trader.trader import Trader

CANCEL_FAILED = frozenset({161, 10147, 10148})


class CancelError(Exception):
    """An order could not be cancelled."""


class Strict(BrokerEvents):
    """The broker's messages, taken strictly."""

    def on_error(self, req_id: int, code: int, text: str, contract: Contract | None) -> None:
        """Take an error; of a cancel it is one."""
        if code in CANCEL_FAILED:
            raise CancelError(f"order {req_id}: {code} {text}")
        super().on_error(req_id, code, text, contract)


class Bot(Trader):
    """The reference bot with these events."""

    events_type = Strict


if __name__ == "__main__":
    main(trader_class=Bot)
