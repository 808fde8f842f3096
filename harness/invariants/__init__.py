"""The laws for every bot, one to a file; the order is that of headlines, worst first."""

from harness.checks import Invariant
from harness.invariants import (
    attempts_held,
    back_in_business,
    breakeven,
    checkpoint_readable,
    converges,
    daily_reset,
    exact_quantities,
    fill_once,
    halt_sticks,
    ids_unique,
    intent_before_send,
    limits_count_everything,
    limits_held,
    load_or_halt_loudly,
    no_flip,
    no_orphans,
    no_time_travel,
    one_intent_one_order,
    one_writer,
    position_agrees,
    protected,
    reconcile_first,
    recovery_bounds,
    signal_once,
    the_bot_stays,
    trade_status,
    warm_up_once,
)

ALL_INVARIANTS: tuple[Invariant, ...] = (
    no_flip.INVARIANT,
    protected.INVARIANT,
    one_intent_one_order.INVARIANT,
    signal_once.INVARIANT,
    one_writer.INVARIANT,
    attempts_held.INVARIANT,
    limits_held.INVARIANT,
    halt_sticks.INVARIANT,
    no_orphans.INVARIANT,
    breakeven.INVARIANT,
    position_agrees.INVARIANT,
    fill_once.INVARIANT,
    load_or_halt_loudly.INVARIANT,
    no_time_travel.INVARIANT,
    limits_count_everything.INVARIANT,
    daily_reset.INVARIANT,
    trade_status.INVARIANT,
    exact_quantities.INVARIANT,
    intent_before_send.INVARIANT,
    reconcile_first.INVARIANT,
    ids_unique.INVARIANT,
    checkpoint_readable.INVARIANT,
    converges.INVARIANT,
    warm_up_once.INVARIANT,
    recovery_bounds.INVARIANT,
    the_bot_stays.INVARIANT,
    back_in_business.INVARIANT,
)


def law_table() -> str:
    """The laws as a table in Markdown: name, what must hold, and what is read for it."""
    rows = [f"| {law.name} | {law.law} | {law.needs.value} |" for law in ALL_INVARIANTS]
    return "\n".join(("| name | law | needs |", "| --- | --- | --- |", *rows, ""))


__all__ = ["ALL_INVARIANTS", "law_table"]
