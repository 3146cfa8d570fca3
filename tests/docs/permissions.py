"""What each role may do and each root field needs, read from the code.

``python -m tests.docs.permissions`` writes the tables of docs/reference/permissions.md anew.
"""

from collections.abc import Iterator
from pathlib import Path

from strawberry.types import get_object_definition
from strawberry.utils.str_converters import to_camel_case

from permissions.catalog import Permission
from permissions.roles import BUILT_IN_ROLES, ROLE_PERMISSIONS, Role, permission_matrix
from schema.guard import REQUIRES
from schema.root import Mutation, Query, Subscription

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "permissions.md"
BEGIN, END = "<!-- tables -->", "<!-- end of the tables -->"


def tables() -> str:
    """The tables as Markdown."""
    return "\n".join([*_permissions(), "", *_limits(), "", "## What each role may do", "", "```"]) + (
        f"\n{permission_matrix()}```\n\n" + "\n".join(_operations())
    )


def _permissions() -> Iterator[str]:
    yield from ("| in tokens | in GraphQL | what it gives |", "| --- | --- | --- |")
    for permission in Permission:
        told = permission.description.replace(f" (`{permission.value}`)", "")
        yield f"| `{permission.value}` | `{permission.name}` | {told} |"


def _limits() -> Iterator[str]:
    yield from ("| built-in role | what it is for | points a day by hand |", "| --- | --- | --- |")
    for kind, role in BUILT_IN_ROLES.items():
        limited = Permission.POINTS_ADJUST in role.permissions and Permission.LOYALTY_ADJUST not in role.permissions
        free = Permission.LOYALTY_ADJUST in role.permissions
        points = f"{role.daily_points:,}" if limited else "no limit" if free else "none"
        yield f"| {kind.name} | {kind.description} | {points} |"


def _operations() -> Iterator[str]:
    yield from ("## What each operation needs", "")
    yield f"| operation | one of | {' | '.join(Role)} |"
    yield f"| --- | --- |{' --- |' * len(Role)}"
    for name, needed in operations():
        may = ["yes" if not needed or needed & ROLE_PERMISSIONS[role] else "-" for role in Role]
        told = ", ".join(f"`{one.name}`" for one in Permission if one in needed) or "any credential"
        yield f"| `{name}` | {told} | {' | '.join(may)} |"


def operations() -> Iterator[tuple[str, frozenset[Permission]]]:
    """Every root field with the permissions of which one is enough; none where any credential is."""
    for root in (Query, Mutation, Subscription):
        for field in get_object_definition(root, strict=True).fields:
            yield to_camel_case(field.python_name), frozenset(field.metadata[REQUIRES])


def write_page() -> None:
    """Put the tables into their page."""
    text = PAGE.read_text("utf-8")
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    PAGE.write_text(f"{head}{BEGIN}\n\n{tables()}\n\n{END}{tail}", "utf-8")


if __name__ == "__main__":
    write_page()
