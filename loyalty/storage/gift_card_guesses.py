"""Count wrong codes of gift cards, in one statement. Guesses of one scope wait for each other."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Integer, Text, all_, bindparam, case, delete, func, literal_column, select
from sqlalchemy.dialects.postgresql import ARRAY, insert

from loyalty.rules.gift_card_guess import Guesses
from loyalty.storage.tables import gift_card_guesses as guesses
from tenancy.database import Transaction
from tenancy.table import INSTANT, tenant_parameter

MAX_FORGOTTEN = 20
"""The number of ended windows whose rows one guess deletes: more than one guess can make."""

_now = bindparam("now", type_=INSTANT)
_scopes = bindparam("scopes", type_=ARRAY(Text()))
_scope = func.unnest(_scopes).column_valued("scope")
# This does not wait: a row that another transaction has locked is deleted at a later guess.
_ended = (
    select(guesses.c.scope)
    .where(guesses.c.tenant_id == tenant_parameter(), guesses.c.ends_at <= _now, guesses.c.scope != all_(_scopes))
    .order_by(guesses.c.ends_at)
    .limit(literal_column(str(MAX_FORGOTTEN)))
    .with_for_update(skip_locked=True)
)
_forgotten = (
    delete(guesses)
    .where(guesses.c.tenant_id == tenant_parameter(), guesses.c.scope.in_(_ended))
    .returning(guesses.c.scope)
    .cte("forgotten")
)
_fresh = insert(guesses).from_select(
    ["tenant_id", "scope", "wrong", "ends_at"],
    # In the same order in every transaction, so that no two of them wait for each other.
    select(tenant_parameter(), _scope, bindparam("wrong", type_=Integer), bindparam("ends_at", type_=INSTANT)).order_by(
        _scope
    ),
)
_is_over = guesses.c.ends_at <= _now
_COUNT = (
    _fresh.on_conflict_do_update(
        index_elements=["tenant_id", "scope"],
        set_={
            "wrong": case((_is_over, _fresh.excluded.wrong), else_=guesses.c.wrong + _fresh.excluded.wrong),
            "ends_at": case((_is_over, _fresh.excluded.ends_at), else_=guesses.c.ends_at),
        },
    )
    .returning(guesses.c.scope, guesses.c.wrong, guesses.c.ends_at)
    .add_cte(_forgotten)
)


async def count_guess(
    tx: Transaction, scopes: Sequence[str], *, wrong: bool, now: datetime, ends_at: datetime
) -> list[Guesses]:
    """Count a guess in its scopes; a right code counts 0.

    Until the transaction ends, other guesses in these scopes wait. A window that has ended begins again, and then ends
    at ``ends_at``. Some other ended windows are deleted.
    """
    rows = await tx.rows(_COUNT, scopes=list(scopes), wrong=int(wrong), now=now, ends_at=ends_at)
    return [Guesses._make(row) for row in rows]
