"""A trader that takes the correction of a fill for another fill.

It knows fills by their execId, and a correction has an id of its own: only the part after the last
period differs. The fill is booked twice, once as it was and once as it is. (F04 in the catalogue of
recovery bugs.)
"""

from dataclasses import replace

from target_trader.__main__ import main
from target_trader.events import BrokerEvents
from target_trader.names import exec_revision
from target_trader.picture import BrokerExecution, Picture
from target_trader.reconcile import Reconciled
from target_trader.recovery import Recovery
from target_trader.trader import Trader


def by_whole_id(execution: BrokerExecution) -> BrokerExecution:
    """Give a correction a name that shares no stem with what it corrects."""
    if exec_revision(execution.exec_id) < 2:
        return execution
    return replace(execution, exec_id=f"{execution.exec_id}.01")


class Events(BrokerEvents):
    """The broker's messages with such names."""

    def book_fill(self, execution: BrokerExecution) -> bool:
        """Book a live fill under its whole id."""
        return super().book_fill(by_whole_id(execution))


class AsksByWholeId(Recovery):
    """A recovery with such names."""

    def compare(self, picture: Picture) -> Reconciled:
        """Book what was missed under its whole id."""
        fills = tuple(by_whole_id(each) for each in picture.executions)
        return super().compare(replace(picture, executions=fills))


class Bot(Trader):
    """The reference bot with these parts."""

    events_type = Events
    recovery_type = AsksByWholeId


if __name__ == "__main__":
    main(trader_class=Bot)
