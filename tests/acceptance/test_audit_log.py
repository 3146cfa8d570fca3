"""The audit log over HTTP: every change of the configuration leaves an entry that says who changed what."""

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import pytest
from strawberry.utils.str_converters import to_camel_case

from permissions.catalog import Permission
from schema.guard import REQUIRES
from schema.root import treue_schema
from tests.acceptance.business import Business
from tests.acceptance.client import Json, code_of, money
from tests.acceptance.conftest import OpenBusiness

CONFIGURE = {
    *(Permission.LOYALTY_MANAGE, Permission.TOKENS_MANAGE, Permission.GIFT_CARDS_MANAGE),
    *(Permission.MEMBERS_MANAGE, Permission.CUSTOMERS_ERASE),
}
WITH_A_HISTORY = {
    *("customerUpsert", "customersUpsert", "customerArchive", "customerUnarchive"),
    *("giftCardExtend", "giftCardCancel"),
}
"""A manager may do these, too, but they change a customer or a card, which have histories of their own."""

ENTRY = "id subject subjectId subjectName action actor actorSubject actorKind happenedAt changes { field before after }"
LOG = f"query($filter: AuditFilterInput) {{ auditLog(filter: $filter) {{ nodes {{ {ENTRY} }} totalCount }} }}"
RULE = {"name": "Two points", "award": {"fixed": {"points": 2}}}
TIER = {"name": "Gold", "color": "#d4af37", "minPoints": 100}
PRODUCT = {"name": "Voucher", "faceValue": money("25.00")}
ITEM = {"kind": "SERVICE", "externalId": "cut", "name": "Haircut"}
TOKEN = {"name": "Shop", "permissions": ["LOYALTY_READ"]}
MEMBER: Json = {"name": "Eva", "person": {"email": "a@x.example"}, "role": {"builtIn": "STAFF"}}
PROVIDER: Json = {
    "issuer": "https://login.example.com",
    "audience": "audit",
    "roles": [{"value": "boss", "role": "OWNER"}],
}

Edit = Callable[[Business], Awaitable[Any]]


async def make(salon: Business, operation: str, noun: str, given: Json) -> str:
    """Create something, and return its id."""
    made = await salon.owner.do(operation, f"{noun} {{ id }}", **given)
    return str(made[noun]["id"])


async def log(salon: Business, **wanted: object) -> list[Json]:
    """Return the entries of the log, newest first."""
    page = await salon.owner.get(LOG, filter=wanted)
    assert len(page["nodes"]) == page["totalCount"]
    entries: list[Json] = page["nodes"]
    return entries


def do(operation: str, given: Json) -> Edit:
    """Run a mutation."""
    return lambda salon: salon.owner.do(operation, "__typename", **given)


def do_to(made_by: str, noun: str, draft: Json, operation: str, **given: object) -> Edit:
    """Make something, and run a mutation that names it by id."""

    async def edit(salon: Business) -> None:
        made = await make(salon, made_by, noun, draft)
        await salon.owner.do(operation, "__typename", id=made, **given)

    return edit


async def switch_feature_off(salon: Business) -> None:
    """Switch off what the program needs, after the program itself."""
    await salon.owner.do("featureSet", "__typename", feature="LOYALTY", on=False)
    await salon.owner.do("featureSet", "__typename", feature="COUPONS", on=False)


async def erase_anna(salon: Business) -> None:
    """Erase a customer who is made before."""
    anna = {"externalId": "anna"}
    await salon.owner.do("customerUpsert", "__typename", **anna)
    await salon.owner.do("customerErase", "__typename", customer=anna, idempotencyKey="erase")


DOCUMENT = {"text": "query Viewer { viewer { name } }", "name": "Viewer"}


async def remove_document(salon: Business) -> None:
    """Take away a document that was registered before."""
    payload = await salon.owner.do("trustedDocumentsRegister", "documents { documentId }", documents=[DOCUMENT])
    ids = [one["documentId"] for one in payload["documents"]]
    await salon.owner.do("trustedDocumentsRemove", "removed", documentIds=ids)


Changes = list[tuple[str, str | None, str | None]]


class Tried(NamedTuple):
    """An edit, and some of what its entry tells."""

    edit: Edit
    subject: str
    action: str
    changes: Changes


EDITS: dict[str, Tried] = {
    "programUpdate": Tried(
        do("programUpdate", {"noticeDays": [7, 1]}), "PROGRAM", "CHANGED", [("noticeDays", "[30,7,1]", "[7,1]")]
    ),
    "programApplyPreset": Tried(
        do("programApplyPreset", {"preset": "SHOP", "expectedVersion": 1}), "PROGRAM", "CHANGED", []
    ),
    "earningRuleCreate": Tried(
        do("earningRuleCreate", RULE),
        "EARNING_RULE",
        "CREATED",
        [("award.points", None, "2"), ("name", None, '"Two points"')],
    ),
    "earningRuleUpdate": Tried(
        do_to("earningRuleCreate", "earningRule", RULE, "earningRuleUpdate", active=False),
        "EARNING_RULE",
        "CHANGED",
        [("active", "true", "false"), ("version", "1", "2")],
    ),
    "earningRuleDelete": Tried(
        do_to("earningRuleCreate", "earningRule", RULE, "earningRuleDelete"),
        "EARNING_RULE",
        "DELETED",
        [("name", '"Two points"', None)],
    ),
    "tierCreate": Tried(do("tierCreate", TIER), "TIER", "CREATED", [("minPoints", None, "100")]),
    "tierUpdate": Tried(
        do_to("tierCreate", "tier", TIER, "tierUpdate", minPoints=200), "TIER", "CHANGED", [("minPoints", "100", "200")]
    ),
    "tierDelete": Tried(
        do_to("tierCreate", "tier", TIER, "tierDelete"), "TIER", "DELETED", [("minPoints", "100", None)]
    ),
    "catalogItemsUpsert": Tried(
        do("catalogItemsUpsert", {"items": [ITEM]}), "CATALOG_ITEM", "CREATED", [("name", None, '"Haircut"')]
    ),
    "giftCardProductCreate": Tried(
        do("giftCardProductCreate", PRODUCT), "GIFT_CARD_PRODUCT", "CREATED", [("name", None, '"Voucher"')]
    ),
    "giftCardProductUpdate": Tried(
        do_to("giftCardProductCreate", "giftCardProduct", PRODUCT, "giftCardProductUpdate", name="Gift"),
        "GIFT_CARD_PRODUCT",
        "CHANGED",
        [("name", '"Voucher"', '"Gift"')],
    ),
    "giftCardProductArchive": Tried(
        do_to("giftCardProductCreate", "giftCardProduct", PRODUCT, "giftCardProductArchive"),
        "GIFT_CARD_PRODUCT",
        "CHANGED",
        [("archived", "false", "true")],
    ),
    "allowedOriginsSet": Tried(
        do("allowedOriginsSet", {"origins": ["https://salon.example"]}),
        "ALLOWED_ORIGINS",
        "CHANGED",
        [("origins", "[]", '["https://salon.example"]')],
    ),
    "customerErase": Tried(erase_anna, "CUSTOMER", "CHANGED", [("cause", None, '"CALL"'), ("erased", "false", "true")]),
    "retentionSet": Tried(
        do("retentionSet", {"inactiveMonths": 24}), "RETENTION", "CHANGED", [("inactiveMonths", None, "24")]
    ),
    "trustedDocumentsRegister": Tried(
        do("trustedDocumentsRegister", {"documents": [DOCUMENT]}),
        "TRUSTED_DOCUMENT",
        "CREATED",
        [("name", None, '"Viewer"')],
    ),
    "trustedDocumentsRemove": Tried(remove_document, "TRUSTED_DOCUMENT", "DELETED", [("name", '"Viewer"', None)]),
    "documentRuleSet": Tried(
        do("documentRuleSet", {"rule": "CUSTOMERS"}), "DOCUMENT_RULE", "CHANGED", [("rule", '"ANY"', '"CUSTOMERS"')]
    ),
    "featureSet": Tried(
        switch_feature_off,
        "FEATURES",
        "CHANGED",
        [
            (
                "features",
                '["PAYMENTS","CUSTOMER_LOGIN","COUPONS","GIFT_CARDS"]',
                '["PAYMENTS","CUSTOMER_LOGIN","GIFT_CARDS"]',
            )
        ],
    ),
    "apiTokenCreate": Tried(
        do("apiTokenCreate", TOKEN),
        "API_TOKEN",
        "CREATED",
        [("permissions", None, '["loyalty:read"]')],
    ),
    "apiTokenRevoke": Tried(do_to("apiTokenCreate", "apiToken", TOKEN, "apiTokenRevoke"), "API_TOKEN", "CHANGED", []),
    "apiTokenRotate": Tried(
        do_to("apiTokenCreate", "apiToken", TOKEN, "apiTokenRotate", overlapMinutes=0), "API_TOKEN", "CHANGED", []
    ),
    "oauthClientCreate": Tried(do("oauthClientCreate", TOKEN), "OAUTH_CLIENT", "CREATED", [("name", None, '"Shop"')]),
    "oauthClientRotateSecret": Tried(
        do_to("oauthClientCreate", "oauthClient", TOKEN, "oauthClientRotateSecret"), "OAUTH_CLIENT", "CHANGED", []
    ),
    "oidcIssuerSet": Tried(do("oidcIssuerSet", PROVIDER), "OIDC_ISSUER", "CREATED", []),
    "oidcIssuerRemove": Tried(
        do_to("oidcIssuerSet", "oidcIssuer", {**PROVIDER, "audience": "removed"}, "oidcIssuerRemove"),
        "OIDC_ISSUER",
        "CHANGED",
        [],
    ),
    "memberAdd": Tried(do("memberAdd", MEMBER), "MEMBER", "CREATED", [("role", None, '"STAFF"')]),
    "memberUpdate": Tried(
        do_to("memberAdd", "member", {**MEMBER, "person": {"email": "b@x.example"}}, "memberUpdate", name="Ben"),
        "MEMBER",
        "CHANGED",
        [("name", '"Eva"', '"Ben"')],
    ),
    "memberRemove": Tried(
        do_to("memberAdd", "member", {**MEMBER, "person": {"email": "c@x.example"}}, "memberRemove"),
        "MEMBER",
        "CHANGED",
        [],
    ),
    "roleCreate": Tried(do("roleCreate", TOKEN), "ROLE", "CREATED", [("permissions", None, '["loyalty:read"]')]),
    "roleUpdate": Tried(
        do_to("roleCreate", "role", {**TOKEN, "name": "Till"}, "roleUpdate", name="Counter"),
        "ROLE",
        "CHANGED",
        [("name", '"Till"', '"Counter"')],
    ),
    "roleDelete": Tried(
        do_to("roleCreate", "role", {**TOKEN, "name": "Spare"}, "roleDelete"),
        "ROLE",
        "DELETED",
        [("name", '"Spare"', None)],
    ),
    "oauthClientRevoke": Tried(
        do_to("oauthClientCreate", "oauthClient", TOKEN, "oauthClientRevoke"), "OAUTH_CLIENT", "CHANGED", []
    ),
    "signedTokensRevoke": Tried(
        do("signedTokensRevoke", {"of": {"subject": "staff:left"}}), "SIGNED_TOKENS", "CHANGED", []
    ),
    "sandboxClockAdvance": Tried(
        do("sandboxClockAdvance", {"by": "PT2H", "idempotencyKey": "two hours"}),
        "SANDBOX_CLOCK",
        "CHANGED",
        [("minutesAhead", "0", "120")],
    ),
}


def test_every_mutation_of_the_configuration_is_tried() -> None:
    definition: Any = treue_schema().get_type_by_name("Mutation")
    names = {
        to_camel_case(field.python_name) for field in definition.fields if CONFIGURE & set(field.metadata[REQUIRES])
    }
    assert names - WITH_A_HISTORY == set(EDITS)


@pytest.mark.parametrize("operation", [name for name in EDITS if name != "sandboxClockAdvance"])
async def test_a_change_leaves_an_entry(salon: Business, operation: str) -> None:
    edit, subject, action, changes = EDITS[operation]
    await edit(salon)
    _check((await log(salon))[0], subject, action, changes)


async def test_the_clock_of_a_sandbox_leaves_an_entry(businesses: OpenBusiness) -> None:
    sandbox = await businesses(sandbox=True)
    edit, subject, action, changes = EDITS["sandboxClockAdvance"]
    await edit(sandbox)
    _check((await log(sandbox))[0], subject, action, changes)


def _check(entry: Json, subject: str, action: str, changes: Changes) -> None:
    assert (entry["subject"], entry["action"], entry["actorKind"]) == (subject, action, "STAFF")
    assert entry["actorSubject"].startswith("staff:")
    found = [(one["field"], one["before"], one["after"]) for one in entry["changes"]]
    assert found
    assert [one for one in changes if one not in found] == [], found


async def test_a_refusal_or_an_unchanged_value_leaves_no_entry(salon: Business) -> None:
    rule = await make(salon, "earningRuleCreate", "earningRule", RULE)
    before = await log(salon)
    await salon.owner.do("earningRuleUpdate", "__typename", id=rule, name=RULE["name"])
    await salon.owner.refusals("earningRuleUpdate", id=rule, name="")
    assert await log(salon) == before


async def test_the_log_is_narrowed_and_leads_to_its_subject(salon: Business) -> None:
    rule = await make(salon, "earningRuleCreate", "earningRule", RULE)
    await salon.manager.do("earningRuleUpdate", "__typename", id=rule, active=False)
    await salon.owner.do("catalogItemsUpsert", "__typename", items=[ITEM])
    of_rule = await log(salon, subjectId=rule)
    assert [(entry["action"], entry["subjectId"]) for entry in of_rule] == [("CHANGED", rule), ("CREATED", rule)]
    manager = of_rule[0]["actorSubject"]
    assert [entry["id"] for entry in await log(salon, actor=manager)] == [of_rule[0]["id"]]
    (item,) = await log(salon, subjects=["CATALOG_ITEM"], actions=["CREATED"])
    shown = await salon.owner.get(
        "query($id: ID!) { node(id: $id) { ... on CatalogItem { name } } }", id=item["subjectId"]
    )
    assert shown == {"name": "Haircut"}
    again = await salon.owner.get(
        f"query($id: ID!) {{ node(id: $id) {{ ... on AuditEntry {{ {ENTRY} }} }} }}", id=item["id"]
    )
    assert again == item
    earlier = await log(salon, happened={"to": of_rule[1]["happenedAt"]})
    assert [entry["subject"] for entry in earlier] == ["API_TOKEN"], "the salon began with a token"


async def test_only_who_may_read_the_log_reads_it(salon: Business, businesses: OpenBusiness) -> None:
    await salon.owner.do("tierCreate", "__typename", **TIER)
    (entry,) = await log(salon, subjects=["TIER"])
    other_salon = await businesses()
    await salon.owner.do("customerUpsert", "__typename", externalId="anna")
    for caller in (salon.staff, salon.integration, await salon.customer("anna")):
        assert code_of(await caller.answer("{ auditLog { nodes { id } } }")) == "FORBIDDEN"
    assert await log(other_salon, subjects=["TIER"]) == []
    assert await other_salon.owner.get("query($id: ID!) { node(id: $id) { id } }", id=entry["id"]) is None
