"""Customer tokens give no more than their maker may give, and end with their maker."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from loyalty.rules.errors import InvalidInput, NotFound, PermissionDenied
from loyalty.rules.ids import CustomerId, TokenId
from loyalty.services.api_token import ApiTokenRequest, create_api_token, end_api_token
from loyalty.services.authentication import actor_of_token, find_fallen, refresh_actor
from loyalty.services.customer import CustomerKey, find_customer
from loyalty.services.customer_token import CustomerTokenRequest, grant_customer_token
from loyalty.services.program import get_program
from loyalty.services.revocation import revoke_tokens_made_by, revoke_tokens_of_customer, revoke_tokens_of_subject
from loyalty.services.world import World
from permissions.actor import Actor, SignedToken
from permissions.catalog import Permission
from tests.fixtures.snapshots import NothingChanges
from tests.fixtures.tenants import Salon
from tests.loyalty.services.builders import NOON, at, customer_actor, known_customer
from tests.loyalty.services.test_api_token import new_hash

ANNA = CustomerKey(external_id="anna")
READS = Permission.LOYALTY_READ
SPENDS = Permission.REDEMPTIONS_MANAGE
SIGNS_IN = Permission.CUSTOMERS_SIGN_IN
BOTH = frozenset({Permission.SELF_READ, Permission.SELF_REDEEM})


@pytest.fixture
async def anna(world: World, salon: Salon) -> CustomerId:
    """Provide a customer whom the salon knows."""
    return await known_customer(world, salon)


async def token_of(world: World, salon: Salon, *permissions: Permission, expires_at: datetime | None = None) -> Actor:
    """Return a system with these permissions."""
    sha256 = new_hash()
    await create_api_token(
        at(world, NOON), salon.owner, ApiTokenRequest("App", frozenset(permissions), expires_at), sha256
    )
    actor = await actor_of_token(at(world, NOON), sha256)
    assert actor is not None
    return actor


@pytest.mark.usefixtures("anna")
@pytest.mark.parametrize(
    ("held", "given"),
    [
        (frozenset({SIGNS_IN, READS, SPENDS}), BOTH),
        (frozenset({SIGNS_IN, READS}), frozenset({Permission.SELF_READ})),
        (frozenset({SIGNS_IN}), frozenset({Permission.SELF_READ})),
        (frozenset({SIGNS_IN, SPENDS}), BOTH),
    ],
)
async def test_a_customer_token_gives_what_its_maker_holds(
    world: World, salon: Salon, held: frozenset[Permission], given: frozenset[Permission]
) -> None:
    maker = await token_of(world, salon, *held)
    grant = await grant_customer_token(at(world, NOON), maker, CustomerTokenRequest(ANNA, 30))
    assert (grant.permissions, grant.lifetime, grant.ends_by) == (given, timedelta(minutes=30), None)


@pytest.mark.usefixtures("anna")
async def test_a_customer_token_never_gives_what_its_maker_lacks(world: World, salon: Salon) -> None:
    maker = await token_of(world, salon, SIGNS_IN, READS)
    with pytest.raises(InvalidInput, match="you lack REDEMPTIONS_MANAGE") as refused:
        await grant_customer_token(world, maker, CustomerTokenRequest(ANNA, 30, BOTH))
    assert refused.value.path == ("permissions",)
    for wrong in (frozenset[Permission](), frozenset({READS}), frozenset({Permission.SELF_READ, SPENDS})):
        with pytest.raises(InvalidInput) as refused:
            await grant_customer_token(world, salon.owner, CustomerTokenRequest(ANNA, 30, wrong))
        assert refused.value.path == ("permissions",)
    narrow = CustomerTokenRequest(ANNA, 30, frozenset({Permission.SELF_READ}))
    assert (await grant_customer_token(world, salon.owner, narrow)).permissions == {Permission.SELF_READ}


@pytest.mark.usefixtures("anna")
async def test_managing_tokens_alone_neither_makes_customer_tokens_nor_finds_customers(
    world: World, salon: Salon
) -> None:
    """TOKENS_MANAGE was enough to sign in as any customer, who reads and spends."""
    manages = await token_of(world, salon, Permission.TOKENS_MANAGE)
    reads_too = await token_of(world, salon, Permission.TOKENS_MANAGE, READS, SPENDS)
    for actor in (manages, reads_too):
        with pytest.raises(PermissionDenied, match="CUSTOMERS_SIGN_IN"):
            await grant_customer_token(world, actor, CustomerTokenRequest(ANNA, 30))
    with pytest.raises(PermissionDenied):
        await find_customer(world, manages, ANNA)


async def test_who_only_signs_customers_in_reads_none_of_them(world: World, salon: Salon, anna: CustomerId) -> None:
    """It needed LOYALTY_READ, by which it could read all customers at once."""
    maker = await token_of(world, salon, SIGNS_IN)
    assert (await grant_customer_token(world, maker, CustomerTokenRequest(ANNA, 30))).customer_id == anna
    for wanted in (find_customer(world, maker, ANNA), get_program(world, maker)):
        with pytest.raises(PermissionDenied):
            await wanted
    reads = await token_of(world, salon, READS)
    with pytest.raises(PermissionDenied):
        await grant_customer_token(world, reads, CustomerTokenRequest(ANNA, 30))


async def test_customer_tokens_of_one_system_are_ended_and_it_makes_new_ones(
    world: World, salon: Salon, anna: CustomerId, nothing_changes: NothingChanges
) -> None:
    """The tokens of another system stay, and so do those that were made after it."""
    first, second = await token_of(world, salon, SIGNS_IN), await token_of(world, salon, SIGNS_IN)
    assert first.token_id is not None
    assert second.token_id is not None

    def made_by(maker: Actor, made_at: datetime) -> Actor:
        signed = (SignedToken(str(made_at), str(anna), made_at),)
        return replace(customer_actor(salon.tenant_id, anna), maker_token_id=maker.token_id, signed=signed)

    old, other, new = made_by(first, NOON), made_by(second, NOON), made_by(first, NOON + timedelta(seconds=1))
    async with nothing_changes(salon.tenant_id):
        with pytest.raises(PermissionDenied, match="TOKENS_MANAGE"):
            await revoke_tokens_made_by(at(world, NOON), first, second.token_id)
        with pytest.raises(NotFound):
            await revoke_tokens_made_by(at(world, NOON), salon.owner, TokenId(anna))
    assert await revoke_tokens_made_by(at(world, NOON), first, first.token_id) == NOON
    standing = [await refresh_actor(at(world, NOON), token) is not None for token in (old, other, new, first)]
    assert standing == [False, True, True, True]
    await revoke_tokens_made_by(at(world, NOON), salon.owner, second.token_id)
    assert await find_fallen(at(world, NOON), salon.tenant_id, [old, other, new]) == {old, other}


async def test_who_signs_customers_in_signs_them_out(world: World, salon: Salon, anna: CustomerId) -> None:
    """Managing tokens is not needed for it, and people of the team stay signed in."""
    maker = await token_of(world, salon, SIGNS_IN)
    signed = (SignedToken("1", str(anna), NOON),)
    token = replace(customer_actor(salon.tenant_id, anna), maker_token_id=maker.token_id, signed=signed)
    assert await refresh_actor(at(world, NOON), token) is not None
    await revoke_tokens_of_customer(at(world, NOON), maker, ANNA)
    assert await refresh_actor(at(world, NOON), token) is None
    with pytest.raises(PermissionDenied, match="TOKENS_MANAGE"):
        await revoke_tokens_of_subject(world, maker, "staff:mara")


@pytest.mark.usefixtures("anna")
async def test_wrong_lifetimes_and_unknown_customers_are_refused(world: World, salon: Salon) -> None:
    for minutes in (0, -1, 24 * 60 + 1):
        with pytest.raises(InvalidInput) as refused:
            await grant_customer_token(world, salon.owner, CustomerTokenRequest(ANNA, minutes))
        assert refused.value.path == ("lifetime_minutes",)
    with pytest.raises(NotFound):
        await grant_customer_token(world, salon.owner, CustomerTokenRequest(CustomerKey(external_id="ben"), 30))


@pytest.mark.usefixtures("anna")
async def test_a_customer_token_ends_when_its_maker_does(world: World, salon: Salon) -> None:
    end = NOON + timedelta(minutes=10)
    maker = await token_of(world, salon, SIGNS_IN, READS, expires_at=end)
    assert (await grant_customer_token(at(world, NOON), maker, CustomerTokenRequest(ANNA, 30))).ends_by == end
    almost = at(world, end - timedelta(milliseconds=1))
    with pytest.raises(InvalidInput, match="which ends now"):
        await grant_customer_token(almost, maker, CustomerTokenRequest(ANNA, 30))


async def test_a_customer_is_let_in_for_as_long_as_the_token_that_made_theirs_stands(
    world: World, salon: Salon, anna: CustomerId
) -> None:
    """It outlived the revocation of its maker. An expired or unknown maker ends it as well."""
    end = NOON + timedelta(minutes=10)
    maker, short = await token_of(world, salon, SIGNS_IN, READS), await token_of(world, salon, READS, expires_at=end)
    made = replace(customer_actor(salon.tenant_id, anna), maker_token_id=maker.token_id)
    of_short = replace(made, maker_token_id=short.token_id)
    assert await refresh_actor(at(world, NOON), made) == made
    assert await refresh_actor(at(world, NOON), of_short) == of_short
    assert await refresh_actor(at(world, end), of_short) is None
    assert maker.token_id is not None
    await end_api_token(at(world, NOON), salon.owner, maker.token_id)
    assert await refresh_actor(at(world, NOON), made) is None
    assert await refresh_actor(at(world, NOON), replace(made, maker_token_id=TokenId(anna))) is None
