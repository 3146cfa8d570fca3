"""The content of the audit log: the changed part of the configuration, its state before and its state after."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from loyalty.rules.described_enum import DescribedEnum


class AuditSubject(DescribedEnum):
    """What was changed. More may come."""

    TENANT = "TENANT", "The tenant itself, changed by the platform: its state, its module, its budget."
    PROGRAM = "PROGRAM", "The settings of the program."
    EARNING_RULE = "EARNING_RULE", "An earning rule."
    TIER = "TIER", "A tier."
    CATALOG_ITEM = "CATALOG_ITEM", "An item or a category of the catalogue."
    GIFT_CARD_PRODUCT = "GIFT_CARD_PRODUCT", "A gift card product."
    API_TOKEN = "API_TOKEN", "An API token: made, with another secret, or ended."
    OAUTH_CLIENT = "OAUTH_CLIENT", "An OAuth client: made, with another secret, or ended."
    OIDC_ISSUER = "OIDC_ISSUER", "An identity provider of the staff: set, with another mapping, or removed."
    MEMBER = "MEMBER", "A member of the team: added, joined, with another role, or removed."
    ROLE = "ROLE", "A role that the tenant has made."
    BROWSER_SESSION = "BROWSER_SESSION", "A browser session that was ended: whose, and at which provider."
    SIGNED_TOKENS = "SIGNED_TOKENS", "Signed tokens that were revoked: one of them, or all of a person or customer."
    ALLOWED_ORIGINS = "ALLOWED_ORIGINS", "The origins of browser pages that may call."
    TRUSTED_DOCUMENT = "TRUSTED_DOCUMENT", "A document that clients may run: registered or removed, named by its hash."
    DOCUMENT_RULE = "DOCUMENT_RULE", "Whom the tenant limits to trusted documents."
    RETENTION = "RETENTION", "How long personal data is kept."
    FEATURES = "FEATURES", "The modules of the business that are on beside the program."
    CUSTOMER = "CUSTOMER", "A customer whose person was erased; nothing here says who that was."
    SANDBOX_CLOCK = "SANDBOX_CLOCK", "The clock of a sandbox."


class AuditAction(DescribedEnum):
    """What was done to it."""

    CREATED = "CREATED", "It was made."
    CHANGED = "CHANGED", "It was there before and is there still."
    DELETED = "DELETED", "It was taken away."


class FieldChange(NamedTuple):
    """One field before and after a change, as JSON values. ``field`` is the path to it, with dots between the names."""

    field: str
    before: Any
    after: Any


class AuditedChange(NamedTuple):
    """A change of one part of the configuration: the state of the part before and after, by field.

    ``before`` is None for a new part, ``after`` is None for a deleted part. ``name`` is the name of the part for
    people.
    """

    subject: AuditSubject
    subject_id: str
    name: str
    before: Any
    after: Any

    @property
    def action(self) -> AuditAction:
        """Whether the part was created, changed or deleted."""
        if self.before is None:
            return AuditAction.CREATED
        return AuditAction.DELETED if self.after is None else AuditAction.CHANGED


def compare_states(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> list[FieldChange]:
    """Return the fields that differ, in the order of their names. Objects are compared by field, lists as a whole."""
    old, new = _flatten(before or {}), _flatten(after or {})
    return [
        FieldChange(field, old.get(field), new.get(field))
        for field in sorted(old.keys() | new.keys())
        if _differ(old.get(field), new.get(field))
    ]


def _differ(before: Any, after: Any) -> bool:
    """Tell whether two JSON values differ; false is not equal to 0."""
    return type(before) is not type(after) or before != after


def _flatten(state: Mapping[str, Any], way: str = "") -> dict[str, Any]:
    """Return the values of nested objects by their path, with dots between the names.

    ``way`` is the path of `state` itself, with a dot at its end; it is empty for the outermost object.
    """
    flat: dict[str, Any] = {}
    for name, value in state.items():
        if isinstance(value, Mapping):
            flat |= _flatten(value, f"{way}{name}.")
        else:
            flat[f"{way}{name}"] = value
    return flat
