"""Statements of a posting that do more than insert or move rows."""

from typing import Any

from sqlalchemy import delete, func, literal, select, update

from loyalty.ledger import rows
from loyalty.rules.lots import LotState
from loyalty.storage.tables import (
    checkouts,
    customer_identifiers,
    customer_tags,
    customer_words,
    customers,
    idempotency_keys,
    lots,
    purchases,
)
from tenancy.table import INSTANT, insert_rows, record_set, rows_parameter, tenant_parameter


def save_purchases() -> Any:
    """Insert, or move to the next version; a purchase that somebody else moved meanwhile is left alone and missed."""
    statement = insert_rows(purchases, "purchases")
    changing = (
        "customer_id",
        "status",
        "version",
        "generation",
        "total_minor",
        "refunded_minor",
        "currency",
        "lines",
        "exchange",
        "location",
        "staff",
        "told_at",
    )
    times = ("booked_at", "starts_at", "ends_at", "occurred_at", "evaluates_at", "updated_at")
    return statement.on_conflict_do_update(
        index_elements=["tenant_id", "kind", "external_id"],
        set_={name: statement.excluded[name] for name in (*changing, *times)},
        where=purchases.c.version == statement.excluded.version - 1,
    ).returning(purchases.c.id)


def save_keys() -> Any:
    """Keep idempotency keys; one that a concurrent transaction has just kept is missed."""
    statement = insert_rows(idempotency_keys, "idempotency_keys")
    return statement.on_conflict_do_nothing().returning(idempotency_keys.c.key)


def save_checkouts() -> Any:
    """Open a checkout, or move it to the next version; one that somebody else moved meanwhile is missed."""
    statement = insert_rows(checkouts, "checkouts")
    return statement.on_conflict_do_update(
        index_elements=["tenant_id", "purchase_kind", "purchase_external_id"],
        set_={"version": statement.excluded.version},
        where=checkouts.c.version == statement.excluded.version - 1,
    ).returning(checkouts.c.version)


def see_checkouts() -> Any:
    """Find the checkouts that still have the version they were read with, 0 where there was none."""
    seen = rows_parameter(checkouts, "seen_checkouts", rows.SeenCheckout._fields)
    now = (
        select(checkouts.c.version)
        .where(
            checkouts.c.tenant_id == tenant_parameter(),
            checkouts.c.purchase_kind == seen.c.purchase_kind,
            checkouts.c.purchase_external_id == seen.c.purchase_external_id,
        )
        .scalar_subquery()
    )
    return select(seen.c.version).where(func.coalesce(now, 0) == seen.c.version)


def save_words() -> Any:
    """Add the words that a search does not have yet."""
    return insert_rows(customer_words, "customer_words").on_conflict_do_nothing()


def drop_words() -> Any:
    """Take away the words of customers who have others now."""
    marked = rows_parameter(customers, "search_marks", ["id"])
    words = rows_parameter(customer_words, "customer_words")
    kept = select(words.c.word).where(
        words.c.customer_id == customer_words.c.customer_id, words.c.word == customer_words.c.word
    )
    return delete(customer_words).where(
        customer_words.c.tenant_id == tenant_parameter(),
        # An array, so that the words are found by their customers however many there are.
        customer_words.c.customer_id == func.any(func.array(select(marked.c.id).scalar_subquery())),
        ~kept.exists(),
    )


def owners(parameter: str) -> Any:
    """The customers of a parameter as an array, so that their rows are found however many there are."""
    owners = rows_parameter(customers, parameter, ["id"])
    return func.any(func.array(select(owners.c.id).scalar_subquery()))


def save_identifiers() -> Any:
    """Let identifiers lead to customers; one of a customer who does not give it up in this posting is missed."""
    statement = insert_rows(customer_identifiers, "customer_identifiers", ordered_by="value")
    return statement.on_conflict_do_update(
        index_elements=["tenant_id", "value", "type"],
        set_={"customer_id": statement.excluded.customer_id},
        where=customer_identifiers.c.customer_id == owners("identifier_owners"),
    ).returning(customer_identifiers.c.value)


def drop_identifiers(*, keep: bool) -> Any:
    """Take away the identifiers of owners; with ``keep`` only those that the posting gives to nobody."""
    statement = delete(customer_identifiers).where(
        customer_identifiers.c.tenant_id == tenant_parameter(),
        customer_identifiers.c.customer_id == owners("identifier_owners"),
    )
    if not keep:
        return statement
    told = rows_parameter(customer_identifiers, "customer_identifiers")
    kept = select(told.c.value).where(
        told.c.value == customer_identifiers.c.value, told.c.type == customer_identifiers.c.type
    )
    return statement.where(~kept.exists())


def save_tags() -> Any:
    """Add the tags that a filter does not have yet."""
    return insert_rows(customer_tags, "customer_tags").on_conflict_do_nothing()


def drop_tags(*, keep: bool) -> Any:
    """Take away the tags of owners; with ``keep`` only those that the posting does not tell."""
    statement = delete(customer_tags).where(
        customer_tags.c.tenant_id == tenant_parameter(), customer_tags.c.customer_id == owners("tag_owners")
    )
    if not keep:
        return statement
    told = rows_parameter(customer_tags, "customer_tags")
    kept = select(told.c.tag).where(
        told.c.customer_id == customer_tags.c.customer_id, told.c.tag == customer_tags.c.tag
    )
    return statement.where(~kept.exists())


def put_off(*, spare_moves: bool) -> Any:
    """Put off the expiry of open lots that live as long as their owner is active, and are not over yet.

    ``spare_moves`` leaves out the lots that the same posting moves: one statement cannot write a row twice. Where the
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
