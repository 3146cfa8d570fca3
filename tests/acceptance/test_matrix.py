"""Every kind of caller asks for every operation, and is answered as the matrix of permissions says."""

from permissions.roles import Role
from tests.acceptance.business import AN_HOUR, Business
from tests.acceptance.client import Caller, list_codes, record
from tests.acceptance.root_fields import OPERATIONS
from tests.acceptance.test_oauth import partner
from tests.permissions.matrix import CALLERS, FILE, NOBODY, PARTNER, listed_operations, write_matrix

REFUSALS = {"FORBIDDEN", "UNAUTHENTICATED"}


async def callers_of(salon: Business) -> dict[str, Caller]:
    """Return one caller of each kind."""
    issuer, grants = salon.installation.issuer, sorted(one.name for one in PARTNER)
    people = {
        role.name: salon.owner._replace(
            token=issuer.issue(
                subject=f"staff:{role.lower()}", tenant_id=salon.tenant_id, role=role, name=role, lifetime=AN_HOUR
            ).text
        )
        for role in Role
        if role not in (Role.CUSTOMER, Role.INTEGRATION)
    }
    made = await salon.owner.do("apiTokenCreate", "secret", name="Booking system", permissions=grants)
    client = await partner(salon, *grants)
    return {
        **people,
        "CUSTOMER": await salon.customer("anna"),
        "API_TOKEN": salon.owner._replace(token=made["secret"]),
        "OAUTH_CLIENT": await client.caller(salon),
        NOBODY: salon.owner._replace(token=None),
    }


async def test_every_caller_reaches_exactly_the_operations_of_the_matrix(salon: Business) -> None:
    """BK-110, BK-111, BK-112, BK-113, C-15: what is not allowed is FORBIDDEN, and nobody reaches anything."""
    await record(salon.integration, "order-1")
    callers = await callers_of(salon)
    assert {*callers} == {*CALLERS, NOBODY}
    assert set(listed_operations()) == set(OPERATIONS)
    refused: dict[tuple[str, str], str | None] = {}
    async with salon.unchanged():
        for name, (document, variables) in OPERATIONS.items():
            for kind, caller in callers.items():
                answer = await caller.answer(document, **variables)
                codes = list_codes(answer)
                assert "RATE_LIMITED" not in codes
                refused[kind, name] = next(iter(codes & REFUSALS), None)
    assert {code for (kind, _), code in refused.items() if kind == NOBODY} == {"UNAUTHENTICATED"}
    assert {code for (kind, _), code in refused.items() if kind != NOBODY} == {"FORBIDDEN", None}
    answered = write_matrix(listed_operations(), lambda kind, name: refused[kind, name] is None)
    assert answered == FILE.read_text("utf-8")
