"""The profile history: the fields whose changes are kept, and how two profiles are compared."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from loyalty.rules.described_enum import DescribedEnum


class ProfileField(DescribedEnum):
    """A field of a customer whose changes are kept. Consents have a history of their own. More fields may come."""

    FULL_NAME = "FULL_NAME", "The name."
    EMAIL = "EMAIL", "The e-mail address."
    PHONE = "PHONE", "The telephone number."
    AVATAR_URL = "AVATAR_URL", "The picture."
    LOCALE = "LOCALE", "The language."
    BIRTHDAY = "BIRTHDAY", "The birthday."
    IDENTIFIERS = "IDENTIFIERS", "Card numbers and the like."
    CATEGORY = "CATEGORY", "The tenant's own category; for the team only."
    TAGS = "TAGS", "The team's own marks; for the team only."

    @property
    def attribute(self) -> str:
        """The name of the field in a profile."""
        return self.value.lower()


INTERNAL_FIELDS = frozenset({ProfileField.CATEGORY, ProfileField.TAGS})
"""The fields that customers cannot read about themselves."""
_ATTRIBUTES = tuple(field.attribute for field in ProfileField)
OWN_FIELDS = tuple(field for field in ProfileField if field not in INTERNAL_FIELDS)


class ProfileDifference(NamedTuple):
    """One field before and after; None for no value."""

    field: ProfileField
    before: Any
    after: Any


def read_known_profile(profile: object) -> dict[str, Any]:
    """Return the known values of a customer, by field; fields without a value are left out."""
    return {name: value for name in _ATTRIBUTES if (value := getattr(profile, name))}


def compare_profiles(before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> list[ProfileDifference]:
    """Return the fields that differ. For a new customer (None before) the list is empty."""
    if before is None:
        return []
    return [
        ProfileDifference(field, before.get(field.attribute), after.get(field.attribute))
        for field in ProfileField
        if before.get(field.attribute) != after.get(field.attribute)
    ]
