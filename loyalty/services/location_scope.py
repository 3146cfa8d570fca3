"""The locations that members and API tokens are limited to (their scope of locations).

A location stays in the catalogue while a scope names it. Scopes and the catalogue change under the same lock, which is
the lock of the program.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from datetime import datetime

from loyalty.rules.catalog import CatalogKind
from loyalty.rules.credential import is_live
from loyalty.rules.errors import Problem
from loyalty.rules.location import SCOPE_PATH
from loyalty.storage.api_tokens import read_api_tokens
from loyalty.storage.catalog import CatalogPlace, read_items_by_key
from loyalty.storage.members import read_scoped_members
from tenancy.database import Transaction
from tenancy.reading import Reads


async def find_unknown_locations(tx: Reads, locations: Sequence[str] | None) -> list[Problem]:
    """Return a problem for each location of a scope that is not in the catalogue."""
    if locations is None:
        return []
    places = [CatalogPlace(CatalogKind.LOCATION, one) for one in locations]
    known = {item.external_id for item in await read_items_by_key(tx, places)}
    return [
        Problem((*SCOPE_PATH, str(place)), "must be the external id of a LOCATION of the catalogue")
        for place, one in enumerate(locations)
        if one not in known
    ]


async def find_locations_in_use(
    tx: Transaction, removals: Sequence[CatalogPlace], kept: Collection[CatalogPlace], now: datetime
) -> list[Problem]:
    """Return a problem for each location to remove that a member or an API token is limited to.

    ``kept`` are the items that the same call adds or changes: they stay in the catalogue.
    """
    if all(place.kind != CatalogKind.LOCATION for place in removals):
        return []
    having = Counter(one for row in await read_scoped_members(tx) for one in row.locations or ())
    having.update(one for row in await read_api_tokens(tx) if is_live(row, now) for one in row.locations or ())
    return [
        Problem(("remove", str(index)), f"{having[place.external_id]} members or API tokens are limited to it")
        for index, place in enumerate(removals)
        if place.kind == CatalogKind.LOCATION and place not in kept and having[place.external_id]
    ]
