from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from loyalty.rules.customer import CustomerProfile, gather_profiles, tidy_profile, validate_profile
from loyalty.rules.warning import WarningCode

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)


def profile(**fields: Any) -> CustomerProfile:
    return CustomerProfile(**{"external_id": "customer-1", **fields})


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"full_name": "Zoë Müller-Lüdenscheidt", "email": "zoe@example.org", "avatar_url": "https://example.org/z.png"},
        {"locale": "de-AT", "category": "vip", "marketing_consent": True},
        {"full_name": "x" * 200, "email": f"{'x' * 242}@example.org"},
    ],
)
def test_takes_profiles(fields: dict[str, Any]) -> None:
    """BK-41: everything but the external id may be left out."""
    assert validate_profile(profile(**fields)) == []


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"external_id": ""}, "external_id"),
        ({"full_name": " "}, "full_name"),
        ({"full_name": "x" * 201}, "full_name"),
        ({"email": "nobody"}, "email"),
        ({"email": "@example.org"}, "email"),
        ({"email": "zoe@"}, "email"),
        ({"email": "zoe @example.org"}, "email"),
        ({"email": f"{'x' * 243}@example.org"}, "email"),
        ({"avatar_url": "javascript:alert(1)"}, "avatar_url"),
        ({"locale": "de_AT"}, "locale"),
        ({"category": "a\nb"}, "category"),
    ],
)
def test_refuses_profiles_that_cannot_be(fields: dict[str, Any], path: str) -> None:
    assert [problem.path for problem in validate_profile(profile(**fields))] == [(path,)]


def test_a_later_profile_keeps_what_it_does_not_mention() -> None:
    earlier = profile(full_name="Zoë", email="zoe@example.org", marketing_consent=True)
    later = profile(full_name="Zoë M.", marketing_consent=False, cleared=frozenset({"email"}))
    known = gather_profiles([earlier, later], NOON)["customer-1"]
    assert known.values | {"consent_source": None} == {
        "full_name": "Zoë M.",
        "email": None,
        "marketing_consent": False,
        "consent_source": None,
    }


def test_an_older_fact_never_overwrites_a_newer_one() -> None:
    """Field by field, whatever the order in which they are told; a time to come counts as now."""
    new = profile(full_name="Zoë M.", as_of=NOON - timedelta(days=1))
    old = profile(full_name="Zoë", email="zoe@example.org", as_of=NOON - timedelta(days=2))
    for told in ([new, old], [old, new]):
        known = gather_profiles(told, NOON)["customer-1"]
        assert known.values == {"full_name": "Zoë M.", "email": "zoe@example.org"}
        assert known.times == {"full_name": NOON - timedelta(days=1), "email": NOON - timedelta(days=2)}
    ahead = gather_profiles([profile(full_name="Zoë", as_of=NOON + timedelta(minutes=5))], NOON)
    assert ahead["customer-1"].times == {"full_name": NOON}


@pytest.mark.parametrize(
    ("fields", "kept"),
    [
        ({"email": " zoe@example.org "}, {"email": "zoe@example.org"}),
        ({"full_name": "Zoe\u0308"}, {"full_name": "Zoë"}),
        ({"external_id": "\tcustomer-1 "}, {}),
        ({"locale": "de_AT"}, {"locale": "de-AT"}),
        ({"locale": "sr_RS.UTF-8@latin"}, {"locale": "sr-RS"}),
        ({"locale": " de "}, {"locale": "de"}),
        ({"phone": "+49 (170) 123-45.67"}, {"phone": "+491701234567"}),
        ({"phone": "0049 170/1234567"}, {"phone": "+491701234567"}),
        ({"phone": "+49 (0)170 1234567"}, {"phone": "+491701234567"}),
        ({"phone": "0049(0)170/1234567"}, {"phone": "+491701234567"}),
        ({"phone": "(0)170 1234567"}, {"phone": "01701234567"}),
        ({"email": "Anna.Groß@Example.ORG"}, {"email": "anna.groß@example.org"}),
        ({"locale": "DE-at"}, {"locale": "de-AT"}),
        ({"locale": "sr_latn_rs"}, {"locale": "sr-Latn-RS"}),
    ],
)
def test_corrects_what_only_looks_different(fields: dict[str, Any], kept: dict[str, Any]) -> None:
    tidy, warnings = tidy_profile(profile(**fields))
    assert tidy == profile(**kept)
    assert [(warning.code, warning.path) for warning in warnings] == [(WarningCode.CORRECTED, (next(iter(fields)),))]


@pytest.mark.parametrize(
    "fields",
    [
        {"email": "k.A."},
        {"email": ""},
        {"full_name": " "},
        {"full_name": "x" * 201},
        {"full_name": "a\0b"},
        {"avatar_url": "ftp://example.org/z.png"},
        {"locale": "C"},
        {"phone": "12"},
        {"phone": "on request"},
        {"phone": "+49 170 +1"},
        {"locale": "_"},
        {"category": " "},
        {"category": "\ud800"},
    ],
)
def test_leaves_out_what_describes_nobody(fields: dict[str, Any]) -> None:
    tidy, warnings = tidy_profile(
        profile(full_name="Zoë", **fields) if "full_name" not in fields else profile(**fields)
    )
    assert validate_profile(tidy) == []
    assert [(warning.code, warning.path) for warning in warnings] == [(WarningCode.LEFT_OUT, (next(iter(fields)),))]


def test_an_invalid_id_is_refused_and_is_no_warning() -> None:
    """Without it nobody knows whose facts these are, so it is for the caller to mend."""
    tidy, warnings = tidy_profile(profile(external_id=""))
    assert [problem.path for problem in validate_profile(tidy)] == [("external_id",)]
    assert warnings == []
