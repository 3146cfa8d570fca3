"""Customers have a life of their own: they are created, changed, and take back what they agreed to."""

from datetime import UTC, datetime, timedelta

from tests.acceptance.business import Business
from tests.acceptance.client import Json, create_rule, find_customer, purchase_of, record

SHOWN = "externalId fullName email phone locale category marketingConsent"
HISTORY = "marketingConsent consents { granted source toldAt actor }"


async def upsert(salon: Business, **told: object) -> Json:
    """Tell something about Anna; the customer as known then."""
    payload = await salon.integration.do("customerUpsert", f"customer {{ {SHOWN} }}", externalId="anna", **told)
    assert payload["customer"] == await find_customer(salon.staff, "anna", SHOWN)
    return payload["customer"]  # type: ignore[no-any-return]


async def test_an_absent_field_stays_null_removes_and_a_value_sets(salon: Business) -> None:
    first = await upsert(
        salon, fullName="Anna", email="Anna@Example.org", phone="+49 170 1234567", locale="de", category="vip"
    )
    assert first == {
        "externalId": "anna",
        "fullName": "Anna",
        "email": "anna@example.org",
        "phone": "+491701234567",
        "locale": "de",
        "category": "vip",
        "marketingConsent": False,
    }
    assert await upsert(salon) == first
    assert await upsert(salon, fullName="Anna B.") == {**first, "fullName": "Anna B."}
    bare = await upsert(salon, fullName=None, email=None, phone=None, locale=None, category=None)
    assert bare == {**first, "fullName": "", "email": None, "phone": None, "locale": None, "category": None}
    async with salon.unchanged():
        (refused,) = await salon.integration.refusals("customerUpsert", externalId="anna", email="k.A.")
        assert (refused["code"], refused["path"]) == ("INVALID_INPUT", ["email"])
        (refused,) = await salon.integration.refusals("customerUpsert", externalId="anna", asOf="2999-01-01T00:00:00Z")
        assert refused["path"] == ["asOf"]


async def test_an_older_fact_never_overwrites_a_newer_one(salon: Business) -> None:
    await upsert(salon, fullName="New", asOf="2026-02-02T00:00:00Z")
    late = await upsert(salon, fullName="Old", email="old@example.org", asOf="2026-01-01T00:00:00Z")
    assert (late["fullName"], late["email"]) == ("New", "old@example.org")
    payload = await salon.integration.do(
        "purchaseRecord",
        f"customer {{ {SHOWN} }}",
        **purchase_of("1", customer={"externalId": "anna", "fullName": "Older", "asOf": "2025-01-01T00:00:00Z"}),
    )
    assert payload["customer"]["fullName"] == "New"
    assert (await upsert(salon, fullName=None, asOf="2026-02-01T00:00:00Z"))["fullName"] == "New"
    assert (await upsert(salon, fullName="Newest"))["fullName"] == "Newest"


async def test_a_late_report_overwrites_no_newer_facts(salon: Business) -> None:
    """A till that was offline tells what it knew then: `occurredAt` is the age of what it says about the customer."""
    yesterday = (datetime.now(UTC) - timedelta(days=1)).isoformat()
    await upsert(salon, fullName="New", marketingConsent=False)
    told = {"externalId": "anna", "fullName": "Old", "phone": "+4930123", "marketingConsent": True}
    late = purchase_of("late", customer=told, occurredAt=yesterday)
    for _ in ("first", "sent again"):
        payload = await salon.integration.do("purchaseRecord", f"customer {{ {SHOWN} }}", **late)
        shown = {name: payload["customer"][name] for name in told}
        assert shown == {**told, "fullName": "New", "marketingConsent": False}
    dated = {**told, "asOf": datetime.now(UTC).isoformat()}
    payload = await salon.integration.do(
        "purchaseRecord", f"customer {{ {SHOWN} }}", **purchase_of("dated", customer=dated, occurredAt=yesterday)
    )
    assert payload["customer"]["fullName"] == "Old"


async def test_a_consent_is_withdrawn_and_every_change_is_kept(salon: Business) -> None:
    await upsert(salon, marketingConsent=True, consentSource="web form", asOf="2026-01-01T00:00:00Z")
    await upsert(salon, marketingConsent=True)
    await upsert(salon, marketingConsent=False, consentSource="phone call", asOf="2026-02-01T00:00:00Z")
    shown = await find_customer(salon.staff, "anna", HISTORY)
    assert (shown["marketingConsent"], [one["granted"] for one in shown["consents"]]) == (True, [True])
    await upsert(salon, marketingConsent=False, consentSource="phone call")
    shown = await find_customer(salon.staff, "anna", HISTORY)
    assert shown["marketingConsent"] is False
    assert [(one["granted"], one["source"]) for one in shown["consents"]] == [
        (False, "phone call"),
        (True, "web form"),
    ]
    assert shown["consents"][1]["toldAt"] == "2026-01-01T00:00:00Z"
    assert shown["consents"][0]["actor"] == "Booking system"


async def test_a_report_that_is_sent_again_tells_what_is_new_about_the_customer(salon: Business) -> None:
    """The fact is a replay, the withdrawn consent is not; a late retry does not give it back."""
    await create_rule(salon.manager, "Ten", 10)

    async def report(*, consent: bool) -> Json:
        customer = {"externalId": "anna", "marketingConsent": consent}
        return await salon.integration.do(  # type: ignore[no-any-return]
            "purchaseRecord", "replayed customer { marketingConsent }", **purchase_of("o", customer=customer)
        )

    assert (await report(consent=True))["replayed"] is False
    again = await report(consent=False)
    assert (again["replayed"], again["customer"]["marketingConsent"]) == (True, False)
    assert (await find_customer(salon.staff, "anna", "marketingConsent"))["marketingConsent"] is False
    async with salon.unchanged():
        await report(consent=False)
    await upsert(salon, marketingConsent=True)
    await upsert(salon, marketingConsent=False)
    late = await report(consent=True)
    assert (late["replayed"], late["customer"]["marketingConsent"]) == (True, False)


async def test_telephone_and_consents_are_for_the_team_and_for_the_customer(salon: Business) -> None:
    await upsert(salon, phone="+491701234567", marketingConsent=True)
    secret = "phone consents { granted actor }"
    customer = await salon.customer("anna")
    mine = await customer.get(f"{{ me {{ {secret} }} }}")
    assert mine == {"phone": "+491701234567", "consents": [{"granted": True, "actor": "STAFF"}]}
    made = await salon.owner.do("apiTokenCreate", "secret", name="Till", permissions=["PURCHASES_RECORD"])
    till = salon.owner._replace(token=made["secret"])
    payload = await till.do("customerUpsert", f"customer {{ {secret} }}", externalId="anna", fullName="Anna")
    assert payload["customer"] == {"phone": None, "consents": []}
    (refused,) = [await salon.staff.answer('mutation { customerUpsert(input: {externalId: "x"}) { customer { id } } }')]
    assert refused["errors"][0]["extensions"]["code"] == "FORBIDDEN"


async def test_many_customers_are_told_at_once_and_a_bad_one_harms_no_other(salon: Business) -> None:
    await record(salon.integration, "1", customer={"externalId": "known", "fullName": "Known"})
    items: list[Json] = [{"externalId": f"c-{number}", "fullName": f"Customer {number}"} for number in range(300)]
    items[5] = {"externalId": "", "fullName": "Nobody"}
    items[6] = {"externalId": "c-6", "locale": "klingon language"}
    items[7] = {"externalId": "c-7", "asOf": "yesterday"}
    items[8] = {"externalId": "known", "phone": "0170 1234567", "locale": "de_DE"}
    payload = await salon.integration.do(
        "customersUpsert",
        f"results {{ customer {{ {SHOWN} }} userErrors {{ path }} }} warnings {{ path }}",
        items=items,
    )
    results = payload["results"]
    assert [number for number, result in enumerate(results) if result["userErrors"]] == [5, 6, 7]
    assert [results[number]["userErrors"][0]["path"] for number in (5, 6, 7)] == [["externalId"], ["locale"], ["asOf"]]
    assert results[8]["customer"]["fullName"] == "Known"
    assert payload["warnings"] == [{"path": ["items", "8", name]} for name in ("locale", "phone")]
    assert results[299]["customer"]["fullName"] == "Customer 299"
    for search in ("Customer 299", "0170 12", "170 123"):
        found = await salon.staff.get(
            "query($s: String!) { customers(having: ANY, search: $s) { nodes { externalId } } }", s=search
        )
        assert [node["externalId"] for node in found["nodes"]] == ["c-299" if search[0] == "C" else "known"]
