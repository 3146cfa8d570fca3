"""Read the configuration of a purchase's evaluation again, after it has changed.

Rules and settings are stored by version. For the catalogue each change stores the state that it ends
(`catalog_history`). So the state of an item at a config version is the oldest state that ended after it, or the present
state.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Boolean, Integer, bindparam, case, func, or_, select, text, tuple_
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.dialects.postgresql import insert as upsert

from loyalty.rules.earning import CatalogItem, CatalogKind, EarningRule
from loyalty.rules.ids import RuleId
from loyalty.rules.program import ProgramSettings
from loyalty.storage.catalog import item_values
from loyalty.storage.documents import from_document
from loyalty.storage.programs import catalog_item_from_document, rule_from_document
from loyalty.storage.tables import catalog_history, catalog_items, earning_rule_versions, program_versions
from tenancy.database import Transaction
from tenancy.table import among, record_set, tenant_parameter

RuleVersion = tuple[RuleId, int]
ItemKey = tuple[CatalogKind, str]


class FormerState(NamedTuple):
    """The state of an item until a config version; None if the item did not exist."""

    until: int
    item: CatalogItem | None


class FormerPrograms(NamedTuple):
    """Parts of former configurations."""

    rules: dict[RuleVersion, EarningRule]
    settings: dict[int, ProgramSettings]
    items: dict[ItemKey, CatalogItem]
    history: dict[ItemKey, list[FormerState]]

    def item_at(self, key: ItemKey, config_version: int) -> CatalogItem | None:
        """Return an item's state at a config version."""
        ended = [state for state in self.history.get(key, ()) if state.until > config_version]
        return min(ended).item if ended else self.items.get(key)

    def catalog_at(self, config_version: int) -> list[CatalogItem]:
        """Return the states of all items that were read, at a config version."""
        keys = sorted({*self.items, *self.history})
        return [item for key in keys if (item := self.item_at(key, config_version)) is not None]


def _aggregate(table: Any, *conditions: Any) -> Any:
    row = func.to_jsonb(text(table.name))
    gathered = select(func.jsonb_agg(row, type_=JSONB)).select_from(table)
    return gathered.where(table.c.tenant_id == tenant_parameter(), *conditions).scalar_subquery()


def _is_wanted(table: Any) -> Any:
    """Return the condition: items by name, and all categories.

    The category of an item is known only after reading it.
    """
    return or_(among(table.c.external_id, "items"), table.c.kind == CatalogKind.CATEGORY)


_wanted_rules = record_set("rules", [(name, earning_rule_versions.c[name].type) for name in ("rule_id", "version")])
_READ = select(
    _aggregate(
        earning_rule_versions,
        tuple_(earning_rule_versions.c.rule_id, earning_rule_versions.c.version).in_(
            select(_wanted_rules.c.rule_id, _wanted_rules.c.version)
        ),
    ).label("rules"),
    _aggregate(program_versions, among(program_versions.c.version, "versions")).label("settings"),
    _aggregate(catalog_items, _is_wanted(catalog_items)).label("items"),
    _aggregate(
        catalog_history,
        _is_wanted(catalog_history),
        catalog_history.c.until_config_version > bindparam("since", type_=Integer()),
    ).label("history"),
)

_COMPARED = [column for column in catalog_items.c if column.name not in ("tenant_id", "name", "updated_at")]
"""The columns of an item that decide about its points."""
_OF_KEYS = ("kind", "external_id")
_given = record_set("given", [("stays", Boolean()), *((column.name, column.type) for column in _COMPARED)])
_exists = catalog_items.c.kind.is_not(None)
_differs = or_(*(c.is_distinct_from(_given.c[c.name]) for c in _COMPARED if c.name not in _OF_KEYS))
_KEEP = (
    upsert(catalog_history)
    .from_select(
        ["tenant_id", *_OF_KEYS, "until_config_version", "state"],
        select(
            tenant_parameter(),
            _given.c.kind,
            _given.c.external_id,
            bindparam("until", type_=Integer()),
            case((_exists, func.to_jsonb(text(catalog_items.name)))),
        )
        .select_from(
            _given.outerjoin(
                catalog_items,
                (catalog_items.c.tenant_id == tenant_parameter())
                & (catalog_items.c.kind == _given.c.kind)
                & (catalog_items.c.external_id == _given.c.external_id),
            )
        )
        .where(or_(_exists != _given.c.stays, _given.c.stays & _differs)),
    )
    .on_conflict_do_nothing()
)


async def read_former_programs(
    tx: Transaction, rules: Iterable[RuleVersion], versions: Iterable[int], items: Iterable[str], since: int
) -> FormerPrograms:
    """Return rules and settings by version, and items of the catalogue with all their states since a config version."""
    row = await tx.row(
        _READ,
        rules=[{"rule_id": rule_id, "version": version} for rule_id, version in set(rules)],
        versions=list(set(versions)),
        items=list(set(items)),
        since=since,
    )
    history: dict[ItemKey, list[FormerState]] = {}
    for stored in (row and row.history) or ():
        item = catalog_item_from_document(stored["state"]) if stored["state"] else None
        key = (CatalogKind(stored["kind"]), stored["external_id"])
        history.setdefault(key, []).append(FormerState(stored["until_config_version"], item))
    settings = {one["version"]: from_document(ProgramSettings, one["settings"]) for one in (row and row.settings) or ()}
    found = [catalog_item_from_document(stored) for stored in (row and row.items) or ()]
    former = [rule_from_document({**stored, "id": stored["rule_id"]}) for stored in (row and row.rules) or ()]
    return FormerPrograms(
        rules={(rule.id, rule.version): rule for rule in former},
        settings=settings,
        items={(item.kind, item.external_id): item for item in found},
        history=history,
    )


async def keep_former_items(tx: Transaction, items: Sequence[CatalogItem], until: int) -> None:
    """Before items are saved: store their states until the next config version, if the change affects points."""
    names = [column.name for column in _COMPARED]
    rows = [{name: values[name] for name in names} | {"stays": True} for values in map(item_values, items)]
    await tx.run(_KEEP, given=rows, until=until)


async def keep_removed_items(tx: Transaction, keys: Sequence[tuple[str, str]], until: int) -> None:
    """Before items are removed: store their states until the next config version."""
    rows = [{"kind": kind, "external_id": external_id, "stays": False} for kind, external_id in keys]
    await tx.run(_KEEP, given=rows, until=until)
