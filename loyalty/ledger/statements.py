"""Statements of a posting that do more than insert or move rows."""

from typing import Any

from sqlalchemy import Table, and_, delete, func, literal, literal_column, or_, select, update

from loyalty.ledger import rows
from loyalty.rules.lots import LotState
from loyalty.storage.purchases import PurchaseRow
from loyalty.storage.tables import (
    checkouts,
    customer_identifiers,
    customers,
    gift_card_products,
    idempotency_keys,
    lots,
    purchases,
)
from tenancy.table import INSTANT, insert_rows, record_set, rows_parameter, tenant_parameter


def save_purchases() -> Any:
    """Return the statement that inserts purchases or moves them to the next version.

    A purchase that another transaction has moved meanwhile is not changed and not returned.
    """
    statement = insert_rows(purchases, "purchases")
    # The key of a purchase and the time of its first recording never change.
    stays = {"id", "kind", "external_id", "recorded_at"}
    return statement.on_conflict_do_update(
        index_elements=["tenant_id", "kind", "external_id"],
        set_={name: statement.excluded[name] for name in PurchaseRow._fields if name not in stays},
        where=purchases.c.version == statement.excluded.version - 1,
    ).returning(purchases.c.id)


def save_keys() -> Any:
    """Return the statement that inserts idempotency keys.

    A key that another transaction has just kept is not returned.
    """
    statement = insert_rows(idempotency_keys, "idempotency_keys")
    return statement.on_conflict_do_nothing().returning(idempotency_keys.c.key)


def save_checkouts() -> Any:
    """Return the statement that opens checkouts or moves them to the next version.

    A checkout that another transaction has moved meanwhile is not changed and not returned.
    """
    statement = insert_rows(checkouts, "checkouts")
    return statement.on_conflict_do_update(
        index_elements=["tenant_id", "purchase_kind", "purchase_external_id"],
        set_={"version": statement.excluded.version},
        where=checkouts.c.version == statement.excluded.version - 1,
    ).returning(checkouts.c.version)


def find_unchanged_checkouts() -> Any:
    """Return the statement that finds the checkouts whose version has not changed since it was read.

    Version 0 stands for no checkout. It locks nothing. If a checkout is missing in the result, the posting is taken
    back, and the whole is decided again.
    """
    seen = rows_parameter(checkouts, "seen_checkouts", rows.SeenCheckout._fields)
    version_now = (
        select(checkouts.c.version)
        .where(
            checkouts.c.tenant_id == tenant_parameter(),
            checkouts.c.purchase_kind == seen.c.purchase_kind,
            checkouts.c.purchase_external_id == seen.c.purchase_external_id,
        )
        .scalar_subquery()
    )
    return select(seen.c.version).where(func.coalesce(version_now, 0) == seen.c.version)


def find_unrecorded_purchases() -> Any:
    """Return the statement that finds the purchases that are still not recorded.

    If a purchase is missing in the result, the posting is taken back, and the whole is decided again.
    """
    seen = rows_parameter(checkouts, "unrecorded_purchases", rows.UnrecordedPurchase._fields)
    recorded: Any = (
        select(literal_column("1"))
        .select_from(purchases)
        .where(
            purchases.c.tenant_id == tenant_parameter(),
            purchases.c.kind == seen.c.purchase_kind,
            purchases.c.external_id == seen.c.purchase_external_id,
        )
        .correlate(seen)
    )
    return select(seen.c.purchase_kind).where(~recorded.exists())


def count_sold() -> Any:
    """Return the statement that counts sold and cancelled cards of products.

    A product without enough stock, or edited meanwhile, is not changed and not returned: the sale is decided again.
    """
    numbers = ("product_id", "cards", "version")
    types = (gift_card_products.c.id.type, gift_card_products.c.sold.type, gift_card_products.c.version.type)
    sales = record_set("gift_card_sales", tuple(zip(numbers, types, strict=True)))
    sold = gift_card_products.c.sold + sales.c.cards
    return (
        update(gift_card_products)
        .where(
            gift_card_products.c.tenant_id == tenant_parameter(),
            gift_card_products.c.id == sales.c.product_id,
            or_(
                sales.c.cards < 0,
                and_(
                    gift_card_products.c.version == sales.c.version,
                    or_(gift_card_products.c.stock.is_(None), sold <= gift_card_products.c.stock),
                ),
            ),
        )
        .values(sold=sold)
        .returning(gift_card_products.c.id)
    )


def save_labels(table: Table) -> Any:
    """Return the statement that inserts the words or tags of customers. Rows that exist already stay."""
    return insert_rows(table, table.name).on_conflict_do_nothing()


def drop_labels(table: Table, owners: str, told: tuple[str, ...] = ()) -> Any:
    """Return the statement that deletes the words, identifiers or tags of the customers in the parameter ``owners``.

    With ``told`` it keeps the rows that the posting writes: rows that are equal in these columns.
    """
    statement = delete(table).where(
        table.c.tenant_id == tenant_parameter(), table.c.customer_id == any_customer_of(owners)
    )
    if not told:
        return statement
    rows_told = rows_parameter(table, table.name)
    same = [rows_told.c[name] == table.c[name] for name in told]
    return statement.where(~select(literal_column("1")).select_from(rows_told).where(*same).exists())


def any_customer_of(parameter: str) -> Any:
    """Return an expression that is equal to the id of each customer in a parameter.

    It is ANY of an array, so that the index serves any number of customers.
    """
    owners = rows_parameter(customers, parameter, ["id"])
    return func.any(func.array(select(owners.c.id).scalar_subquery()))


def save_identifiers() -> Any:
    """Return the statement that writes identifiers of customers.

    An identifier of another customer is taken over only if that customer gives it up in this posting; else it is not
    returned.
    """
    statement = insert_rows(customer_identifiers, "customer_identifiers", ordered_by="value")
    return statement.on_conflict_do_update(
        index_elements=["tenant_id", "value", "type"],
        set_={"customer_id": statement.excluded.customer_id},
        where=customer_identifiers.c.customer_id == any_customer_of("identifier_owners"),
    ).returning(customer_identifiers.c.value)


def put_off(*, spare_moves: bool) -> Any:
    """Return the statement that moves the expiry of open lots that expire by inactivity and are not expired yet.

    ``spare_moves`` leaves out the lots that the same posting moves: one statement cannot write a row twice. If the
    customer was active on the same day already, the index of open lots leads to no row.
    """
    names = ("customer_id", "inactivity_days", "expires_at", "notice_at")
    put_offs = record_set("put_offs", [*((name, lots.c[name].type) for name in names), ("active_at", INSTANT)])
    statement = update(lots).where(
        lots.c.tenant_id == tenant_parameter(),
        lots.c.customer_id == put_offs.c.customer_id,
        lots.c.state == literal(LotState.OPEN),
        lots.c.inactivity_days == put_offs.c.inactivity_days,
        lots.c.expires_at > put_offs.c.active_at,
        lots.c.expires_at < put_offs.c.expires_at,
    )
    if spare_moves:
        statement = statement.where(lots.c.id.not_in(select(rows_parameter(lots, "lot_moves", ["id"]).c.id)))
    return statement.values(expires_at=put_offs.c.expires_at, notice_at=put_offs.c.notice_at)
