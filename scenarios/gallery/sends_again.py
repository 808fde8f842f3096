"""A trader that sends again, after a restart, what was never acknowledged.

"No acknowledgement, so it did not arrive": the intents are durable, and whatever is not confirmed
in them goes out once more, without a word with the broker. Killed after the broker has taken the
order and before it has said so, it buys twice. (O03 in the catalogue of recovery bugs.)
"""

from target_trader.__main__ import main
from target_trader.names import Leg
from target_trader.recovery import Recovery
from target_trader.state.checkpoint import Intent
from target_trader.trader import Trader


class SendsAgain(Recovery):
    """A recovery that knows the order book from its own file."""

    def open_books(self) -> None:
        """Take the state into force and look for what was not acknowledged."""
        first = not self.opened
        super().open_books()
        if first:
            self.unacknowledged = [each for each in self.books.checkpoint.intents if each.unseen]

    def go_on(self) -> None:
        """Send it again, the entry first."""
        waiting, self.unacknowledged = self.unacknowledged, []
        ids: dict[int, int] = {}
        for intent in waiting:
            ids[intent.order_id] = self.orders.next_order_id()
            self.send_again(intent, ids, last=intent is waiting[-1])
        super().go_on()

    def send_again(self, intent: Intent, ids: dict[int, int], *, last: bool) -> None:
        """Send one order under a new id; children follow their parent's."""
        parent = 0 if intent.leg is Leg.ENTRY else ids.get(intent.parent_id, 0)
        again = {"order_id": ids[intent.order_id], "parent_id": parent}
        intent = intent.model_copy(update=again)
        self.books.checkpoint.intents.append(intent)
        self.books.save()
        self.orders.send(intent, transmit=last)


class Bot(Trader):
    """The reference bot with that recovery."""

    recovery_type = SendsAgain


if __name__ == "__main__":
    main(trader_class=Bot)
