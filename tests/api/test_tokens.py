"""API tokens: random, recognisable, and refused without a query when they are mistyped or guessed."""

import hashlib
import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.tokens import ALPHABET, MAX_TOKEN_LENGTH, hash_token, is_token, make_token


def test_a_new_token_has_the_documented_form() -> None:
    token = make_token("api")
    assert re.fullmatch(r"treue_api_[0-9A-Za-z]{49}", token.text)
    assert is_token(token.text)
    assert token.sha256 == hashlib.sha256(token.text.encode()).hexdigest() == hash_token(token.text)
    assert token.shown == token.text[:14] + "…"


def test_tokens_do_not_repeat() -> None:
    assert len({make_token("api").text for _ in range(200)}) == 200


def test_a_token_written_down_stays_valid() -> None:
    """Callers have stored tokens, so their format must not change."""
    assert is_token("treue_api_" + "0" * 43 + "4Pt2Hm")


@pytest.mark.parametrize("kind", ["", "A", "API", "a_b", "1a", "a" * 17, "ä", "a b", "a\n"])
def test_refuses_a_kind_that_is_no_short_word(kind: str) -> None:
    with pytest.raises(ValueError, match="kind of token"):
        make_token(kind)


@given(position=st.integers(min_value=0, max_value=58), character=st.sampled_from(ALPHABET))
def test_every_single_mistyped_character_is_noticed(position: int, character: str) -> None:
    text = make_token("api").text
    changed = text[:position] + character + text[position + 1 :]
    assert is_token(changed) == (changed == text)


@given(st.text(max_size=120))
def test_rubbish_is_no_token(text: str) -> None:
    assert not is_token(text)
    assert not is_token(f"treue_{text}")


CHANGES: list[Callable[[str], str]] = [
    str.upper,
    str.lower,
    lambda text: text + "\n",
    lambda text: " " + text,
    lambda text: text[:-1],
    lambda text: text + "0",
    lambda text: text * 1_000,
]


@pytest.mark.parametrize("change", CHANGES, ids=range(len(CHANGES)))
def test_anything_but_the_exact_text_is_no_token(change: Callable[[str], str]) -> None:
    text = make_token("api").text
    assert not is_token(change(text))


def test_the_longest_token_fits() -> None:
    assert len(make_token("a" * 16).text) == MAX_TOKEN_LENGTH
    assert is_token(make_token("a" * 16).text)
