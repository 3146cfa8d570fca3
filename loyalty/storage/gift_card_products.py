"""Products of gift cards: those in force, and all their versions."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import and_, bindparam, func, insert, select, update

from loyalty.rules.gift_card_product import GiftCardProduct, ProductSales, Validity
from loyalty.rules.ids import CustomerId, GiftCardProductId
from loyalty.rules.money import Money
from loyalty.rules.search import fold_text
from loyalty.storage.catalog import fold_column
from loyalty.storage.documents import from_document, to_document
from loyalty.storage.narrowed import Narrowed
from loyalty.storage.tables import gift_card_product_versions, gift_card_products, gift_cards
from loyalty.storage.window import Keyset, TimePlace, Window
from tenancy.database import Transaction
from tenancy.reading import Reads
from tenancy.table import among, tenant_parameter


class GiftCardProductRow(NamedTuple):
    """A product at its newest version."""

    id: GiftCardProductId
    version: int
    name: str
    description: str | None
    picture_url: str | None
    face_minor: int
    currency: str
    purchasable_with_points: bool
    points_cost: int | None
    validity: Validity
    stock: int | None
    limit_per_customer: int | None
    active: bool
    created_at: datetime
    updated_at: datetime
    archived_at: datetime | None

    @property
    def face(self) -> Money:
        """The face value of a new card."""
        return Money(self.face_minor, self.currency)

    @property
    def is_offered(self) -> bool:
        """Whether customers see it: it is on sale, and for points."""
        return self.active and self.purchasable_with_points and self.archived_at is None

    @property
    def definition(self) -> GiftCardProduct:
        """The product as the rules know it."""
        return GiftCardProduct(
            id=self.id,
            name=self.name,
            face=self.face,
            description=self.description,
            picture_url=self.picture_url,
            purchasable_with_points=self.purchasable_with_points,
            points_cost=self.points_cost,
            validity=self.validity,
            stock=self.stock,
            limit_per_customer=self.limit_per_customer,
            active=self.active,
            archived=self.archived_at is not None,
        )

    def with_definition(self, product: GiftCardProduct) -> "GiftCardProductRow":
        """Return the row with all fields that a change can set."""
        return self._replace(
            name=product.name,
            description=product.description,
            picture_url=product.picture_url,
            face_minor=product.face.amount_minor,
            currency=product.face.currency,
            purchasable_with_points=product.purchasable_with_points,
            points_cost=product.points_cost,
            validity=product.validity,
            stock=product.stock,
            limit_per_customer=product.limit_per_customer,
            active=product.active,
        )


class GiftCardProductFilter(NamedTuple):
    """Limits a list of products; None is no limit. ``search`` is a text inside the name.

    ``offered`` limits it to the products that customers see: on sale, and for points.
    """

    active: bool | None = None
    archived: bool | None = False
    purchasable_with_points: bool | None = None
    search: str | None = None
    offered: bool = False


_COLUMNS = [gift_card_products.c[name] for name in GiftCardProductRow._fields]
_WRITTEN = tuple(name for name in GiftCardProductRow._fields if name not in {"id", "created_at"})
_ALL = select(*_COLUMNS).where(gift_card_products.c.tenant_id == tenant_parameter())
_BY_CREATION = Keyset((gift_card_products.c.created_at, gift_card_products.c.id), descending=True)
_OFFERED = and_(
    gift_card_products.c.active.is_(True),
    gift_card_products.c.purchasable_with_points.is_(True),
    gift_card_products.c.archived_at.is_(None),
)
_BY_IDS = _ALL.where(among(gift_card_products.c.id, "ids"))
_LOCK = _ALL.where(gift_card_products.c.id == bindparam("id")).with_for_update()
_sold_to_customer = (
    select(func.count())
    .where(
        gift_cards.c.tenant_id == tenant_parameter(),
        gift_cards.c.product_id == bindparam("id"),
        gift_cards.c.buyer_id == bindparam("customer", type_=gift_cards.c.buyer_id.type),
        gift_cards.c.voided_at.is_(None),
    )
    .scalar_subquery()
)
_SALES = select(*_COLUMNS, gift_card_products.c.sold, _sold_to_customer.label("sold_to_customer")).where(
    gift_card_products.c.tenant_id == tenant_parameter(), gift_card_products.c.id == bindparam("id")
)
_COUNT = select(func.count()).where(
    gift_card_products.c.tenant_id == tenant_parameter(), gift_card_products.c.archived_at.is_(None)
)
_INSERT = insert(gift_card_products).values(
    tenant_id=tenant_parameter(), **{name: bindparam(name) for name in GiftCardProductRow._fields}
)
_UPDATE = (
    update(gift_card_products)
    .where(gift_card_products.c.tenant_id == tenant_parameter(), gift_card_products.c.id == bindparam("product"))
    .values(**{name: bindparam(name) for name in _WRITTEN})
)
_INSERT_VERSION = insert(gift_card_product_versions).values(
    tenant_id=tenant_parameter(),
    **{name: bindparam(name) for name in ("product_id", "version", "definition", "created_at", "created_by")},
)


def _narrow_products(wanted: GiftCardProductFilter) -> Narrowed:
    """Return the list of products, ordered by their creation."""
    rows = Narrowed(_ALL, _BY_CREATION)
    known = gift_card_products.c
    rows.keep_if("active", lambda: known.active.is_(True), wanted.active)
    rows.keep_if("for_points", lambda: known.purchasable_with_points.is_(True), wanted.purchasable_with_points)
    rows.keep_if("archived", lambda: known.archived_at.is_not(None), wanted.archived)
    if wanted.offered:
        rows.keep("offered", lambda: _OFFERED)
    if wanted.search is not None:
        name_ = fold_column(gift_card_products.c.name)
        rows.keep("search", lambda: func.strpos(name_, bindparam("searched")) > 0, searched=fold_text(wanted.search))
    return rows


async def read_product_page(
    tx: Reads, wanted: GiftCardProductFilter, window: Window[TimePlace]
) -> list[GiftCardProductRow]:
    """Return a page of products."""
    return [_row(row) for row in await _narrow_products(wanted).read(tx, window)]


async def count_products_listed(tx: Reads, wanted: GiftCardProductFilter) -> int:
    """Count the products of a list, up to its ceiling."""
    return await _narrow_products(wanted).count(tx)


async def read_products_by_id(
    tx: Reads, ids: Sequence[GiftCardProductId]
) -> dict[GiftCardProductId, GiftCardProductRow]:
    """Return the products among ``ids``, also archived ones."""
    return {row.id: _row(row) for row in await tx.rows(_BY_IDS, ids=list(ids))}


async def read_product_sales(
    tx: Transaction, product_id: GiftCardProductId, customer_id: CustomerId | None
) -> tuple[GiftCardProductRow | None, ProductSales]:
    """Return a product with the numbers of its sales: all, and those to one customer, whose account must be locked."""
    row = await tx.row(_SALES, id=product_id, customer=customer_id)
    if row is None:
        return None, ProductSales(None)
    product = _row([getattr(row, name) for name in GiftCardProductRow._fields])
    return product, ProductSales(product.definition, row.sold, row.sold_to_customer)


async def lock_product(tx: Transaction, product_id: GiftCardProductId) -> GiftCardProductRow | None:
    """Return a product, and lock it for an edit.

    A sale takes no lock: its posting counts it if the version is the same.
    """
    row = await tx.row(_LOCK, id=product_id)
    return _row(row) if row else None


async def count_products(tx: Transaction) -> int:
    """Count the tenant's products that are not archived."""
    row = await tx.row(_COUNT)
    return int(row[0]) if row else 0


async def insert_product(tx: Transaction, product: GiftCardProductRow, created_by: str) -> None:
    """Insert a new product with its first version."""
    await tx.run(_INSERT, **_values(product))
    await _keep_version(tx, product, created_by)


async def update_product(tx: Transaction, product: GiftCardProductRow, created_by: str) -> None:
    """Write the next version of a product; earlier versions stay."""
    values = _values(product)
    await tx.run(_UPDATE, product=product.id, **{name: values[name] for name in _WRITTEN})
    await _keep_version(tx, product, created_by)


async def _keep_version(tx: Transaction, product: GiftCardProductRow, created_by: str) -> None:
    await tx.run(
        _INSERT_VERSION,
        product_id=product.id,
        version=product.version,
        definition=to_document(product.definition),
        created_at=product.updated_at,
        created_by=created_by,
    )


def _values(product: GiftCardProductRow) -> dict[str, Any]:
    return product._asdict() | {"validity": to_document(product.validity)}


def _row(row: Any) -> GiftCardProductRow:
    made = GiftCardProductRow._make(row)
    return made._replace(validity=from_document(Validity, made.validity))
