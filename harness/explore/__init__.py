"""How cases are chosen: what a run teaches, plans, seeds, swarms, and how a failure shrinks."""
