"""Two customers with one e-mail address: no operation chooses one of them by guess."""

from tests.acceptance.business import Business
from tests.acceptance.client import Json, adjust, code_of, create_rule, find_customer, record

BY = {"email": "Same@Example.org"}


async def furnish(salon: Business) -> None:
    """Create two customers with one address, and one with another address."""
    await create_rule(salon.manager, "Ten", 10)
    for name, email in (("m1", "same@example.org"), ("m2", "SAME@example.org"), ("m3", "other@example.org")):
        await record(salon.integration, name, customer={"externalId": name, "fullName": f"M {name}", "email": email})


def shown(refused: Json) -> list[str]:
    """Return the external ids of the candidates."""
    return [one["externalId"] for one in refused["candidates"]]


async def test_points_never_move_by_guess(salon: Business) -> None:
    await furnish(salon)
    known = await find_customer(salon.staff, "m1", "id externalId fullName")
    hold = {
        "customer": BY,
        "points": 1,
        "subtotal": {"amount": "10.00", "currency": "EUR"},
        "purchase": {"kind": "ORDER", "externalId": "new"},
        "idempotencyKey": "k",
    }
    inputs: dict[str, tuple[Json, list[str]]] = {
        "pointsAdjust": ({"customer": BY, "amount": 50, "idempotencyKey": "k"}, ["customer", "email"]),
        "customerMerge": ({"source": {"externalId": "m3"}, "target": BY, "idempotencyKey": "k"}, ["target", "email"]),
        "customerTierUnlock": ({"customer": BY}, ["customer", "email"]),
        "customerArchive": ({"customer": BY}, ["customer", "email"]),
        "customerUnarchive": ({"customer": BY}, ["customer", "email"]),
        "customerTokenCreate": ({"customer": BY, "lifetimeMinutes": 5}, ["customer", "email"]),
        "redemptionHold": (hold, ["customer", "email"]),
    }
    async with salon.unchanged():
        for name, (given, path) in inputs.items():
            (refused,) = await salon.owner.refusals(name, **given)
            assert (name, refused["code"], refused["path"]) == (name, "AMBIGUOUS_CUSTOMER", path)
            assert shown(refused) == ["m1", "m2"]
            assert refused["candidates"][0] == known


async def test_a_look_up_names_the_candidates(salon: Business) -> None:
    await furnish(salon)
    documents = {
        "query($by: CustomerBy!) { customer(by: $by) { id } }": ["by", "email"],
        'query($by: CustomerBy!) { report(range: {from: "2026-01-01", to: "2026-01-02"}) {'
        " activity(customer: $by) { nodes { id } } } }": ["customer", "email"],
    }
    for document, path in documents.items():
        answer = await salon.manager.answer(document, by=BY)
        assert code_of(answer) == "BAD_USER_INPUT", answer
        extensions = answer["errors"][0]["extensions"]
        assert (extensions["reason"], extensions["path"]) == ("AMBIGUOUS_CUSTOMER", path)
        assert shown(extensions) == ["m1", "m2"]
    found = await salon.staff.get('{ customer(by: {email: " OTHER@example.org "}) { externalId } }')
    assert found == {"externalId": "m3"}


async def test_a_customer_finds_only_themselves_and_hears_of_nobody_else(salon: Business) -> None:
    await furnish(salon)
    customer = await salon.customer("m2")
    found = await customer.get('{ customer(by: {email: "same@example.org"}) { externalId } }')
    assert found == {"externalId": "m2"}


async def test_one_person_with_two_names_is_not_ambiguous(salon: Business) -> None:
    """After a merge both rows have the address, and lead to the same customer."""
    await furnish(salon)
    await salon.manager.do(
        "customerMerge", "__typename", source={"externalId": "m1"}, target={"externalId": "m2"}, idempotencyKey="merge"
    )
    found = await salon.staff.get('{ customer(by: {email: "same@example.org"}) { externalId } }')
    assert found == {"externalId": "m2"}
    payload = await salon.manager.do(
        "pointsAdjust", "customer { externalId }", customer=BY, amount=5, idempotencyKey="k"
    )
    assert payload["customer"] == {"externalId": "m2"}


async def test_a_replay_is_answered_though_the_address_has_become_ambiguous(salon: Business) -> None:
    await create_rule(salon.manager, "Ten", 10)
    await record(salon.integration, "1", customer={"externalId": "m1", "email": "same@example.org"})
    given = {"customer": BY, "amount": 5, "idempotencyKey": "k"}
    first = await salon.manager.do("pointsAdjust", "adjustment { id }", **given)
    await record(salon.integration, "2", customer={"externalId": "m2", "email": "same@example.org"})
    again = await salon.manager.do("pointsAdjust", "adjustment { id } replayed", **given)
    assert again == {**first, "replayed": True}
    await adjust(salon.manager, "other", 5, customer="m1")
