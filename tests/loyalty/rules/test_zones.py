import pytest

from loyalty.rules.errors import InvalidInput
from loyalty.rules.zones import find_time_zone, is_locale, is_time_zone, language_of, locale_matches, spell_locale


@pytest.mark.parametrize("name", ["Europe/Berlin", "America/New_York", "UTC", "Asia/Kathmandu", "Etc/GMT+12"])
def test_knows_time_zones(name: str) -> None:
    assert is_time_zone(name)
    assert find_time_zone(name).key == name


@pytest.mark.parametrize(
    "name",
    ["", "europe/berlin", "Berlin", "Mars/Base", "localtime", "posixrules", "Factory", "../etc/passwd", "/etc/passwd",
     "Europe", "Europe/Berlin\0", "+01:00", "right/UTC"],
)  # fmt: skip
def test_refuses_what_is_no_time_zone(name: str) -> None:
    assert not is_time_zone(name)
    with pytest.raises(InvalidInput) as refusal:
        find_time_zone(name)
    assert refusal.value.path == ("time_zone",)


@pytest.mark.parametrize(
    "tag",
    ["de", "de-AT", "de-CH-1996", "zh-Hant-TW", "es-419", "sr-Latn", "gsw", "DE-at", "zh-cmn-Hans-CN", "sl-rozaj"],
)
def test_takes_locales(tag: str) -> None:
    """BCP 47."""
    assert is_locale(tag)


@pytest.mark.parametrize(
    "tag", ["", "d", "de_AT", "de-", "-de", "de--AT", "x-private", "de-AT\n", "dé", "de-ÄT", "de-AT-DE", "1a", "a" * 36]
)
def test_refuses_what_is_no_locale(tag: str) -> None:
    assert not is_locale(tag)


@pytest.mark.parametrize(
    ("wanted", "locale", "matches"),
    [
        ("de", "de", True),
        ("de", "de-AT", True),
        ("DE", "de-at", True),
        ("de-AT", "de-AT", True),
        ("de-AT", "de", False),
        ("de-AT", "de-DE", False),
        ("de", "den", False),
        ("de", "en-DE", False),
    ],
)
def test_a_language_takes_its_regions(wanted: str, locale: str, matches: bool) -> None:  # noqa: FBT001
    """BK-102: a filter for de takes de-AT, but no other language."""
    assert locale_matches(wanted, locale) is matches


@pytest.mark.parametrize(
    ("tag", "spelled"),
    [
        ("DE", "de"),
        ("de-at", "de-AT"),
        ("SR-LATN-rs", "sr-Latn-RS"),
        ("ES-419", "es-419"),
        ("de-ch-1996", "de-CH-1996"),
        ("SL-ROZAJ", "sl-rozaj"),
        ("zh-CMN-hans-cn", "zh-cmn-Hans-CN"),
    ],
)
def test_a_locale_has_one_spelling(tag: str, spelled: str) -> None:
    """RFC 5646, section 2.1.1."""
    assert spell_locale(tag) == spell_locale(spelled) == spelled


def test_finds_the_language_of_a_locale() -> None:
    assert language_of("de-AT") == "de"
    assert language_of("EN") == "en"
