"""Lists of API tokens and of OAuth clients, ordered by their creation."""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import ColumnElement, and_, bindparam, or_, select

from loyalty.storage.api_tokens import CLIENT, TOKEN, TOKEN_COLUMNS, ApiTokenRow
from loyalty.storage.narrowed import Narrowed, has_text
from loyalty.storage.tables import api_tokens
from loyalty.storage.window import Keyset, TimePlace, Window
from tenancy.reading import Reads
from tenancy.table import INSTANT, tenant_parameter


class TokenFilter(NamedTuple):
    """Limits a list of API tokens or of OAuth clients; None is no limit."""

    live: bool | None = None
    """Only credentials that work, or only credentials that have ended."""
    search: str | None = None
    """A text inside the name, compared without case."""


_TOKENS_BY_TIME = Keyset((api_tokens.c.created_at, api_tokens.c.id), descending=True)
_OF_KIND = {
    kind: select(*TOKEN_COLUMNS).where(api_tokens.c.tenant_id == tenant_parameter(), api_tokens.c.kind == kind)
    for kind in (TOKEN, CLIENT)
}


def narrow_tokens(wanted: TokenFilter, now: datetime, kind: str = TOKEN) -> Narrowed:
    """Return the list of API tokens or OAuth clients, ordered by their creation."""
    rows = Narrowed(_OF_KIND[kind], _TOKENS_BY_TIME)
    rows.keep_if("live", _is_live, wanted.live, live_at=now)
    if wanted.search is not None:
        rows.keep("search", lambda: has_text(api_tokens.c.name, "search"), search=wanted.search)
    return rows


def _is_live() -> ColumnElement[bool]:
    at = bindparam("live_at", type_=INSTANT)
    endless = api_tokens.c.expires_at.is_(None)
    return and_(api_tokens.c.revoked_at.is_(None), or_(endless, api_tokens.c.expires_at > at))


async def read_token_page(
    tx: Reads, wanted: TokenFilter, now: datetime, window: Window[TimePlace], kind: str = TOKEN
) -> list[ApiTokenRow]:
    """Return a page of API tokens or OAuth clients, the newest first unless the window says otherwise."""
    return [ApiTokenRow._make(row) for row in await narrow_tokens(wanted, now, kind).read(tx, window)]
