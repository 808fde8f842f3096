"""What every act of a downtime has in common."""

from typing import Any

from pydantic import SerializerFunctionWrapHandler, model_serializer

from harness.values import Value

LATER_FIELDS: dict[str, Any] = {"optional": False, "part": None, "by_hand": False}
"""Fields that are not written while they stand at their default: older tokens stay valid."""


class Deed(Value):
    """One thing that is done while the bot is dead.

    Attributes:
        optional: when it does not fit (no such order, nothing held), it is skipped and the history
            says so. By default such a run proves nothing.
    """

    optional: bool = False

    @model_serializer(mode="wrap")
    def _without_defaults(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        record: dict[str, Any] = write(self)
        return {
            name: value
            for name, value in record.items()
            if name not in LATER_FIELDS or value != LATER_FIELDS[name]
        }
