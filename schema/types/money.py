"""Money in the API: an exact decimal text with its currency, never a float."""

import strawberry

from loyalty.rules.errors import CurrencyMismatch
from loyalty.rules.money import Money as Amount
from loyalty.rules.money import format_amount, parse_amount
from schema.fields import computed
from schema.scalars import CurrencyCode, Decimal
from schema.types.node import row_of


@strawberry.type(description="An amount of money.")
class Money:
    currency: CurrencyCode = strawberry.field(description="ISO 4217.")

    @computed(description="Exact, with as many decimals as the currency has.")
    def amount(self) -> Decimal:
        """Reads ``loyalty.rules.money.Money``."""
        amount = row_of(Amount, self)
        return Decimal(format_amount(amount.amount_minor, amount.currency))


@strawberry.input(description="An amount of money; not more decimals than the currency has.")
class MoneyInput:
    amount: Decimal = strawberry.field(description='Such as "12.30".')
    currency: CurrencyCode = strawberry.field(description="ISO 4217.")


def amount_of(given: MoneyInput, *path: str) -> Amount:
    """Return an amount for the rules. Raises InvalidInput for too many decimals."""
    return Amount(parse_amount(given.amount, given.currency, (*path, "amount")), given.currency)


def minor_in(given: MoneyInput | None, currency: str, *path: str) -> int | None:
    """Return the minor units of an amount, which must have this currency."""
    if given is None:
        return None
    if given.currency != currency:
        raise CurrencyMismatch(currency, given.currency, (*path, "currency"))
    return parse_amount(given.amount, currency, (*path, "amount"))
