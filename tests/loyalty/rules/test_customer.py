from typing import Any

import pytest

from loyalty.rules.customer import CustomerProfile, validate_profile


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
    later = profile(full_name="Zoë M.", marketing_consent=False)
    assert later.over(earlier) == profile(full_name="Zoë M.", email="zoe@example.org", marketing_consent=False)
    assert later.over(None) == later
