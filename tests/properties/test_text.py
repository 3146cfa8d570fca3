from hypothesis import given
from hypothesis import strategies as st

from loyalty.rules.text import check_external_id, check_text
from loyalty.rules.zones import is_locale, locale_matches

ANY_TEXT = st.text(st.characters(), max_size=20) | st.text(st.characters(categories=["Cs", "Cc"]), max_size=5)


@given(ANY_TEXT)
def test_an_accepted_text_can_be_stored(value: str) -> None:
    """What passes can be written as UTF-8 and holds no NUL, so that no write fails in the middle."""
    if check_text(value, ("name",), 10) is None:
        assert 1 <= len(value) <= 10
        assert value.strip()
        assert value.encode().decode() == value
        assert "\0" not in value


@given(ANY_TEXT)
def test_external_ids_are_text_on_one_line(value: str) -> None:
    if check_external_id(value, ("external_id",)) is None:
        assert check_text(value, ("external_id",), 255) is None
        assert not any(ord(character) < 32 for character in value)


@given(st.from_regex(r"[a-z]{2}(-[A-Z][a-z]{3})?(-[A-Z]{2})?", fullmatch=True))
def test_a_locale_matches_itself_and_everything_above_it(locale: str) -> None:
    """BK-102."""
    assert is_locale(locale)
    parts = locale.split("-")
    assert all(locale_matches("-".join(parts[:length]), locale) for length in range(1, len(parts) + 1))
    assert not locale_matches(f"{locale}-1996", locale)
