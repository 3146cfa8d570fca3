"""Members of the tenant's team."""

from datetime import datetime

import strawberry

from loyalty.services.member import Identity, count_listed_members, page_members
from loyalty.storage.members import MemberFilter, MemberRow
from loyalty.storage.window import TimePlace
from schema.connections import Connection, Order, Page, time_order
from schema.context import Info
from schema.fields import computed, shows
from schema.loaders import loaded
from schema.node_ids import row_id_of
from schema.types.listed import load_listed_page
from schema.types.location import scope_field
from schema.types.node import Node, node_id, reads, row_of
from schema.types.role import Role, RoleBy, role_id_of

MEMBER_ORDER: Order[TimePlace] = time_order("members")


@strawberry.type(
    description="A person of the tenant's team, or one who was. A person of several tenants is a member of each."
)
class Member(Node):
    is_type_of = reads(MemberRow)

    id: strawberry.ID = node_id("Member")
    name: str = strawberry.field(description="What the team calls the person.")
    email: str | None = strawberry.field(
        description="The address that was invited, in small letters; null for somebody who was added by their identity."
    )
    person_subject: str | None = shows(
        "subject",
        description="The subject of the person's credentials, as the audit log has it. Null until an invited person "
        "has signed in.",
    )
    created_at: datetime = strawberry.field(description="When the person was added.")
    created_by: str = strawberry.field(description="Who added them: the subject of a credential.")
    changed_at: datetime = strawberry.field(description="When they were changed last.")
    changed_by: str = strawberry.field(description="Who changed them last: the subject of a credential.")
    joined_at: datetime | None = strawberry.field(
        description="When an invited person signed in first, or somebody was added by their identity."
    )
    removed_at: datetime | None = strawberry.field(
        description="When they were removed; null for somebody who is a member."
    )
    locations: list[str] | None = scope_field("the person is")
    role: Role | None = loaded(
        "roles", "role_id", description="What they may do; null where a role of somebody removed is deleted."
    )

    @computed(description="Whether the person was invited and has not signed in yet.")
    def invited(self) -> bool:
        """True for a present member without a subject."""
        row = row_of(MemberRow, self)
        return row.subject is None and row.removed_at is None


@strawberry.input(description="A person at a provider of the tenant.")
class IdentityInput:
    issuer: strawberry.ID = strawberry.field(description="The provider (`OidcIssuer`).")
    subject: str = strawberry.field(description="The claim `sub` of its tokens, to the letter; 1 to 200 characters.")


@strawberry.input(description="Says who a person is, in exactly one way.", one_of=True)
class PersonBy:
    email: str | None = strawberry.field(
        default=strawberry.UNSET,
        description="An e-mail address in ASCII letters, without regard to case; at most 254 characters. Who signs in "
        "with it is the member, where the provider says that it has verified it (`email_verified`).",
    )
    identity: IdentityInput | None = strawberry.field(
        default=strawberry.UNSET,
        description="The person at a provider. It takes OWNERS_MANAGE: the role counts in place of those that a claim "
        "gives.",
    )


@strawberry.input(description="Which members; everything that is given must hold.")
class MemberFilterInput:
    present: bool | None = strawberry.field(
        default=None, description="Only who is a member or invited, or only who was removed."
    )
    role: RoleBy | None = strawberry.field(default=None, description="Only members with this role.")


def read_person(by: PersonBy) -> str | Identity:
    """Return the e-mail address or the identity behind the input. Refusal: NotFound."""
    if by.identity:
        issuer_id = row_id_of(by.identity.issuer, "OidcIssuer", "person", "identity", "issuer")
        return Identity(issuer_id, by.identity.subject)
    return by.email or ""


async def member_page(info: Info, given: MemberFilterInput | None, page: Page) -> Connection[Member]:
    """Return a page of the members."""
    wanted = MemberFilter()
    if given is not None:
        role_id = None if given.role is None else role_id_of(given.role, "filter", "role")
        wanted = MemberFilter(present=given.present, role_id=role_id)
    return await load_listed_page(info, MEMBER_ORDER, page, page_members, wanted, "created_at", count_listed_members)
