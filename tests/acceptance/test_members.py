"""Members of the team over the wire: tokens of a real provider, two servers, sockets, and what each of them sees."""

import base64
import secrets
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from schema.node_ids import encode_id
from tests.acceptance.business import Business
from tests.acceptance.client import code_of
from tests.acceptance.test_credential_ends import CLOSED_WITHIN_SECONDS, is_closed_with
from tests.acceptance.test_staff_sign_in import RSA, Stage
from tests.fixtures.provider import Provider, provider_process
from tests.fixtures.server import Installation, ServerProcess
from tests.loyalty.services.team import OWNER

VIEWER = "{ viewer { permissions role { name builtIn dailyPoints } roles { id } member { id name role { name } } } }"
MAPPING = [{"value": "boss", "role": "OWNER"}]


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    """Provide a provider."""
    with provider_process(tmp_path_factory.mktemp("provider")) as running:
        running.publish(RSA)
        yield running


@pytest.fixture(scope="module")
async def server(installation: Installation) -> AsyncIterator[ServerProcess]:
    """Provide a server that may reach providers on this machine."""
    async with installation.serve_apart("members", {"TREUE_PRIVATE_PROVIDERS": "true"}) as running:
        yield running


@pytest.fixture
async def stage(salon: Business, provider: Provider, server: ServerProcess) -> Stage:
    """Provide a salon that has set the provider; its claim of roles is mapped for the boss alone."""
    audience = secrets.token_hex(8)
    made = await salon.owner.at(server).do(
        "oidcIssuerSet", "oidcIssuer { id }", issuer=provider.issuer, audience=audience, roles=MAPPING
    )
    return Stage(salon, provider, server, audience, made["oidcIssuer"]["id"])


async def test_an_invited_person_signs_in_and_sees_who_they_are(stage: Stage) -> None:
    owner = stage.salon.owner.at(stage.server)
    added = await owner.do(
        "memberAdd",
        "member { id invited email personSubject role { name } }",
        name="Mara",
        person={"email": "Mara@Salon.example"},
        role={"builtIn": "STAFF"},
    )
    assert (added["member"]["invited"], added["member"]["email"]) == (True, "mara@salon.example")
    unverified = stage.sign_in("mara", email="mara@salon.example")
    assert code_of(await unverified.answer(VIEWER)) == "UNAUTHENTICATED"
    text = stage.sign_in("mara", email="mara@salon.example", email_verified="true")
    assert code_of(await text.answer(VIEWER)) == "UNAUTHENTICATED"
    mara = stage.sign_in("mara", email="MARA@salon.example", email_verified=True)
    found = await mara.get(VIEWER)
    assert found["member"] == {"id": added["member"]["id"], "name": "Mara", "role": {"name": "STAFF"}}
    assert found["role"] == {"name": "STAFF", "builtIn": "STAFF", "dailyPoints": 500}
    assert "POINTS_ADJUST" in found["permissions"]
    assert code_of(await mara.answer("{ members { nodes { id } } }")) == "FORBIDDEN"
    listed = await owner.get("{ members(filter: {present: true}) { nodes { invited personSubject } totalCount } }")
    raw = base64.urlsafe_b64decode(stage.issuer_id + "=" * (-len(stage.issuer_id) % 4)).decode().partition(":")[2]
    assert listed == {"nodes": [{"invited": False, "personSubject": f"oidc:{raw}:mara"}], "totalCount": 1}


async def test_a_removal_counts_at_the_next_request_and_closes_sockets(stage: Stage) -> None:
    owner, member_id = stage.salon.owner.at(stage.server), await stage.add_member("eva", {"builtIn": "MANAGER"})
    eva = stage.sign_in("eva")
    assert (await eva.get(VIEWER))["role"]["name"] == "MANAGER"

    async def remove() -> object:
        return await owner.do("memberRemove", "member { removedAt }", id=member_id)

    code, seconds = await is_closed_with(eva, remove)
    assert (code, seconds < CLOSED_WITHIN_SECONDS) == (4403, True)
    assert code_of(await eva.answer(VIEWER)) == "UNAUTHENTICATED"


async def test_another_role_counts_at_the_next_request_and_closes_sockets(stage: Stage) -> None:
    owner, member_id = stage.salon.owner.at(stage.server), await stage.add_member("eva", {"builtIn": "MANAGER"})
    eva = stage.sign_in("eva")
    assert "LOYALTY_MANAGE" in (await eva.get(VIEWER))["permissions"]

    async def demote() -> object:
        return await owner.do("memberUpdate", "member { role { name } }", id=member_id, role={"builtIn": "READER"})

    code, seconds = await is_closed_with(eva, demote)
    assert (code, seconds < CLOSED_WITHIN_SECONDS) == (4403, True)
    assert "LOYALTY_MANAGE" not in (await eva.get(VIEWER))["permissions"]


async def test_roles_are_listed_page_by_page_in_both_directions(stage: Stage) -> None:
    owner = stage.salon.owner.at(stage.server)
    for name in ("Till", "Desk"):
        await owner.do("roleCreate", "role { id }", name=name, permissions=["LOYALTY_READ"])
    document = "query($after: Cursor) { roles(first: 3, after: $after) { nodes { name } totalCount %s } }"
    document %= "pageInfo { hasNextPage endCursor }"
    first = await owner.get(document)
    second = await owner.get(document, after=first["pageInfo"]["endCursor"])
    third = await owner.get(document, after=second["pageInfo"]["endCursor"])
    names = [node["name"] for page in (first, second, third) for node in page["nodes"]]
    assert names == ["OWNER", "ADMIN", "MANAGER", "STAFF", "READER", "Till", "Desk"]
    assert (third["pageInfo"]["hasNextPage"], third["totalCount"]) == (False, 7)
    last = await owner.get("{ roles(last: 2) { nodes { name } } }")
    assert [node["name"] for node in last["nodes"]] == ["Till", "Desk"]


async def test_refusals_name_what_was_sent(stage: Stage) -> None:
    owner = stage.salon.owner.at(stage.server)
    await stage.add_member("olga", {"builtIn": "OWNER"})
    (member,) = (await owner.get("{ members { nodes { id } } }"))["nodes"]
    cases: list[tuple[str, dict[str, Any], str, list[str]]] = [
        ("memberRemove", {"id": member["id"]}, "LAST_OWNER", ["id"]),
        ("memberUpdate", {"id": member["id"], "role": {"builtIn": "ADMIN"}}, "LAST_OWNER", ["id"]),
        ("memberUpdate", {"id": member["id"], "name": None}, "INVALID_INPUT", ["name"]),
        ("memberUpdate", {"id": member["id"], "role": None}, "INVALID_INPUT", ["role"]),
        ("roleUpdate", {"id": encode_id("Role", OWNER), "name": "Mine"}, "INVALID_INPUT", ["id"]),
        ("roleCreate", {"name": "x", "permissions": ["SELF_READ"]}, "INVALID_INPUT", ["permissions"]),
    ]
    for operation, given, code, path in cases:
        (error,) = await owner.refusals(operation, **given)
        assert (error["code"], error["path"]) == (code, path), operation
    (error,) = await owner.refusals(
        "oidcIssuerSet", issuer=stage.provider.issuer, audience="x", roles=[{"value": "nobody"}]
    )
    assert error["path"] == ["roles", "0", "role"]


async def test_the_counter_learns_what_is_left_of_its_day(stage: Stage) -> None:
    owner = stage.salon.owner.at(stage.server)
    document = "mutation($input: PointsAdjustInput!) { pointsAdjust(input: $input) { %s } }"
    document %= (
        "userErrors { code path ... on AdjustmentLimitReached { dailyPoints pointsLeft requestedPoints resetsAt } }"
    )
    await owner.do("customerUpsert", "customer { id }", externalId="anna", fullName="Anna")
    await stage.add_member("eva", {"builtIn": "STAFF"})
    eva, anna = stage.sign_in("eva"), {"externalId": "anna"}
    first = await eva.get(document, input={"customer": anna, "idempotencyKey": "1", "amount": 400})
    assert first["userErrors"] == []
    (error,) = (await eva.get(document, input={"customer": anna, "idempotencyKey": "2", "amount": -101}))["userErrors"]
    assert error.pop("resetsAt")
    assert error == {
        "code": "ADJUSTMENT_LIMIT_REACHED",
        "path": ["amount"],
        "dailyPoints": 500,
        "pointsLeft": 100,
        "requestedPoints": 101,
    }
