"""The lines of a purchase."""

from fractions import Fraction
from typing import cast

import strawberry

from loyalty.rules.counted_lines import LineNames, SoldAs
from loyalty.rules.money import Money as Amount
from loyalty.rules.purchase import LineKind, PurchaseKind
from loyalty.rules.purchase import PurchaseLine as Line
from schema.context import Info
from schema.fields import computed
from schema.loaders import load
from schema.scalars import Quantity
from schema.types.money import Money
from schema.types.node import show_row


@strawberry.type(description="One position of a purchase.")
class PurchaseLine:
    kind: LineKind = strawberry.field(description="The kind of the line, such as an item or shipping.")
    item: str | None = strawberry.field(description="External id of the service, class or product.")
    category: str | None = strawberry.field(description="External id of the category of the item.")
    quantity: Quantity = strawberry.field(
        description="How many; 0 for a line that a report left out after a refund. It stays, so that all lines keep "
        "their positions."
    )
    unit_price: Money = strawberry.field(description="Price of one, tax included.")
    discount: Money = strawberry.field(description="Discount of the whole line.")
    tax: Money = strawberry.field(description="Tax that the amount contains.")
    amount: Money = strawberry.field(description="The price of the line, after its own discount.")
    line_id: str | None = strawberry.field(description="The caller's own id of the line, if it was told.")
    sold_as: strawberry.Private[SoldAs]

    @computed(description="What the tenant calls the item, from the catalogue as it is now; null where it has no name.")
    async def item_name(self, info: Info) -> str | None:
        """The catalogue is asked once for all lines."""
        names: LineNames | None = await load(info, "line_names", self.sold_as)
        return names and names.item

    @computed(
        description="What the tenant calls the category of the line, or else that of the item; null where it has no "
        "name."
    )
    async def category_name(self, info: Info) -> str | None:
        """The catalogue is asked once for all lines."""
        names: LineNames | None = await load(info, "line_names", self.sold_as)
        return names and names.category


def line_of(line: Line, kind: PurchaseKind, currency: str) -> PurchaseLine:
    """Return a line with amounts in the currency of its purchase.

    The purchase's kind says which item the line names.
    """

    def money(minor: int) -> Money:
        return show_row(Money, Amount(minor, currency))

    return PurchaseLine(
        kind=line.kind,
        item=line.item,
        category=line.category,
        quantity=show_quantity(line.quantity),
        unit_price=money(line.unit_price_minor),
        discount=money(line.discount_minor),
        tax=money(line.tax_minor),
        amount=money(line.amount_minor),
        line_id=line.line_id,
        sold_as=SoldAs(kind, line.item, line.category),
    )


def show_quantity(quantity: int | Fraction) -> Quantity:
    """Return a quantity in the form for the scalar."""
    return cast("Quantity", quantity)  # the scalar shows whole numbers as such
