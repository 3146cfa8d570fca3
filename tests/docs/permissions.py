"""What each role may do, read from the code.

``python -m tests.docs.permissions`` writes the tables of docs/reference/permissions.md again.
"""

from collections.abc import Iterator

from permissions.catalog import Permission
from permissions.roles import BUILT_IN_ROLES, permission_matrix
from tests.docs.pages import REFERENCE, write_tables

PAGE = REFERENCE / "permissions.md"


def tables() -> str:
    """Return the tables as Markdown."""
    return "\n".join([*_permissions(), "", *_limits(), "", "## What each role may do", "", "```"]) + (
        f"\n{permission_matrix()}```"
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


if __name__ == "__main__":
    write_tables(PAGE, tables())
