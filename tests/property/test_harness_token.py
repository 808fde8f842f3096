"""Tokens: whatever a case is called, its token reads back and needs no quoting in a shell."""

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import UserError
from harness.token import Token

SLUGS = st.from_regex(r"[a-z0-9]+(-[a-z0-9]+)*", fullmatch=True)
TOKENS = st.builds(
    Token,
    scenario=SLUGS,
    store=st.from_regex(r"[a-z0-9_-]+", fullmatch=True),
    seed=st.integers(min_value=0, max_value=2**63),
    digest=st.from_regex(r"[0-9a-f]{6}", fullmatch=True),
)


@given(TOKENS)
def test_a_token_reads_back_as_what_it_was(token: Token) -> None:
    assert Token.parse(str(token)) == token


@given(TOKENS)
def test_a_token_needs_no_quotes_in_a_shell(token: Token) -> None:
    assert shlex.quote(str(token)) == str(token)


@given(st.text().filter(lambda text: "@" not in text))
def test_text_without_a_hash_is_a_users_error_that_shows_it(text: str) -> None:
    with pytest.raises(UserError) as refusal:
        Token.parse(text)
    assert repr(text) in str(refusal.value)
