"""Every field of every type is asked for, by an owner and by a customer: none may answer with a bug of ours.

The documents are made from the schema, so a new field is asked for without a line here. A new mutation needs a line in
`Life`, and a new query with arguments one in `ARGUMENTS`; the test fails for one that is missing.
"""

import secrets
from collections.abc import AsyncGenerator, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import strawberry
from graphql import (
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLUnionType,
    get_named_type,
    is_leaf_type,
)
from sqlalchemy import text

from api.issuer import Issuer
from api.service import customer_token_signer, hash_of_secret, make_secret
from loyalty.rules.errors import (
    AmbiguousCustomer,
    CustomerCandidate,
    FeatureDisabled,
    NotEntitled,
    PermissionDenied,
    TenantNotActive,
)
from loyalty.rules.ids import CustomerId, TenantId
from loyalty.services.customer import CustomerKey, find_customer
from loyalty.services.job import advance_job
from loyalty.services.tenant import provision_tenant
from loyalty.services.world import World
from loyalty.storage.events import EventFilter, EventRow, read_event_page
from permissions.actor import Actor, SessionMark
from schema.context import Context, Services
from schema.errors import USER_ERROR_TYPES, user_errors
from schema.executable import ExecutableSchema, build_schema
from schema.node_ids import decode_id, encode_id
from schema.root import treue_schema
from schema.user_error import UserError
from tenancy.database import Database
from tests.fixtures.feeds import NoFeed
from tests.fixtures.tenants import salon_of
from tests.loyalty.rules.test_errors import EVERY_ERROR
from tests.loyalty.services.builders import NOBODY, customer_actor, read_all_events
from tests.loyalty.services.team import begin_session

UNSEEN = {"LedgerDifference", "CustomerCandidate"}
"""What a sound ledger and a clear name do not show: the second belongs to a refusal, all of which are asked below."""

ASIDE = (FeatureDisabled, NotEntitled, PermissionDenied, TenantNotActive)
"""Errors of a whole operation, which are no types."""

EUR = "EUR"
ANNA = {"externalId": "anna"}


def money(amount: str) -> dict[str, str]:
    """Return an amount in euros."""
    return {"amount": amount, "currency": EUR}


def purchase(external_id: str, name: str = "anna", **facts: Any) -> dict[str, Any]:
    """Return a completed order of 100 euros with one line."""
    line = {"item": "cut", "unitPrice": money("100.00"), "lineId": "1"}
    profile = {"externalId": name, "fullName": "Anna", "category": "vip", "locale": "de-DE"}
    made = {"kind": "ORDER", "externalId": external_id, "status": "COMPLETED", "customer": profile, "lines": [line]}
    return {**made, "total": money("100.00"), **facts}


# ── documents from the schema ────────────────────────────────────────────────────────────────────────────────────


def selection(type_: Any, schema: GraphQLSchema, *, first: bool = True, with_old_names: bool = False) -> str:
    """Return all fields of a type, and of the types below it.

    A type with a global id is asked for on its own, so its fields are left out below another type. Deprecated fields
    are asked for on their own types only: beside other members of a union, their names clash.
    """
    if is_leaf_type(type_):
        return ""
    if type_.name == "UserError":
        return "{ __typename code message path }"
    if isinstance(type_, GraphQLUnionType | GraphQLInterfaceType):
        parts = [f"... on {one.name} {fields_of_member(one, schema, first)}" for one in possible(type_, schema)]
        return f"{{ __typename {' '.join(parts)} }}"
    if is_node(type_) and not first:
        return "{ __typename id }"
    fields = [(name, field) for name, field in type_.fields.items() if with_old_names or not field.deprecation_reason]
    return f"{{ __typename {' '.join(asked(name, field, schema) for name, field in fields)} }}"


def asked(name: str, field: GraphQLField, schema: GraphQLSchema) -> str:
    """Return a field with what is below it."""
    page = "(first: 3)" if "first" in field.args else ""
    return f"{name}{page} {selection(get_named_type(field.type), schema, first=False)}"


def fields_of_member(type_: GraphQLObjectType, schema: GraphQLSchema, whole: bool) -> str:  # noqa: FBT001
    """Return all fields of a member where the union or interface is what is asked for, and its id where it is below."""
    return selection(type_, schema, first=whole)


def possible(type_: Any, schema: GraphQLSchema) -> list[GraphQLObjectType]:
    """Return the types that a union or an interface may be."""
    return sorted(schema.get_possible_types(type_), key=lambda one: one.name)


def is_node(type_: Any) -> bool:
    """Tell whether objects of the type have a global id."""
    return any(one.name == "Node" for one in getattr(type_, "interfaces", ()))


# ── what is asked for ────────────────────────────────────────────────────────────────────────────────────────────

TODAY = datetime.now(UTC).date()
THESE_DAYS = f'(range: {{from: "{TODAY - timedelta(days=30)}", to: "{TODAY + timedelta(days=300)}"}})'
"""What the tests let happen; a year is the longest whose days are shown."""

ARGUMENTS = {
    "customer": '(by: {externalId: "anna"})',
    "purchase": '(by: {key: {kind: ORDER, externalId: "order-1"}})',
    "report": THESE_DAYS,
    "giftCardReport": '(range: {from: "2026-01-01", to: "2099-01-01"})',
    "checkoutQuote": '(input: {customer: {externalId: "anna"}, subtotal: {amount: "50.00", currency: "EUR"}, '
    'discounts: {amount: "1.00", currency: "EUR"}, purchase: {kind: ORDER, externalId: "next"}, '
    'giftCards: [{code: "000000-000000-000000"}]})',
    "customerExport": '(customer: {externalId: "anna"})',
    "customers": "(having: ANY)",
    "customersByExternalId": '(externalIds: ["anna"])',
    "purchasesByKey": '(keys: [{kind: ORDER, externalId: "order-1"}])',
    "giftCardLookup": '(code: "000000-000000-000000")',
    "catalogItem": '(by: {key: {kind: SERVICE, externalId: "cut"}})',
}
"""Arguments of the queries that need some."""

BY_ID = {"node", "nodes", "job", "adjustment", "giftCardProduct", "giftCard"}
"""Asked for with every id that was seen."""


class Seen:
    """What answers have shown: types by name, and global ids."""

    def __init__(self) -> None:
        self.types: set[str] = set()
        self.ids: set[str] = set()
        self.problems: list[str] = []

    def take(self, value: Any) -> None:
        """Remember what an answer shows."""
        if isinstance(value, list):
            for one in value:
                self.take(one)
        elif isinstance(value, dict):
            self.types |= {value["__typename"]} if "__typename" in value else set()
            self.ids |= {value["id"]} if isinstance(value.get("id"), str) else set()
            for one in value.values():
                self.take(one)


class Asking:
    """Somebody who asks for everything."""

    def __init__(self, treue: ExecutableSchema, services: Services, actor: Actor) -> None:
        self.schema = treue._schema  # noqa: SLF001 - strawberry has no other way to it
        self.seen = Seen()
        self._treue, self._services, self._actor = treue, services, actor

    async def ask(self, document: str, **variables: Any) -> dict[str, Any]:
        """Run a document. Only a refusal may come back as an error."""
        context = Context(self._services, self._actor, "request")
        result = await self._treue.execute(document, variable_values=variables, context_value=context)
        for error in result.errors or ():
            if (error.extensions or {}).get("code") not in {"FORBIDDEN", "FEATURE_DISABLED"}:
                self.seen.problems.append(f"{error.message} {error.path} {document[:120]}")
        self.seen.take(result.data)
        return result.data or {}

    async def mutate(self, name: str, /, **given: Any) -> Any:
        """Run a mutation with every field of its payload."""
        field = self.schema.mutation_type.fields[name]  # type: ignore[union-attr]
        input_type = field.args["input"].type
        document = f"mutation($input: {input_type}) {{ {asked(name, field, self.schema)} }}"
        payload = (await self.ask(document.replace(name, f"{name}(input: $input)", 1), input=given)).get(name)
        if payload is None or payload["userErrors"]:
            self.seen.problems.append(f"{name}: {payload}")
        return payload

    async def sign_in(self, issuer_id: str, name: str) -> str:
        """Let a person sign in with a browser; the global id of the session."""
        issuer = decode_id(issuer_id)
        assert issuer is not None
        assert isinstance(issuer.id, UUID)
        begun = await begin_session(self._services.world, self._actor.tenant_id, issuer.id, name)
        return encode_id("BrowserSession", begun)

    async def query_everything(self) -> None:
        """Run every query, and then ask for every id that was seen, as the type that the id names."""
        query = self.schema.query_type
        assert query is not None
        for name, field in query.fields.items():
            if name in BY_ID:
                continue
            text = asked(name, field, self.schema)
            if name in ARGUMENTS:
                text = name + ARGUMENTS[name] + text.removeprefix(name).removeprefix("(first: 3)")
            await self.ask(f"{{ {text} }}")
        for _ in range(2):
            for node_id in sorted(self.seen.ids):
                named = decode_id(node_id)
                assert named is not None
                fields = selection(self.schema.type_map[named.type_name], self.schema, with_old_names=True)
                await self.ask(
                    f"query($id: ID!) {{ node(id: $id) {{ ... on {named.type_name} {fields} }} }}", id=node_id
                )
                # All members in one document are more fields than a document may have, so each half is asked for.
                members = possible(self.schema.type_map["Node"], self.schema)
                for half in (members[::2], members[1::2]):
                    parts = " ".join(f"... on {one.name} {selection(one, self.schema)}" for one in half)
                    await self.ask(f"query($id: ID!) {{ node(id: $id) {{ __typename {parts} }} }}", id=node_id)

    async def follow_everything(self) -> None:
        """Follow every subscription, from the first event to the last."""
        subscription = self.schema.subscription_type
        assert subscription is not None
        for name, field in subscription.fields.items():
            context = Context(self._services, self._actor, "request")
            document = f"subscription {{ {asked(name, field, self.schema)} }}"
            async for result in await self._treue.subscribe(document, context_value=context):
                if result.data is None:
                    break
                self.seen.problems += [f"{error.message} {error.path}" for error in result.errors or ()]
                self.seen.take(result.data)


class WholeLog(NoFeed):
    """The events of a tenant as they stand; the stream ends with them."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def follow(
        self,
        tenant_id: TenantId,
        after: int | None,
        customer_id: CustomerId | None = None,  # noqa: ARG002 - every event is about what the test asks for
        at_rest: Callable[[int], bool] | None = None,  # noqa: ARG002 - it ends before it waits
    ) -> AsyncGenerator[EventRow, None]:
        """Yield all of them, from the first on."""
        async with self._world.database.tenant_transaction(tenant_id) as tx:
            end = 1_000
            events = await read_event_page(tx, EventFilter(), after=after or 0, up_to=end, limit=end)
        for event in events:
            yield event


class Life:
    """What happens in a tenant: every mutation once at least, so that every type has something to show."""

    def __init__(self, owner: Asking) -> None:
        self._owner = owner
        self.used: set[str] = set()

    async def do(self, name: str, /, **given: Any) -> Any:
        """Run a mutation as the owner."""
        self.used.add(name)
        return await self._owner.mutate(name, **given)

    async def set_up(self) -> None:
        """Set up settings, catalogue, rules and tiers."""
        do, point = self.do, {"points": 1, "money": money("0.01")}
        await do("programApplyPreset", preset="SHOP")
        await do(
            "programUpdate",
            redemption={"enabled": True, "pointValue": point, "maxDiscount": {"percent": 50}},
            noticeDays=[14],
        )
        items = [{"kind": "SERVICE", "externalId": name, "name": name, "enrolled": True} for name in ("cut", "gone")]
        await do("catalogItemsUpsert", items=[{**items[0], "rate": {"points": 2, "per": money("1.00")}}, items[1]])
        await do("catalogItemsUpsert", remove=[{"kind": "SERVICE", "externalId": "gone"}])
        award: dict[str, Any] = {"fixed": {"points": 10}}
        conditions = {"weekdays": ["MON"], "totalGreaterThan": money("1000.00"), "customerCategories": ["vip"]}
        spare = (await do("earningRuleCreate", name="Spare", award=award))["earningRule"]["id"]
        await do("earningRuleUpdate", id=spare, conditions=conditions)
        await do("earningRuleDelete", id=spare)
        awards = (
            award,
            {"perAmount": {"points": 1, "per": money("1.00")}},
            {"perUnit": {"points": 3}},
            {"multiplier": {"factor": "2"}},
        )
        for award in awards:
            await do("earningRuleCreate", name=str(award), award=award, expiry={"fixedDuration": {"months": 12}})
        await do("tierCreate", name="Bronze", color="#CD7F32", minPoints=5)
        card: dict[str, Any] = {"faceValue": money("25.00"), "purchasableWithPoints": True, "pointsCost": 500}
        made = (await do("giftCardProductCreate", name="Card", **card))["giftCardProduct"]["id"]
        await do("giftCardProductUpdate", id=made, validity={"duration": {"months": 12}})
        spare_card = (await do("giftCardProductCreate", name="Spare", **card))["giftCardProduct"]["id"]
        await do("giftCardProductArchive", id=spare_card)
        gold = (await do("tierCreate", name="Gold", color="#D4AF37", minPoints=50_000))["tier"]["id"]
        await do("tierUpdate", id=gold, color="#D4AF38")
        await do("tierDelete", id=gold)

    async def earn(self) -> None:
        """Record purchases, let points wait, adjust points and refund purchases."""
        do = self.do
        await do("purchaseRecord", **purchase("order-1"))
        await do("purchasesRecord", items=[purchase("order-2"), purchase("order-3", "ben")])
        await do("programUpdate", accrual={"matureDelay": "P7D"})
        await do("purchaseRecord", **purchase("order-4"))
        await do("purchaseRecord", **purchase("order-4", total=money("90.00")))
        await do("purchaseMature", purchase=key_of("order-4"), idempotencyKey="mature")
        broken = {"externalId": "carl", "email": "no address"}
        await do("purchaseRecord", **purchase("order-5", customer=broken))
        dollars = {"amount": "10.00", "currency": "USD"}
        foreign: dict[str, Any] = {
            "total": dollars,
            "lines": [{"item": "cut", "unitPrice": dollars}],
            "exchangeRate": "0.9",
            "payments": [{"kind": "GIFT_CARD", "amount": dollars, "reference": "mall-7"}],
        }
        await do("purchaseRecord", **purchase("order-6", **foreign))
        soon = (datetime.now(UTC) + timedelta(days=15)).date().isoformat()
        notes = {"internalNote": "note", "customerDescription": "for you"}
        await do("pointsAdjust", customer=ANNA, amount=100, expiresOn=soon, idempotencyKey="gift", **notes)
        await do("pointsAdjust", customer=ANNA, amount=-5, idempotencyKey="taken")
        part = {"amount": money("10.00"), "reason": "broken"}
        await do("purchaseRefund", purchase=key_of("order-1"), idempotencyKey="part", **part)
        await do("purchaseRecord", **purchase("order-9"))
        await do("purchaseReassign", purchase=key_of("order-9"), target={"externalId": "ben"}, idempotencyKey="ben's")
        line = {"line": 0, "quantity": 1}
        await do("purchaseRefund", purchase=key_of("order-2"), idempotencyKey="line", lines=[line])

    async def spend(self) -> None:
        """Hold points; capture, return and release them, and leave one hold open."""
        do, holds = self.do, {}
        for key in ("paid", "released", "open"):
            held = {"customer": ANNA, "subtotal": money("50.00"), "points": 20, "idempotencyKey": key}
            purchase_key = {"kind": "ORDER", "externalId": key}
            holds[key] = (await do("redemptionHold", purchase=purchase_key, **held))["hold"]["id"]
        await do("redemptionRelease", hold=holds["released"], reason="cash", idempotencyKey="released")
        captured = await do("redemptionCapture", hold=holds["paid"], idempotencyKey="paid")
        back = {"redemption": captured["redemption"]["id"], "points": 5, "reason": "back"}
        await do("redemptionReturn", idempotencyKey="back", **back)
        called_off = await do("purchaseRecord", **purchase("paid", status="CANCELLED"))
        assert [one["discount"]["amount"] for one in called_off["returns"]] == ["0.15"]

    async def move(self) -> None:
        """Import opening balances, merge customers, set tiers by hand, let a day pass, and change credentials."""
        do = self.do
        await do("openingBalancesImport", items=[{"customer": {"externalId": "eva"}, "points": 30}])
        labels = {"identifiers": [{"type": "CARD", "value": "1"}], "birthday": "--05-17", "tags": ["vip"]}
        await do("customerUpsert", externalId="anna", marketingConsent=True, phone="+49 170 1234567", **labels)
        await do("customersUpsert", items=[{"externalId": "anna", "marketingConsent": False}])
        names = {"source": {"externalId": "eva"}, "target": ANNA}
        await do("customerMerge", **names, reason="the same", idempotencyKey="merge")
        tier = (await do("tierCreate", name="Silver", color="#C0C0C0", minPoints=50, earningFactor="1.5"))["tier"]["id"]
        for customer in ("ben", "anna"):
            locked = {"customer": {"externalId": customer}, "tier": tier, "note": "asked"}
            await do("customerTierSet", **locked, idempotencyKey=f"set {customer}")
        await do("customerTierUnlock", customer={"externalId": "ben"})
        await do("customerArchive", customer={"externalId": "ben"}, reason="moved away")
        await do("customerUnarchive", customer={"externalId": "ben"})
        await do("customerArchive", customer={"externalId": "ben"})
        await do("customerUpsert", externalId="gone@example.com", fullName="Gone")
        await do("customerErase", customer={"externalId": "gone@example.com"}, idempotencyKey="erase")
        await do("purchaseRecord", **purchase("ben is back", customer={"externalId": "ben"}))
        for days in (2, 20):
            await do("sandboxClockAdvance", by=f"P{days}D", idempotencyKey=f"{days} days")
        await self.use_gift_cards()
        token = await do("apiTokenCreate", name="Shop", permissions=["LOYALTY_READ"])
        await do("apiTokenRotate", id=token["apiToken"]["id"], overlapMinutes=5)
        await do("apiTokenRevoke", id=token["apiToken"]["id"])
        maps = [{"value": "boss", "role": "OWNER"}]
        provider = {"issuer": "https://login.example.com", "audience": secrets.token_hex(8), "roles": maps}
        issuer = await do("oidcIssuerSet", **provider)
        await do("oidcIssuerRemove", id=issuer["oidcIssuer"]["id"])
        role = await do("roleCreate", name="Till", permissions=["LOYALTY_READ", "POINTS_ADJUST"], dailyPoints=100)
        await do("roleUpdate", id=role["role"]["id"], name="Counter")
        maps.append({"value": "till", "customRole": role["role"]["id"]})
        issuer = await do("oidcIssuerSet", **provider)
        begun = [await self._owner.sign_in(issuer["oidcIssuer"]["id"], name) for name in ("eva", "ben")]
        await do("browserSessionEnd", id=begun[0])
        identity = {"issuer": issuer["oidcIssuer"]["id"], "subject": "eva"}
        has_role = {"role": {"id": role["role"]["id"]}}
        await do("memberAdd", name="Eva", person={"identity": identity}, **has_role)
        added = await do("memberAdd", name="Ben", person={"email": "ben@salon.example"}, **has_role)
        await do("memberUpdate", id=added["member"]["id"], role={"builtIn": "READER"})
        await do("memberRemove", id=added["member"]["id"])
        spare = await do("roleCreate", name="Spare", permissions=["LOYALTY_READ"])
        await do("roleDelete", id=spare["role"]["id"])
        client = await do(
            "oauthClientCreate", name="Partner", permissions=["LOYALTY_READ"], networks=["203.0.113.0/24"]
        )
        await do("oauthClientRotateSecret", id=client["oauthClient"]["id"])
        await do("oauthClientRevoke", id=client["oauthClient"]["id"])
        await do("customerTokenCreate", customer=ANNA)
        await do("signedTokensRevoke", of={"subject": "staff:left"})
        await do("featureSet", feature="COUPONS", on=True)
        await do("allowedOriginsSet", origins=["https://salon.example"])
        await do("retentionSet", inactiveMonths=24, profileHistoryMonths=12)

    async def trust_documents(self) -> None:
        """Register trusted documents, and set who may run no other documents."""
        do = self.do
        trusted = {"text": "query Trusted { viewer { name } }", "name": "Trusted"}
        kept = await do("trustedDocumentsRegister", documents=[trusted, {"text": "{ viewer { name } }"}])
        await do("trustedDocumentsRemove", documentIds=[kept["documents"][0]["documentId"]])
        await do("documentRuleSet", rule="CUSTOMERS")
        await do("documentRuleSet", rule="ANY")

    async def use_gift_cards(self) -> None:
        """Sell a card, spend it in parts, and extend it. Cancel another card."""
        do, about = self.do, {"origin": "MONEY", "price": money("50.00"), "reference": "sale-1", "reason": "a birthday"}
        sold = await do("giftCardIssue", amount=money("50.00"), customer=ANNA, idempotencyKey="sold", **about)
        card, order_1 = sold["giftCard"]["id"], {"kind": "ORDER", "externalId": "order-1"}
        held = await do(
            "giftCardHold",
            giftCard={"code": sold["code"]},
            amount=money("20.00"),
            purchase=order_1,
            timeToLive="PT1H",
            idempotencyKey="held",
        )
        payment = held["giftCardHold"]["id"]
        await do("giftCardCapture", hold=payment, amount=money("15.00"), idempotencyKey="paid")
        await do("giftCardReturn", hold=payment, amount=money("5.00"), reason="too small", idempotencyKey="returned")
        for key in ("released", "in the basket"):
            held = await do("giftCardHold", giftCard={"id": card}, amount=money("1.00"), idempotencyKey=key)
            if key == "released":
                await do("giftCardRelease", hold=held["giftCardHold"]["id"], reason="cash", idempotencyKey=key)
        await do(
            "giftCardExtend", giftCard=card, expiresOn="2099-12-31", reason="a good customer", idempotencyKey="more"
        )
        await do("giftCardGive", giftCard=card, recipientName="Ben", message="For you", idempotencyKey="for ben")
        await do("giftCardClaim", code=sold["code"], customer=ANNA, idempotencyKey="claimed")
        given = await do("giftCardIssue", origin="GOODWILL", amount=money("5.00"), idempotencyKey="given")
        offered = {"faceValue": money("5.00"), "purchasableWithPoints": True, "pointsCost": 1}
        product = await do("giftCardProductCreate", name="For a point", **offered)
        named = {"product": product["giftCardProduct"]["id"], "customer": ANNA}
        bought = await do("giftCardBuy", idempotencyKey="bought", **named)
        await do("giftCardCancel", giftCard=bought["giftCard"]["id"], idempotencyKey="points back")
        await do("giftCardCancel", giftCard=given["giftCard"]["id"], reason="a mistake", idempotencyKey="cancelled")


def key_of(external_id: str) -> dict[str, Any]:
    """Return an order by its natural key."""
    return {"key": {"kind": "ORDER", "externalId": external_id}}


async def test_no_field_of_any_type_answers_with_a_bug(
    world: World, owner_world: World, relay_database: Database, tmp_path: Path
) -> None:
    """`RedemptionReturn.discount` was INTERNAL in every call, and no test had ever asked for it."""
    tenant = await provision_tenant(
        owner_world, name="Salon", currency=EUR, time_zone="Europe/Berlin", locale="de-DE", sandbox=True
    )
    salon, treue = salon_of(tenant), treue_schema()
    signer = customer_token_signer(Issuer.generate(tmp_path / "key.pem"))
    services = Services(world, WholeLog(world), signer, make_secret, b"key", hash_of_secret)
    owner = Asking(treue, services, salon.owner)
    life = Life(owner)
    for part in (life.set_up, life.earn, life.spend, life.move, life.trust_documents):
        await part()
    await read_all_events(world, salon.tenant_id, relay_database)
    async with world.database.tenant_transaction(salon.tenant_id) as tx:
        jobs = await tx.rows(text("SELECT id FROM jobs WHERE tenant_id = :current_tenant ORDER BY created_at"))
    for job in jobs:
        assert not await advance_job(world, salon.tenant_id, job.id)
    anna = await find_customer(world, salon.manager, CustomerKey(external_id="anna"))
    assert anna is not None
    customer = Asking(treue, services, customer_actor(salon.tenant_id, anna.id))
    customer.seen.ids |= owner.seen.ids
    for asking in (owner, customer):
        await asking.query_everything()
        await asking.follow_everything()
    now = datetime.now(UTC)
    signed_in = replace(salon.owner, session=SessionMark(NOBODY, now), expires_at=now + timedelta(hours=8))
    browser = Asking(treue, services, signed_in)
    query = browser.schema.query_type
    assert query is not None
    await browser.ask(f"{{ {asked('viewer', query.fields['viewer'], browser.schema)} }}")
    assert "\n".join(owner.seen.problems + customer.seen.problems + browser.seen.problems) == ""
    schema = owner.schema
    assert schema.mutation_type is not None
    assert life.used == set(schema.mutation_type.fields)
    roots = {"Query", "Mutation", "Subscription"}
    errors = {shown.__name__ for shown in USER_ERROR_TYPES}
    objects = {name for name, type_ in schema.type_map.items() if isinstance(type_, GraphQLObjectType)}
    shown = {name for name in objects if not name.startswith("__")} - roots - errors
    assert shown - owner.seen.types - customer.seen.types - browser.seen.types == UNSEEN


class Nobody:
    """The context of an operation that needs none."""

    request_id = "request"


async def test_no_field_of_any_refusal_answers_with_a_bug() -> None:
    """Every refusal there is, with every field of its type."""
    told = [error for error, _, _ in EVERY_ERROR if not isinstance(error, ASIDE)]
    candidate = CustomerCandidate(CustomerId(NOBODY), "anna", "Anna")
    told.append(AmbiguousCustomer([candidate], ("customer", "email")))

    @strawberry.type
    class Query:
        @strawberry.field
        def refusals(self) -> list[UserError]:
            return [shown for error in told for shown in user_errors(error)]

    small = build_schema(Query, types=USER_ERROR_TYPES)
    schema: GraphQLSchema = small._schema  # noqa: SLF001 - strawberry has no other way to it
    seen = Seen()
    for shown in USER_ERROR_TYPES:
        fields = selection(schema.type_map[shown.__name__], schema)
        result = await small.execute(
            f"{{ refusals {{ __typename ... on {shown.__name__} {fields} }} }}", context_value=Nobody()
        )
        assert result.errors is None, result.errors
        seen.take(result.data)
    assert seen.types >= {shown.__name__ for shown in USER_ERROR_TYPES} | {"CustomerCandidate"}
