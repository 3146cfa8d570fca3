"""Orders from abroad over the wire: the caller tells the rate, the purchase keeps it."""

from tests.acceptance.business import Business
from tests.acceptance.client import Json, create_rule, money, purchase_of

PER_EURO = {"perAmount": {"points": 1, "per": money("1.00")}}
RECORDED = (
    "purchase { total { amount currency } exchange { rate total { amount currency } } status } "
    "accrual { points lines { explanation } } userErrors { code message path }"
)


async def test_an_order_in_another_currency(salon: Business) -> None:
    await create_rule(salon.manager, "Per euro", PER_EURO)
    await salon.integration.mutate("purchaseRecord", RECORDED, **purchase_of("web-0"))
    given: Json = purchase_of("web-1", total=money("120.00", "USD"))
    async with salon.unchanged():
        refused = await salon.integration.mutate("purchaseRecord", RECORDED, **given)
    (error,) = refused["userErrors"]
    assert error["message"] == "The amount must be in EUR, not in USD, or send exchangeRate."
    assert (error["code"], error["path"]) == ("CURRENCY_MISMATCH", ["total", "currency"])
    payload = await salon.integration.mutate("purchaseRecord", RECORDED, **given, exchangeRate="0.8765")
    assert payload["purchase"]["total"] == {"amount": "105.18", "currency": "EUR"}
    assert payload["purchase"]["exchange"] == {"rate": "0.8765", "total": {"amount": "120.00", "currency": "USD"}}
    assert payload["accrual"] == {
        "points": 105,
        "lines": [{"explanation": "105 points: 1 per 1.00 EUR of 105.18 EUR (from USD at 0.8765), rounded down."}],
    }
    for wrong in ("0", "-1", 0.8, "1.00000000001"):
        async with salon.unchanged():
            other = purchase_of("web-2", total=money("120.00", "USD"))
            refused = await salon.integration.mutate("purchaseRecord", RECORDED, **other, exchangeRate=wrong)
        assert [error["path"] for error in refused["userErrors"]] == [["exchangeRate"]], wrong
    async with salon.unchanged():
        (refusal,) = await salon.integration.refusals(
            "purchaseRefund",
            purchase={"key": {"kind": given["kind"], "externalId": "web-1"}},
            amount=money("1.00", "USD"),
            lines=[{"line": 0, "amount": money("1.00")}],
            idempotencyKey="mixed",
        )
    assert (refusal["code"], refusal["path"]) == ("INVALID_INPUT", ["lines"])
