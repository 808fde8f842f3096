"""The faults of the field that matter to a crash, by slug, and when each is armed.

`before`: with the broker, so that it meets the bot that is killed and the one that comes after.
`during`: while the bot is dead, at once. `after`: while it is dead, too, but waiting for a message
of the restarted bot. Those that last end in exchange time, which moves on while a bot waits.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from fakebroker.faults import Fault
from fakebroker.faults.base import AtMessage
from fakebroker.faults.field import (
    ClientIdStuck,
    CommissionLate,
    CompletedWithoutFills,
    ForeignOrdersWithoutId,
    HalfAlive,
    MisleadingStatus,
    OrderLostInFlight,
    Pacing,
    PositionsLag,
    SilentNoAck,
    StaleNextId,
    TimesUnknown,
    UnmanageableOrder,
)
from fakebroker.faults.wire import (
    ConnectivityLost,
    CutAtMessage,
    DelayMessage,
    Duplicate,
    HalfFrame,
    Reject,
)
from harness.downtime import Downtime
from harness.downtime.time_acts import BrokerFault
from harness.errors import UserError

Phase = Literal["before", "during", "after"]
WHILE = timedelta(seconds=10)
"""Two bars of five seconds."""


@dataclass(frozen=True, slots=True)
class BrokerTrouble:
    """One fault of the catalogue.

    Attributes:
        title: what goes wrong, in half a line.
        phase: when it is armed.
        fault: what the fake broker is told.
    """

    title: str
    phase: Phase
    fault: Fault

    @property
    def downtime(self) -> Downtime:
        """A downtime that arms it; for a fault of the phase "before" that is too late."""
        return Downtime(acts=(BrokerFault(fault=self.fault),))


FAULTS: Mapping[str, BrokerTrouble] = {
    "statuses-twice": BrokerTrouble(
        "every orderStatus comes twice",
        "before",
        Duplicate(message="orderStatus", times=None),
    ),
    "orders-twice": BrokerTrouble(
        "every openOrder comes twice", "before", Duplicate(message="openOrder", times=None)
    ),
    "executions-late": BrokerTrouble(
        "the first execution is told 10 s late",
        "before",
        DelayMessage(message="execDetails", seconds=WHILE),
    ),
    "positions-slow": BrokerTrouble(
        "positions lag by half a minute", "before", PositionsLag(lag=timedelta(seconds=30))
    ),
    "commissions-late": BrokerTrouble("commissions come 10 s late", "before", CommissionLate()),
    "no-ack": BrokerTrouble(
        "the first order is taken and never acknowledged", "before", SilentNoAck(processed=True)
    ),
    "status-lies": BrokerTrouble(
        "a live order gets error 10349, which clients take for its end",
        "before",
        MisleadingStatus(),
    ),
    "client-id-stuck": BrokerTrouble(
        "the dead client's id stays taken for 10 s: 326", "before", ClientIdStuck(seconds=WHILE)
    ),
    "link-lost-1102": BrokerTrouble(
        "the gateway has lost IB at the restart; 1102 comes 10 s later",
        "during",
        ConnectivityLost(seconds=WHILE, restored=1102),
    ),
    "link-lost-1101": BrokerTrouble(
        "the gateway has lost IB at the restart; 1101 comes 10 s later, data is lost",
        "during",
        ConnectivityLost(seconds=WHILE, restored=1101),
    ),
    "half-alive": BrokerTrouble(
        "the gateway takes the login and answers nothing for 10 s",
        "during",
        HalfAlive(seconds=WHILE),
    ),
    "orders-unmanageable": BrokerTrouble(
        "orders of the earlier session cannot be touched: 10147",
        "during",
        UnmanageableOrder(seconds=timedelta(seconds=30)),
    ),
    "times-unknown": BrokerTrouble(
        "recovered orders and fills carry the time of asking", "during", TimesUnknown()
    ),
    "completed-without-fills": BrokerTrouble(
        "completed orders and executions tell of no fill",
        "during",
        CompletedWithoutFills(),
    ),
    "foreign-orders": BrokerTrouble(
        "orders of other clients have the order id 0", "during", ForeignOrdersWithoutId()
    ),
    "cut-in-recovery": BrokerTrouble(
        # Nothing else is under way then: how much of that the broker has read is a race.
        "the connection breaks before the executions are told to the end",
        "after",
        CutAtMessage(message="execDetailsEnd"),
    ),
    "half-frame": BrokerTrouble(
        "the connection breaks inside the first execution that is told",
        "after",
        HalfFrame(message="execDetails"),
    ),
    "executions-twice": BrokerTrouble(
        "every execution is told twice to the restarted bot",
        "after",
        Duplicate(message="execDetails", times=None),
    ),
    "order-lost": BrokerTrouble(
        "the first order after the restart is lost with its connection",
        "after",
        OrderLostInFlight(),
    ),
    "order-rejected": BrokerTrouble(
        "the first order after the restart is rejected", "after", Reject()
    ),
    "id-jumps-back": BrokerTrouble("nextValidId tells an id that was used", "after", StaleNextId()),
    "pacing": BrokerTrouble(
        "ten messages a second are too many for 10 s",
        "after",
        Pacing(when=AtMessage(message="startApi"), messages_per_second_max=10, seconds=WHILE),
    ),
}


def trouble_of(slug: str) -> BrokerTrouble:
    """The broker fault of a slug.

    Raises:
        UserError: there is no such slug.
    """
    if slug not in FAULTS:
        raise UserError(f"there is no broker fault {slug!r}; there are {', '.join(FAULTS)}")
    return FAULTS[slug]
