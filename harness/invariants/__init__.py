"""The laws for every bot, one to a file; the order is that of headlines, worst first."""

from harness.checks import Invariant
from harness.invariants import (
    attempts_held,
    back_in_business,
    fill_once,
    ids_unique,
    intent_before_send,
    no_flip,
    no_orphans,
    one_intent_one_order,
    position_agrees,
    protected,
    reconcile_first,
    the_bot_stays,
)

ALL_INVARIANTS: tuple[Invariant, ...] = (
    no_flip.INVARIANT,
    protected.INVARIANT,
    one_intent_one_order.INVARIANT,
    attempts_held.INVARIANT,
    no_orphans.INVARIANT,
    position_agrees.INVARIANT,
    fill_once.INVARIANT,
    intent_before_send.INVARIANT,
    reconcile_first.INVARIANT,
    ids_unique.INVARIANT,
    the_bot_stays.INVARIANT,
    back_in_business.INVARIANT,
)

__all__ = ["ALL_INVARIANTS"]
