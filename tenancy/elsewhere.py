"""Refuse a tenant that lives in another cluster, or is moving there.

The state of the tenant's row says where the tenant is: MOVED in the cluster that it has left, ARRIVING in the cluster
to which it is copied. A process that knows several clusters checks the state in the round trip that enters the tenant,
and the server stops there. So a process that knows an old place reads and writes nothing in it. A transaction also
shares a lock that the end of a move takes alone. So the move waits for running transactions, and transactions that
begin meanwhile are refused.
"""

import psycopg
from sqlalchemy import ColumnElement, Integer, Text, bindparam, case, cast, exists, func, literal, select
from sqlalchemy.exc import OperationalError

from tenancy.table import among_these, tenant_parameter
from tenancy.tables import ELSEWHERE, tenants

MOVE_LOCKS = 1_414_677_842
"""The first number of the advisory locks of moves. The second number is the hash of the tenant."""

REFUSED_STATE = "TR001"
"""Used as the SQLSTATE of this refusal. No server sends it, so the refusal cannot be taken for a database that
is away."""

_MARK = "this tenant is in another cluster"


class _Refused(psycopg.OperationalError):
    """Stands for the driver's error inside of TenantElsewhere."""

    sqlstate: str | None = REFUSED_STATE


class TenantElsewhere(OperationalError):
    """The tenant cannot be used in this cluster now.

    Nothing was read or written; the same call works a little later.
    """

    def __init__(self) -> None:
        super().__init__(None, None, _Refused(_MARK))


def says_elsewhere(error: psycopg.Error) -> bool:
    """Return whether an error of the server is the refusal of a statement of this module."""
    return isinstance(error, psycopg.errors.InvalidTextRepresentation) and _MARK in str(error)


def is_here(tenant_id: ColumnElement[object]) -> ColumnElement[bool]:
    """Return the condition that a row's tenant lives in this cluster: for statements across tenants."""
    elsewhere = select(tenants.c.tenant_id).where(among_these(tenants.c.state, ELSEWHERE))
    return tenant_id.not_in(elsewhere)


def _refuse_when(condition: ColumnElement[bool]) -> ColumnElement[int]:
    """Return an SQL expression that fails in the server if a condition holds: it reads a text as a number.

    Without a function of its own SQL has no other way to fail.
    """
    return cast(case((condition, literal(_MARK, Text())), else_=literal("0", Text())), Integer)


SHARE_MOVE_LOCK = select(
    _refuse_when(
        ~func.pg_try_advisory_xact_lock_shared(
            literal(MOVE_LOCKS, Integer()), func.hashtext(cast(bindparam("entered", type_=Text()), Text))
        )
    )
)
"""Shares the lock of the tenant's move until the transaction ends. Refused while a move holds the lock alone."""

REFUSE_ELSEWHERE = select(
    _refuse_when(exists().where(tenants.c.tenant_id == tenant_parameter(), among_these(tenants.c.state, ELSEWHERE)))
)
"""Refuses a tenant that lives in another cluster. It runs after the statement that enters the tenant."""
