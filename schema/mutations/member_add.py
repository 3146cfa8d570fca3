"""``memberAdd``: add a person to the team."""

from collections.abc import Mapping
from typing import Annotated, Any

import strawberry

from loyalty.services.member import MemberRequest, add_member
from permissions.catalog import Permission
from schema.context import Info
from schema.errors import answer_mutation
from schema.guard import guarded
from schema.mutations.payload import UserErrors, optional_key_field, replayed_field, user_errors_field
from schema.types.location import scope_input
from schema.types.member import Member, PersonBy, read_person
from schema.types.role import RoleBy, role_id_of


@strawberry.input(description="A new member of the team.")
class MemberAddInput:
    name: str = strawberry.field(description="What the team calls the person; 1 to 120 characters.")
    person: PersonBy = strawberry.field(description="The person to add.")
    role: RoleBy = strawberry.field(description="What they may do; no more than the caller may do.")
    idempotency_key: str | None = optional_key_field()
    locations: list[str] | None = scope_input()


@strawberry.type(description="The new member.")
class MemberAddPayload:
    user_errors: UserErrors = user_errors_field()
    member: Member | None = strawberry.field(default=None, description="The member, or the invitation.")
    replayed: bool | None = replayed_field()


@guarded(
    Permission.MEMBERS_MANAGE,
    description=(
        "Add a person to the team: by an e-mail address that is invited, or by their identity at a provider. Only a "
        "person of the team may. A tenant has at most 1,000 members."
    ),
    even_when_off=True,
    for_people=True,
)
async def member_add(
    info: Info,
    input: Annotated[MemberAddInput, strawberry.argument(description="The person to add, with a role.")],  # noqa: A002
) -> MemberAddPayload:
    """Add a member. Refuses a role that may do more than the caller."""

    async def work() -> Mapping[str, Any]:
        request = MemberRequest(
            name=input.name,
            role_id=role_id_of(input.role, "role"),
            person=read_person(input.person),
            idempotency_key=input.idempotency_key,
            locations=input.locations,
        )
        added = await add_member(info.context.world, info.context.actor, request)
        info.context.loaders.clear()
        return {"member": added.member, "replayed": added.replayed}

    return await answer_mutation(MemberAddPayload, work)
