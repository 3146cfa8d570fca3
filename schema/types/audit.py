"""The audit log: who changed which part of the configuration, and from what to what."""

from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
import strawberry
from strawberry.utils.str_converters import to_camel_case

from loyalty.rules.audit import AuditAction, AuditSubject, FieldChange
from loyalty.rules.errors import NotFound
from loyalty.services.audit import count_audit_entries, list_audit_entries
from loyalty.services.catalog import audit_id
from loyalty.storage.audit import AuditFilter, AuditRow
from loyalty.storage.catalog import CatalogPlace
from loyalty.storage.window import TimePlace
from permissions.actor import ActorKind
from schema.connections import Connection, Order, Page, time_order
from schema.context import Info
from schema.fields import computed
from schema.node_ids import RowKey, decode_id, encode_id, encode_key
from schema.types.activity import check_text_filters
from schema.types.listed import load_listed_page
from schema.types.node import Node, node_id, reads, row_of
from schema.types.time_range import TimeRangeInput, span_of

AUDIT_ORDER: Order[TimePlace] = time_order("audit")

_NODES = {
    AuditSubject.EARNING_RULE: "EarningRule",
    AuditSubject.TIER: "Tier",
    AuditSubject.API_TOKEN: "ApiToken",
    AuditSubject.OAUTH_CLIENT: "OauthClient",
    AuditSubject.OIDC_ISSUER: "OidcIssuer",
    AuditSubject.MEMBER: "Member",
    AuditSubject.ROLE: "Role",
    AuditSubject.BROWSER_SESSION: "BrowserSession",
    AuditSubject.GIFT_CARD_PRODUCT: "GiftCardProduct",
    AuditSubject.CATALOG_ITEM: "CatalogItem",
    AuditSubject.CUSTOMER: "Customer",
}
_SUBJECTS = {name: subject for subject, name in _NODES.items()}


@strawberry.type(description="One field of a change, before and after.")
class AuditChange:
    is_type_of = reads(FieldChange)

    @computed(
        description="Which field, with dots between its levels, such as `redemption.pointValue.points`. Names and "
        "values are those that are stored: money is in minor units, and a rate is a pair of numbers."
    )
    def field(self) -> str:
        """As clients spell names."""
        row = row_of(FieldChange, self)
        return ".".join(to_camel_case(part) for part in row.field.split("."))

    @computed(description="Its value before, as JSON; null where it had none.")
    def before(self) -> str | None:
        """JSON's null is no value."""
        row = row_of(FieldChange, self)
        return _json(row.before)

    @computed(description="Its value after, as JSON; null where it has none any more.")
    def after(self) -> str | None:
        """JSON's null is no value."""
        row = row_of(FieldChange, self)
        return _json(row.after)


@strawberry.type(
    description="A change of a part of the configuration. Nobody can change or delete an entry. What happens to points "
    "and customers has histories of its own."
)
class AuditEntry(Node):
    is_type_of = reads(AuditRow)

    id: strawberry.ID = node_id("AuditEntry")
    subject: AuditSubject = strawberry.field(description="What was changed.")
    subject_name: str = strawberry.field(description="The name that the changed part had then.")
    action: AuditAction = strawberry.field(description="What was done to it.")
    changes: list[AuditChange] = strawberry.field(description="The fields that differ, by their names.")
    happened_at: datetime = strawberry.field(description="When the change happened.")
    actor: str = strawberry.field(description="Who did it, by the name in the credential.")
    actor_subject: str = strawberry.field(
        description="Who did it, by the subject of the credential, which stays the same; such as `staff:42`."
    )

    @computed(description="What sort of caller did it.")
    def actor_kind(self) -> ActorKind:
        """Stored by its name."""
        row = row_of(AuditRow, self)
        return ActorKind(row.actor_kind)

    @computed(
        description="The global id of a rule, a tier, a token, a client, a provider, a member, a role, a browser "
        "session, a gift card product, an item of the catalogue or an erased customer; null for what has none. `node` "
        "finds it only while it is there."
    )
    def subject_id(self) -> strawberry.ID | None:
        """Made of what the log holds."""
        row = row_of(AuditRow, self)
        return _global_id(row)


@strawberry.input(description="Which entries; everything that is given must hold.")
class AuditFilterInput:
    subjects: list[AuditSubject] | None = strawberry.field(default=None, description="Only changes of these.")
    subject_id: strawberry.ID | None = strawberry.field(
        default=None,
        description="Only changes of this rule, tier, token, client, provider, member, role, browser session, "
        "product or item of the catalogue, by its global id.",
    )
    actions: list[AuditAction] | None = strawberry.field(default=None, description="Only these actions.")
    actor: str | None = strawberry.field(
        default=None,
        description="Only what this actor did: the whole name, or the subject of the credential, such as `staff:42`; 1 "
        "to 200 characters.",
    )
    happened: TimeRangeInput | None = strawberry.field(default=None, description="Only what happened in this span.")


async def audit_page(info: Info, given: AuditFilterInput | None, page: Page) -> Connection[AuditEntry]:
    """Return a page of the log. Refusals: InvalidInput, NotFound (subject)."""
    wanted = AuditFilter() if given is None else _filter(given)
    return await load_listed_page(
        info, AUDIT_ORDER, page, list_audit_entries, wanted, "happened_at", count_audit_entries
    )


def _filter(given: AuditFilterInput) -> AuditFilter:
    check_text_filters(given, "actor")
    subjects, subject_id = given.subjects, None
    if given.subject_id is not None:
        subject, subject_id = _build_stored_id(given.subject_id)
        subjects = [subject] if subjects is None or subject in subjects else []
    return AuditFilter(subjects, subject_id, given.actions, given.actor, *span_of(given.happened, "happened"))


def _build_stored_id(text: str) -> tuple[AuditSubject, str]:
    found = decode_id(text)
    if found is None or found.type_name not in _SUBJECTS:
        raise NotFound("subject", ("filter", "subject_id"))
    key = found.id
    stored = audit_id(CatalogPlace(key.kind, key.external_id)) if isinstance(key, RowKey) else str(key)
    return _SUBJECTS[found.type_name], stored


def _global_id(row: AuditRow) -> strawberry.ID | None:
    type_name = _NODES.get(row.subject)
    if type_name is None:
        return None
    if row.subject is AuditSubject.CATALOG_ITEM:
        kind, _, external_id = row.subject_id.partition(":")
        return encode_key(type_name, kind, external_id)
    return encode_id(type_name, UUID(row.subject_id))


def _json(value: Any) -> str | None:
    return None if value is None else orjson.dumps(value).decode()
