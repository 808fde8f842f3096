"""How hard hypothesis tries: `pytest --hypothesis-profile=deep` for the long run."""

import gc
from collections.abc import Generator

import pytest
from hypothesis import settings

DEEP = "deep"
USUAL = "usual"
DEEP_EXAMPLES = 400
"""Of up to 50 steps each: more than 10,000 in all."""
USUAL_EXAMPLES = 15

settings.register_profile(DEEP, max_examples=DEEP_EXAMPLES, deadline=None)
# A busy machine is no counter-example, and a run that cannot be repeated is no proof.
settings.register_profile(USUAL, deadline=None, derandomize=True)
settings.load_profile(USUAL)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect without the garbage collector.

    Pytest parses each test file. A finalizer that the collector runs in the middle of that makes
    CPython 3.11.7 say "AST constructor recursion depth mismatch" (its issue 106905).
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
