"""The catalogue: the closed union of all faults, and the ways to read one.

A TOML file holds `[[fault]]` tables; what is wrong in one is told with its place and its key.
"""

import tomllib
from collections.abc import Mapping
from typing import Annotated, Final, get_args

from pydantic import Field, TypeAdapter, ValidationError

from fakebroker.faults import codes, field, wire
from fakebroker.faults.base import Value, describe_when

Fault = (
    wire.Drop
    | wire.DelayMessage
    | wire.Duplicate
    | wire.Reorder
    | wire.CutAtMessage
    | wire.CutConnections
    | wire.HalfFrame
    | wire.Silence
    | wire.RefuseConnections
    | wire.Reject
    | wire.Notice
    | wire.ExpireOrders
    | wire.RejectOrders
    | wire.Renumber
    | wire.ConnectivityLost
    | field.OrderLostInFlight
    | field.FillsLostInWindow
    | field.UnmanageableOrder
    | field.PartialFillThenCut
    | field.ForeignOrdersWithoutId
    | field.StaleNextId
    | field.ClientIdStuck
    | field.SilentNoAck
    | field.MisleadingStatus
    | field.DuplicateOrder
    | field.PositionsLag
    | field.CommissionLate
    | field.GatewayRestart
    | field.FarmFlap
    | field.CompetingSession
    | field.Pacing
    | field.CorrectExecution
    | field.BustExecution
    | field.RollBackIds
    | field.CompletedWithoutFills
    | field.HalfAlive
    | field.TimesUnknown
    | codes.NoMarketData
    | codes.BarsPacing
    | codes.LiveUpdatesBroken
    | codes.BustEvent
    | codes.PortReset
    | codes.AccountUpdatesTaken
    | codes.CancelRefused
    | codes.ModifyTooEarly
)
AnyFault = Annotated[Fault, Field(discriminator="name")]

KINDS: Final[Mapping[str, type[Fault]]] = {
    kind.model_fields["name"].default: kind for kind in get_args(Fault)
}
"""Each kind of fault by its name."""

PARSER: Final[TypeAdapter[Fault]] = TypeAdapter(AnyFault)


class FaultFileError(Exception):
    """A file of faults is wrong; the message says where and what."""


class _File(Value):
    fault: tuple[AnyFault, ...] = ()


def parse_faults(text: str, *, name: str) -> tuple[Fault, ...]:
    """Return the faults of a TOML text; `name` is what its errors call it.

    Raises:
        FaultFileError: It is not TOML, or a fault in it is wrong.
    """
    try:
        return _File.model_validate(tomllib.loads(text)).fault
    except tomllib.TOMLDecodeError as error:
        raise FaultFileError(f"{name} is not TOML: {error}") from error
    except ValidationError as error:
        item = error.errors(include_url=False, include_context=False)[0]
        raise FaultFileError(f"{name}: {_place(item['loc'])}: {item['msg']}") from error


def _place(steps: tuple[int | str, ...]) -> str:
    """Return where an error is: which fault by its number from 1 and name, and which key."""
    match steps:
        case ("fault", int(number), str(kind), *rest):
            return ".".join([f"fault {number + 1} ({kind})", *(str(step) for step in rest)])
        case ("fault", int(number)):
            return f"fault {number + 1}, key name"
        case _:
            return f"key {'.'.join(str(step) for step in steps)}"


def parameters(fault: Fault) -> dict[str, str | int | bool | None]:
    """Return what a journal says of a fault, `when` as a phrase."""
    record = fault.model_dump(mode="json", exclude={"name", "when"})
    return {"when": describe_when(fault.when), **record}
