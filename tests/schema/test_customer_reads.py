"""What a customer reads of the words that the team writes: a canary in every text that a mutation takes.

The walk asks for every field of every type, with every id that the owner saw, and follows every subscription. Where a
canary came in is where the mutation takes it, so a new field of an input or of a type is tried without a line here.
"""

import re
from collections.abc import AsyncGenerator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from graphql import GraphQLInputObjectType, GraphQLList, get_named_type, get_nullable_type

from api.issuer import Issuer
from api.service import customer_token_signer, hash_of_secret, make_secret
from loyalty.rules.ids import CustomerId, TenantId
from loyalty.services.customer import CustomerKey, find_customer
from loyalty.services.tenant import provision_tenant
from loyalty.services.world import World
from loyalty.storage.events import EventFilter, EventRow, read_event_page
from permissions.actor import Actor
from schema.context import Services
from schema.root import treue_schema
from tenancy.database import Database
from tests.fixtures.feeds import NoFeed
from tests.fixtures.tenants import Salon, salon_of
from tests.loyalty.services.builders import customer_actor, position_all_events
from tests.schema.test_every_field import EUR, Asking, Life, Seen

NO_WORDS = {
    *("externalId", "idempotencyKey", "item", "lineId", "token"),
    *("email", "phone", "avatarUrl", "pictureUrl", "birthday", "type", "value"),
}
"""Texts that name something, or have a form of their own: the life gives them."""

CONDITIONS = "EarningConditionsInput"
"""All conditions of a rule must hold, so each gets a rule of its own that fails by it."""

CANARY = re.compile(r"canary <([^>]+)>")

OF_A_PURCHASE = ("location", "staff", "lines.category")
MAY_READ = {
    *(
        f"purchaseRecord.{part} of {order}"
        for part in OF_A_PURCHASE
        for order in ("order-1", "order-4", "order-6", "paid")
    ),
    *(f"purchasesRecord.items.{part} of order-2" for part in OF_A_PURCHASE),
    # Where her points and cards were set aside or corrected.
    *(f"{operation}.location" for operation in ("giftCardHold", "pointsAdjust", "redemptionHold")),
    # The names of what she bought.
    "catalogItemsUpsert.items.name of cut",
    "customerUpsert.consentSource of anna",
    "customersUpsert.items.consentSource of anna",
    "customersUpsert.items.fullName of anna",
    # Former names, in the history of the profile; Eva was merged into Anna.
    "customerUpsert.fullName of anna",
    "openingBalancesImport.items.customer.fullName of eva",
    "purchaseRecord.customer.fullName of anna",
    "purchasesRecord.items.customer.fullName of anna",
    "giftCardGive.message",
    "giftCardGive.recipientName",
    "giftCardProductCreate.description",
    "giftCardProductCreate.name",
    "giftCardProductUpdate.description",
    "giftCardProductUpdate.name",
    "pointsAdjust.customerDescription",
    "tierCreate.name",
    "tierUpdate.name",
}
"""Where words come in that Anna may read: what is told to her, and what is known of her and of her own purchases."""


class Heard(Seen):
    """Seen, and every canary in it."""

    def __init__(self) -> None:
        super().__init__()
        self.canaries: set[str] = set()

    def take(self, value: Any) -> None:
        super().take(value)
        if isinstance(value, str):
            self.canaries |= set(CANARY.findall(value))


class Listening(Asking):
    """Somebody who asks for everything and hears every word."""

    def __init__(self, services: Services, actor: Actor) -> None:
        super().__init__(treue_schema(), services, actor)
        self.seen = self.heard = Heard()

    async def ask(self, document: str, **variables: Any) -> dict[str, Any]:
        """Run a document, and hear its data and its errors."""
        known = len(self.seen.problems)
        data = await super().ask(document, **variables)
        self.seen.take(self.seen.problems[known:])
        return data


class WordyLife(Life):
    """A life in which every text that nobody has to give is a canary."""

    def __init__(self, owner: Listening) -> None:
        super().__init__(owner)
        self._schema = owner.schema
        self._number = 0
        self._no_words: set[str] = set()
        """Where a text must have a form: the mutation has refused a canary there, and is asked again without it."""

    async def do(self, name: str, /, **given: Any) -> Any:
        """Run a mutation with a canary in each of its texts."""
        assert self._schema.mutation_type is not None
        input_type = get_named_type(self._schema.mutation_type.fields[name].args["input"].type)
        problems = self._owner.seen.problems
        while True:
            made = await super().do(name, **self._fill(input_type, given, name))
            if not problems:
                return made
            refused = {
                ".".join([name, *(part for part in error["path"] if not part.isdigit())])
                for error in (made or {}).get("userErrors", ())
            }
            assert refused - self._no_words, problems
            self._no_words |= refused
            problems.clear()

    def labels_of_conditions(self) -> list[str]:
        """Return the conditions of a rule that compare words."""
        conditions = self._schema.type_map[CONDITIONS]
        assert isinstance(conditions, GraphQLInputObjectType)
        fields = conditions.fields
        return [name for name, field in fields.items() if get_named_type(field.type).name == "String"]

    def _fill(self, type_: Any, given: dict[str, Any], path: str, of: str = "") -> dict[str, Any]:
        """Return an input with a canary in each text that was not given."""
        filled = dict(given)
        of = given.get("externalId", of)
        for name, field in type_.fields.items():
            if type_.name == CONDITIONS and name not in given:
                continue
            kind = get_named_type(field.type)
            if isinstance(kind, GraphQLInputObjectType):
                if isinstance(given.get(name), dict):
                    filled[name] = self._fill(kind, given[name], f"{path}.{name}", of)
                elif given.get(name):
                    filled[name] = [self._fill(kind, one, f"{path}.{name}", of) for one in given[name]]
            elif self._takes_words(type_, name, kind, path):
                word = self._canary(f"{path}.{name}", of)
                filled[name] = [word] if isinstance(get_nullable_type(field.type), GraphQLList) else word
        return filled

    def _takes_words(self, type_: GraphQLInputObjectType, name: str, kind: Any, path: str) -> bool:
        if type_.is_one_of or name in NO_WORDS or f"{path}.{name}" in self._no_words:
            return False
        return bool(kind.name == "String")

    def _canary(self, path: str, of: str) -> str:
        """Return a text that no other is like: names of tiers and rules must differ."""
        self._number += 1
        return f"canary <{path}{of and f' of {of}'}> {self._number}"


class OwnLog(NoFeed):
    """The events of a tenant, as the hub gives them to a follower of one customer."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def follow(
        self,
        tenant_id: TenantId,
        after: int | None,
        customer_id: CustomerId | None = None,
        at_rest: Callable[[int], bool] | None = None,  # noqa: ARG002 - it ends before it waits
    ) -> AsyncGenerator[EventRow, None]:
        """Yield all of them, or the customer's, from the first on."""
        async with self._world.database.tenant_transaction(tenant_id) as tx:
            events = await read_event_page(tx, EventFilter(), after=after or 0, up_to=1_000, limit=1_000)
        for event in events:
            if customer_id in {None, event.customer_id}:
                yield event


@pytest.fixture
async def wordy_salon(owner_world: World) -> Salon:
    """Provide a salon whose owner has a canary for a name."""
    tenant = await provision_tenant(
        owner_world, name="Salon", currency=EUR, time_zone="Europe/Berlin", locale="de-DE", sandbox=True
    )
    salon = salon_of(tenant)
    return salon._replace(
        owner=replace(salon.owner, subject="canary <the subject of staff>", display="canary <the name of staff>")
    )


async def test_a_customer_reads_no_word_that_is_for_the_team(
    world: World, wordy_salon: Salon, relay_database: Database, tmp_path: Path
) -> None:
    signer = customer_token_signer(Issuer.generate(tmp_path / "key.pem"))
    services = Services(world, OwnLog(world), signer, make_secret, b"key", hash_of_secret)
    owner = Listening(services, wordy_salon.owner)
    life = WordyLife(owner)
    await life.set_up()
    for label in life.labels_of_conditions():
        await life.do("earningRuleCreate", award={"fixed": {"points": 10}}, conditions={label: []})
    for part in (life.earn, life.spend, life.move):
        await part()
    await position_all_events(relay_database)
    anna = await find_customer(world, wordy_salon.manager, CustomerKey(external_id="anna"))
    assert anna is not None
    customer = Listening(services, customer_actor(wordy_salon.tenant_id, anna.id))
    customer.seen.ids |= owner.seen.ids
    for asking in (owner, customer):
        await asking.query_everything()
        await asking.follow_everything()
    assert customer.heard.canaries - MAY_READ == set()
    assert MAY_READ - customer.heard.canaries == set()
    assert owner.heard.canaries >= MAY_READ
    for place in ("earningRuleCreate.name", "pointsAdjust.internalNote", "purchaseRefund.reason", "the name of staff"):
        assert place in owner.heard.canaries, "the canary was not stored, so nothing was tried"
