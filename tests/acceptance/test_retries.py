"""A retry of what creates something makes nothing new, whatever it creates; another input under its key is refused."""

from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import pytest

from tests.acceptance.business import Business
from tests.acceptance.client import Caller, Json, create_rule, mutation, record


class Creation(NamedTuple):
    """A mutation that creates: its input, a change of it, what the answer shows, and how many there are then."""

    given: Json
    other: Json
    shown: str
    listed: str


TIER = {"name": "Gold", "color": "#D4AF37", "minPoints": 100}
ITEMS = [
    {
        "kind": "SERVICE",
        "externalId": "cut",
        "name": "Cut",
        "rate": {"points": 2, "per": {"amount": "1", "currency": "EUR"}},
    }
]
AWARD: Json = {"perAmount": {"points": 1, "per": {"amount": "2.00", "currency": "EUR"}}}
RULE: Json = {"name": "Rule", "award": AWARD, "conditions": {"weekdays": ["MON", "TUE"], "services": ["b", "a"]}}
CREATIONS = {
    "earningRuleCreate": Creation(
        RULE,
        {"award": {"fixed": {"points": 1}}},
        "earningRule { id name version }",
        "{ earningRules { nodes { id } } }",
    ),
    "tierCreate": Creation(TIER, {"minPoints": 200}, "tier { id name } job { id }", "{ tiers { id } }"),
    "giftCardProductCreate": Creation(
        {
            "name": "Voucher",
            "faceValue": {"amount": "25.00", "currency": "EUR"},
            "validity": {"duration": {"months": 6}},
        },
        {"faceValue": {"amount": "50.00", "currency": "EUR"}},
        "giftCardProduct { id name version }",
        "{ giftCardProducts { nodes { id } } }",
    ),
    "catalogItemsUpsert": Creation(
        {"items": ITEMS},
        {"items": [ITEMS[0] | {"name": "Trim"}]},
        "items { id name }",
        "{ catalogItems { nodes { id } } }",
    ),
    "apiTokenCreate": Creation(
        {"name": "Shop", "permissions": ["LOYALTY_READ"]},
        {"name": "Till"},
        "apiToken { id name }",
        "{ apiTokens { id } }",
    ),
}


async def call(salon: Business, name: str, shown: str, /, **given: Any) -> Json:
    """Return the payload of a mutation with its refusals."""
    answer = await salon.owner.answer(mutation(name, f"{shown} replayed userErrors {{ code path }}"), input=given)
    assert "errors" not in answer, answer
    payload: Json = answer["data"][name]
    return payload


async def count(salon: Business, document: str) -> int:
    """Return how many rows a list has."""
    found = await salon.owner.get(document)
    return len(found if isinstance(found, list) else found["nodes"])


@pytest.mark.parametrize("name", CREATIONS)
async def test_a_retry_makes_nothing_anew(salon: Business, name: str) -> None:
    """The same key and input: the same thing, and the list has one more, not two."""
    creation = CREATIONS[name]
    before = await count(salon, creation.listed)
    first = await call(salon, name, creation.shown, **creation.given, idempotencyKey="key")
    assert (first["replayed"], first["userErrors"]) == (False, [])
    async with salon.unchanged():
        again = await call(salon, name, creation.shown, **creation.given, idempotencyKey="key")
        assert again == first | {"replayed": True}
        other = await call(salon, name, creation.shown, **creation.given | creation.other, idempotencyKey="key")
        assert [(error["code"], error["path"]) for error in other["userErrors"]] == [
            ("IDEMPOTENCY_CONFLICT", ["idempotencyKey"])
        ]
        none = await call(salon, name, creation.shown, **creation.given, idempotencyKey="")
        assert [error["path"] for error in none["userErrors"]] == [["idempotencyKey"]]
    assert await count(salon, creation.listed) == before + 1


async def test_a_retry_finds_what_was_deleted_meanwhile(salon: Business) -> None:
    """The first call has made it; the retry does not make it again."""
    rule = await call(salon, "earningRuleCreate", "earningRule { id }", **RULE, idempotencyKey="rule")
    await salon.owner.do("earningRuleDelete", "deletedId", id=rule["earningRule"]["id"])
    again = await call(salon, "earningRuleCreate", "earningRule { id }", **RULE, idempotencyKey="rule")
    assert again == rule | {"replayed": True}
    tier = await call(salon, "tierCreate", "tier { id }", **TIER, idempotencyKey="tier")
    changed = {"id": tier["tier"]["id"], "color": "#000000", "idempotencyKey": "paint"}
    painted = await call(salon, "tierUpdate", "tier { color } job { id }", **changed)
    assert await call(salon, "tierUpdate", "tier { color } job { id }", **changed) == painted | {"replayed": True}
    gone = {"id": tier["tier"]["id"], "idempotencyKey": "gone"}
    deleted = await call(salon, "tierDelete", "deletedId job { id }", **gone)
    assert await call(salon, "tierDelete", "deletedId job { id }", **gone) == deleted | {"replayed": True}
    assert await count(salon, "{ tiers { id } }") == await count(salon, "{ earningRules { nodes { id } } }") == 0
    assert (await call(salon, "tierCreate", "tier { id }", **TIER, idempotencyKey="tier"))["replayed"]


async def test_the_secret_of_an_api_token_is_shown_once(salon: Business) -> None:
    """It is kept nowhere, so a retry has none; the token of the first answer works."""
    given = {"name": "Shop", "permissions": ["LOYALTY_READ"], "idempotencyKey": "shop"}
    first = await call(salon, "apiTokenCreate", "secret", **given)
    again = await call(salon, "apiTokenCreate", "secret", **given)
    assert (again["secret"], again["replayed"]) == (None, True)
    partner = Caller(salon.installation.servers[0], first["secret"])
    assert await partner.get("{ viewer { kind } }") == {"kind": "API_TOKEN"}


async def test_a_retry_of_a_customer_token_is_the_same_token(salon: Business) -> None:
    """It says the same and ends at the same time."""
    await create_rule(salon.manager, "Ten", 10)
    await record(salon.integration, "order-1", customer="anna")
    shown = "token expiresAt permissions"
    given = {"customer": {"externalId": "anna"}, "lifetimeMinutes": 30, "idempotencyKey": "app"}
    first = await call(salon, "customerTokenCreate", shown, **given)
    again = await call(salon, "customerTokenCreate", shown, **given)
    assert (again["replayed"], again["expiresAt"]) == (True, first["expiresAt"])
    ends_in = datetime.fromisoformat(first["expiresAt"]) - datetime.now(UTC)
    assert timedelta(minutes=28) < ends_in <= timedelta(minutes=30)
    verified = [salon.installation.issuer.verify(one["token"]) for one in (first, again)]
    assert verified[0] == verified[1]
    other = await call(salon, "customerTokenCreate", shown, **given | {"lifetimeMinutes": 31})
    assert [error["code"] for error in other["userErrors"]] == ["IDEMPOTENCY_CONFLICT"]
    assert (await call(salon, "customerTokenCreate", shown, **given | {"idempotencyKey": "b"}))["token"] != first[
        "token"
    ]


async def test_keys_belong_to_one_caller(salon: Business) -> None:
    """The manager's key is not the owner's."""
    await call(salon, "tierCreate", "tier { id }", **TIER, idempotencyKey="key")
    made = await salon.manager.do(
        "tierCreate", "replayed", **TIER | {"name": "Other", "minPoints": 7}, idempotencyKey="key"
    )
    assert made["replayed"] is False
