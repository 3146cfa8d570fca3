"""Card numbers, birthdays and tags: told with a customer, found again, moved by a merge, and never two customers'."""

import asyncio
from typing import Any

import pytest

from tests.acceptance.business import Business
from tests.acceptance.client import Caller, Json, find_customer

SHOWN = "externalId birthday identifiers { type value } tags"
OWNER = "... on IdentifierTaken { identifierType value owner { externalId } }"
BY = f"query($by: CustomerBy!) {{ customer(by: $by) {{ {SHOWN} }} }}"


def card(value: str, type_: str = "card") -> Json:
    return {"type": type_, "value": value}


async def upsert(salon: Business, external_id: str, **told: Any) -> Json:
    payload = await salon.integration.do("customerUpsert", f"customer {{ {SHOWN} }}", externalId=external_id, **told)
    return payload["customer"]  # type: ignore[no-any-return]


async def found_by(person: Caller, **by: Any) -> str | None:
    found = await person.get(BY, by=by)
    return found and found["externalId"]  # type: ignore[no-any-return]


async def names_found(salon: Business, search: str) -> list[str]:
    query = "query($s: String!) { customers(having: ANY, search: $s) { nodes { externalId } } }"
    return [node["externalId"] for node in (await salon.staff.get(query, s=search))["nodes"]]


async def test_a_list_replaces_null_takes_away_and_absence_leaves(salon: Business) -> None:
    told = await upsert(
        salon,
        "anna",
        identifiers=[card("1234 5678"), card("K-7", "Key_Fob")],
        birthday="1990-05-17",
        tags=["VIP", " vip "],
    )
    assert told == {
        "externalId": "anna",
        "birthday": "1990-05-17",
        "identifiers": [{"type": "CARD", "value": "1234 5678"}, {"type": "KEY_FOB", "value": "K-7"}],
        "tags": ["VIP"],
    }
    assert await upsert(salon, "anna", fullName="Anna") == told
    assert await find_customer(salon.staff, "anna", SHOWN) == told
    fewer = await upsert(salon, "anna", identifiers=[card("K-7", "KEY_FOB")], tags=["regular", "VIP"])
    assert (fewer["identifiers"], fewer["tags"]) == ([{"type": "KEY_FOB", "value": "K-7"}], ["regular", "VIP"])
    assert await found_by(salon.staff, identifier={"value": "12345678"}) is None
    assert await names_found(salon, "1234") == []
    bare = await upsert(salon, "anna", identifiers=None, birthday=None, tags=None)
    assert bare == {"externalId": "anna", "birthday": None, "identifiers": [], "tags": []}
    assert await found_by(salon.staff, identifier={"value": "k7"}) is None


@pytest.mark.parametrize(
    ("told", "asked"),
    [
        ("1234-5678-90", "1234567890"),
        ("1234567890", " 1234 5678\u201190 "),
        ("ab-12", "AB12"),
        ("Stra\u00dfe 1", "STRASSE1"),
        ("Cafe\u0301-1", "caf\u00e9 1"),
        ("4711\u00a00815", "4711\u20130815"),
    ],
)
async def test_values_are_compared_without_blanks_hyphens_and_case(salon: Business, told: str, asked: str) -> None:
    await upsert(salon, "anna", identifiers=[card(told)])
    assert await found_by(salon.staff, identifier=card(asked, "Card")) == "anna"
    assert await found_by(salon.staff, identifier={"value": asked}) == "anna"
    assert await found_by(salon.staff, identifier=card(asked, "fob")) is None
    async with salon.unchanged():
        (refused,) = await salon.integration.refusals("customerUpsert", externalId="ben", identifiers=[card(asked)])
    assert (refused["code"], refused["path"]) == ("IDENTIFIER_TAKEN", ["identifiers", "0", "value"])


async def test_a_customer_is_found_by_telephone_card_and_parts_of_them(salon: Business) -> None:
    await upsert(salon, "anna", phone="0049 170/1234567", identifiers=[card("9900-1122")])
    for phone in ("+49 170 1234567", "0049 (170) 123-4567", "+491701234567"):
        assert await found_by(salon.staff, phone=phone) == "anna"
    assert await found_by(salon.staff, phone="+43 170 1234567") is None
    assert await found_by(salon.staff, phone="   ") is None
    for search in ("9900 1122", "99001", "9900-11", "0170 1234", "1701234567"):
        assert await names_found(salon, search) == ["anna"], search
    for by in ({"identifier": card("99 00 11 22")}, {"phone": "+491701234567"}):
        given = {"customer": by, "amount": 5, "idempotencyKey": f"gift {list(by)}"}
        adjusted = await salon.manager.do("pointsAdjust", "customer { externalId }", **given)
        assert adjusted["customer"]["externalId"] == "anna"
        token = await salon.owner.do("customerTokenCreate", "customer { externalId }", customer=by)
        assert token["customer"]["externalId"] == "anna"


async def test_an_identifier_of_several_customers_names_the_candidates(salon: Business) -> None:
    await upsert(salon, "anna", phone="+491701234567", identifiers=[card("77", "CARD")])
    await upsert(salon, "ben", phone="+49 170 1234567", identifiers=[card("77", "LOCKER")])
    for by, field in (({"phone": "+491701234567"}, "phone"), ({"identifier": {"value": "77"}}, "identifier")):
        answer = await salon.staff.answer(BY, by=by)
        assert answer["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"
        async with salon.unchanged():
            (refused,) = await salon.manager.refusals("pointsAdjust", customer=by, amount=5, idempotencyKey="gift")
        assert (refused["code"], refused["path"]) == ("AMBIGUOUS_CUSTOMER", ["customer", field])
        assert {one["externalId"] for one in refused["candidates"]} == {"anna", "ben"}
    assert await found_by(salon.staff, identifier=card("77", "locker")) == "ben"


async def test_the_owner_of_a_taken_card_is_named_to_who_may_read_customers_only(salon: Business) -> None:
    await upsert(salon, "anna", identifiers=[card("1")])
    made = await salon.owner.do("apiTokenCreate", "secret", name="Till", permissions=["PURCHASES_RECORD"])
    till = salon.owner._replace(token=made["secret"])
    for who, owner in ((salon.integration, {"externalId": "anna"}), (till, None)):
        (refused,) = await who.refusals("customerUpsert", externalId="ben", identifiers=[card("2"), card("1")])
        assert refused["path"] == ["identifiers", "1", "value"]
        assert (refused["identifierType"], refused["value"], refused["owner"]) == ("CARD", "1", owner)
    assert await find_customer(salon.staff, "ben", SHOWN) is None
    # An older list changes nothing, so it takes nothing from anybody either.
    await upsert(salon, "ben", identifiers=[], asOf="2026-02-01T00:00:00Z")
    assert (await upsert(salon, "ben", identifiers=[card("1")], asOf="2026-01-01T00:00:00Z"))["identifiers"] == []


async def test_in_a_batch_a_card_changes_hands_and_a_taken_one_harms_no_other(salon: Business) -> None:
    await upsert(salon, "anna", identifiers=[card("1"), card("2")], tags=["a"])
    items: list[Json] = [
        {"externalId": "new", "identifiers": [card("3")]},
        {"externalId": "ben", "identifiers": [card("1")]},
        {"externalId": "anna", "identifiers": [card("2")]},
        {"externalId": "carl", "identifiers": [card("3")]},
        {"externalId": "dora", "fullName": "Dora", "tags": ["a", "b"]},
        {"externalId": "emil", "identifiers": [card("9"), card("9 ")]},
        {"externalId": "fred", "identifiers": [card(" - "), card("1", "no good")]},
    ]
    payload = await salon.integration.do(
        "customersUpsert", f"results {{ customer {{ {SHOWN} }} userErrors {{ code path {OWNER} }} }}", items=items
    )
    results = payload["results"]
    assert [one["customer"] and one["customer"]["externalId"] for one in results] == [
        *("new", "ben", "anna", None),
        *("dora", None, None),
    ]
    assert results[3]["userErrors"][0]["owner"] == {"externalId": "new"}
    assert [error["path"] for error in results[5]["userErrors"]] == [["identifiers", "1", "value"]]
    assert [error["path"] for error in results[6]["userErrors"]] == [
        ["identifiers", "0", "value"],
        ["identifiers", "1", "type"],
    ]
    assert [await found_by(salon.staff, identifier=card(value)) for value in "123"] == ["ben", "anna", "new"]


async def test_of_many_who_want_a_card_at_once_one_has_it(salon: Business) -> None:
    asked = [
        salon.integration.answer(
            "mutation($i: CustomerUpsertInput!) { customerUpsert(input: $i) { userErrors { code } } }",
            i={"externalId": f"c-{number}", "identifiers": [card("1"), card(f"own-{number}")]},
        )
        for number in range(8)
    ]
    answers = [answer["data"]["customerUpsert"]["userErrors"] for answer in await asyncio.gather(*asked)]
    assert sorted(len(errors) for errors in answers) == [0] + [1] * 7
    assert {error["code"] for errors in answers for error in errors} == {"IDENTIFIER_TAKEN"}
    winner = [number for number, errors in enumerate(answers) if not errors]
    assert await found_by(salon.staff, identifier=card("1")) == f"c-{winner[0]}"


async def test_a_merge_moves_cards_and_tags_and_older_lists_come_too_late(salon: Business) -> None:
    await upsert(salon, "old", identifiers=[card("1")], tags=["vip", "old"], fullName="Old")
    await upsert(salon, "anna", identifiers=[card("2")], tags=["VIP"])
    names = {"source": {"identifier": card("1")}, "target": {"externalId": "anna"}}
    merged = await salon.manager.do("customerMerge", f"customer {{ {SHOWN} }}", **names, idempotencyKey="merge")
    assert merged["customer"] == await find_customer(salon.staff, "anna", SHOWN)
    assert [one["value"] for one in merged["customer"]["identifiers"]] == ["2", "1"]
    assert merged["customer"]["tags"] == ["VIP", "old"]
    for value in "12":
        assert await found_by(salon.staff, identifier=card(value)) == "anna"
        assert await names_found(salon, value) == ["anna"]
    late = await upsert(salon, "anna", identifiers=[], asOf="2026-01-01T00:00:00Z")
    assert len(late["identifiers"]) == 2
    # What is told under the id of the source is told about the target.
    assert (await upsert(salon, "old", identifiers=[card("3")], birthday="--02-29")) == {
        "externalId": "anna",
        "birthday": "--02-29",
        "identifiers": [{"type": "CARD", "value": "3"}],
        "tags": ["VIP", "old"],
    }
    assert [await found_by(salon.staff, identifier=card(value)) for value in "123"] == [None, None, "anna"]


async def test_a_merge_beyond_the_limit_is_refused_and_moves_nothing(salon: Business) -> None:
    for name in ("old", "anna"):
        await upsert(salon, name, identifiers=[card(f"{name} {number}") for number in range(11)])
    async with salon.unchanged():
        names = {"source": {"externalId": "old"}, "target": {"externalId": "anna"}}
        (refused,) = await salon.manager.refusals("customerMerge", **names, idempotencyKey="merge")
        assert (refused["code"], refused["path"]) == ("LIMIT_REACHED", ["source"])
        too_many = [card(str(number)) for number in range(21)]
        (refused,) = await salon.integration.refusals("customerUpsert", externalId="x", identifiers=too_many)
        assert refused["path"] == ["identifiers"]
        (refused,) = await salon.integration.refusals("customerUpsert", externalId="x", tags=["x" * 51])
        assert refused["path"] == ["tags", "0"]


@pytest.mark.parametrize(
    ("told", "known"),
    [("1990-05-17", "1990-05-17"), ("19900517", "1990-05-17"), ("--0229", "--02-29"), (" --12-31 ", "--12-31")],
)
async def test_a_birthday_has_a_year_or_none(salon: Business, told: str, known: str) -> None:
    assert (await upsert(salon, "anna", birthday=told))["birthday"] == known


@pytest.mark.parametrize(
    "told", ["", "17.05.1990", "1990-02-30", "--02-30", "2999-01-01", "0190-05-17", "1990-05", "\u0661990-05-17"]
)
async def test_an_invalid_birthday_is_refused(salon: Business, told: str) -> None:
    async with salon.unchanged():
        (refused,) = await salon.manager.refusals("customerUpsert", externalId="anna", birthday=told)
    assert (refused["code"], refused["path"]) == ("INVALID_INPUT", ["birthday"])


async def test_older_facts_never_overwrite_newer_ones(salon: Business) -> None:
    await upsert(salon, "anna", birthday="1990-05-17", tags=["new"], asOf="2026-02-01T00:00:00Z")
    late = await upsert(
        salon, "anna", birthday="--01-01", tags=["old"], identifiers=[card("1")], asOf="2026-01-01T00:00:00Z"
    )
    assert (late["birthday"], late["tags"], len(late["identifiers"])) == ("1990-05-17", ["new"], 1)
