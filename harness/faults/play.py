"""A storage fault as a step of a run: carried out between two lives, and written down."""

from collections.abc import Callable

from harness.faults.apply import apply_storage_fault
from harness.faults.memory import Applied, Memory
from harness.faults.storage import StorageFault


def play_storage_fault(
    fault: StorageFault, memory: Memory, *, life: int, note: Callable[..., None]
) -> bool:
    """Carry a fault out and note it, or that it could not happen; `storage.py` has the events.

    Args:
        fault: what is to happen.
        memory: where the dead bot's memory lies.
        life: the number of the life that has ended.
        note: writes an event of the harness: its kind, the time, and its fields.

    Returns:
        whether the bot cannot save anything in its next life: it is to be started through
        `humble_command` then, and the folder made writable again when it has ended.

    Raises:
        HarnessError: the fault cannot be carried out on this machine.
    """
    outcome = apply_storage_fault(fault, memory)
    told = {"life": life, "fault": fault.slug, "words": fault.describe()}
    if not isinstance(outcome, Applied):
        note("skipped", memory.now, **told, reason=outcome.reason)
        return False
    what = {"role": outcome.role, "name": outcome.name, "done": outcome.done}
    note("storage", memory.now, **told, **what, blocks=outcome.blocks)
    return outcome.blocks
