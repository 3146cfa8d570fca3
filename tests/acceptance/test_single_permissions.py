"""Every permission alone, held by a person, an API token or a customer: which operations it opens by itself."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime

from uuid_utils.compat import uuid7

from api.tokens import make_token
from loyalty.rules.ids import TokenId
from loyalty.storage.api_tokens import TOKEN, ApiTokenRow, insert_api_token
from permissions.actor import mark_of_secret
from permissions.catalog import SELF_PERMISSIONS, Permission
from permissions.roles import Role
from tests.acceptance.business import AN_HOUR, Business
from tests.acceptance.client import Caller, Json, list_codes, mutation, record
from tests.acceptance.root_fields import OPERATIONS
from tests.permissions.matrix import ALONE_FILE, listed_operations, write_single_permissions

OTHER_FORMS: Mapping[str, list[tuple[str, Json]]] = {
    "signedTokensRevoke": [
        (mutation("signedTokensRevoke", "__typename"), {"input": {"of": {"customer": {"externalId": "nobody"}}}})
    ],
}
"""Other inputs of an operation whose forms ask for different permissions."""


async def token_of(salon: Business, permission: Permission) -> Caller:
    """Return an API token with a single permission, also one that nobody can give to a token today."""
    token = make_token("live")
    row = ApiTokenRow(
        id=TokenId(uuid7()),
        name=permission.value,
        permissions=[permission.value],
        created_at=datetime.now(UTC),
        created_by="staff:owner",
        expires_at=None,
        revoked_at=None,
        last_used_at=None,
        made_with=None,
        client_id=None,
        kind=TOKEN,
        networks=None,
        secret_mark=mark_of_secret(token.sha256),
        former_secret_mark=None,
        former_ends_at=None,
        rotated_with=None,
        rotated_by=None,
    )
    async with salon.database.tenant_transaction(salon.tenant_id) as tx:
        await insert_api_token(tx, row, token.sha256)
    return salon.owner._replace(token=token.text)


def person_of(salon: Business, permission: Permission) -> Caller:
    """Return a person of the team with a single permission."""
    issued = salon.installation.issuer.issue(
        subject=f"staff:{permission.value}",
        tenant_id=salon.tenant_id,
        role=Role.OWNER,
        name=permission.value,
        lifetime=AN_HOUR,
        grants=(permission.value,),
    )
    return salon.owner._replace(token=issued.text)


async def holders_of(salon: Business, permission: Permission) -> dict[str, Caller]:
    """Return everybody who can hold a permission, each with this one alone."""
    holders = {"PERSON": person_of(salon, permission), "API_TOKEN": await token_of(salon, permission)}
    if permission in SELF_PERMISSIONS:
        made = await salon.owner.do(
            "customerTokenCreate",
            "token",
            customer={"externalId": "anna"},
            lifetimeMinutes=10,
            permissions=[permission.name],
        )
        holders["CUSTOMER"] = salon.owner._replace(token=made["token"])
    return holders


async def reaches(caller: Caller, name: str) -> bool:
    """Tell whether a caller reaches an operation in one of its forms."""
    answers = [
        await caller.answer(document, **given) for document, given in (OPERATIONS[name], *OTHER_FORMS.get(name, ()))
    ]
    told = [list_codes(answer) for answer in answers]
    assert not any(codes & {"RATE_LIMITED", "UNAUTHENTICATED"} for codes in told)
    return not all("FORBIDDEN" in codes for codes in told)


async def test_a_single_permission_opens_exactly_the_operations_of_the_table(salon: Business) -> None:
    """BK-111, BK-112: no operation is open to a permission that the table does not name."""
    await record(salon.integration, "order-1")
    opened: set[tuple[str, str, Permission]] = set()
    for permission in Permission:
        holders = await holders_of(salon, permission)
        async with salon.unchanged():
            for name in OPERATIONS:
                reached = await asyncio.gather(*(reaches(caller, name) for caller in holders.values()))
                opened |= {(holder, name, permission) for holder, yes in zip(holders, reached, strict=True) if yes}
    asked = write_single_permissions(listed_operations(), lambda *one: one in opened)
    assert asked == ALONE_FILE.read_text("utf-8")
