"""One small operation for each root field. It changes nothing: what it names is not there, or not allowed."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from graphql import (
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLSchema,
    build_schema,
    get_named_type,
    is_composite_type,
    is_required_argument,
    is_required_input_field,
)

from tests.acceptance.client import Json, money, mutation, purchase_of

SCHEMA: GraphQLSchema = build_schema((Path(__file__).parents[2] / "schema" / "schema.graphql").read_text("utf-8"))

NOWHERE = "Tm93aGVyZTox"
"""A text that is no global id."""

SCALARS: Json = {
    "ID": NOWHERE,
    "String": "",
    "Int": 1,
    "Points": 1,
    "Decimal": "0.00",
    "CurrencyCode": "EUR",
    "Color": "#000000",
    "Date": "2099-12-31",
    "Duration": "P1D",
    "Boolean": False,
}
"""A value of each scalar that names nothing. A scalar without one must be added here."""

NAMED: Json = {"idempotencyKey": "key"}
"""A value of each field of this name."""

TYPES: Json = {"CustomerBy": {"externalId": "nobody"}, "DateRangeInput": {"from": "2026-01-01", "to": "2026-01-31"}}
"""A value of each input type that names nothing, where its required fields do not say one."""

INPUTS: Mapping[str, Json] = {
    "programApplyPreset": {"preset": "SHOP", "expectedVersion": 0},
    "giftCardBuy": {"product": NOWHERE, "customer": {"externalId": "nobody"}, "idempotencyKey": "key"},
    "giftCardIssue": {"origin": "MONEY", "amount": money("0.00"), "idempotencyKey": "key"},
    "giftCardHold": {"giftCard": {"id": NOWHERE}, "amount": money("1.00"), "idempotencyKey": "key"},
    "purchaseRecord": purchase_of("", "10.00"),
    "redemptionHold": {
        "customer": {"externalId": "nobody"},
        "points": 1,
        "subtotal": money("10.00"),
        "purchase": {"kind": "ORDER", "externalId": "cart"},
        "idempotencyKey": "key",
    },
    "pointsAdjust": {"customer": {"externalId": "nobody"}, "idempotencyKey": "key", "amount": 1},
    "memberAdd": {"name": "Nobody", "person": {"email": "nobody@salon.example"}, "role": {"id": NOWHERE}},
    "signedTokensRevoke": {"of": {"subject": ""}},
    "featureSet": {"feature": "COUPONS", "on": True},
    "allowedOriginsSet": {"origins": ["*"]},
    "trustedDocumentsRegister": {"documents": []},
    "trustedDocumentsRemove": {"documentIds": []},
    "documentRuleSet": {"rule": "ANY"},
    "retentionSet": {"inactiveMonths": 0},
}

QUERIES: Mapping[str, str] = {
    "catalogItem": '{ catalogItem(by: {key: {kind: SERVICE, externalId: "nothing"}}) { name } }',
    "purchase": '{ purchase(by: {key: {kind: ORDER, externalId: "nothing"}}) { id } }',
    "checkoutQuote": '{ checkoutQuote(input: {subtotal: {amount: "10.00", currency: "EUR"}}) { total { amount } } }',
}

SUBSCRIBED_AFTER = 'after: "none"'
"""A cursor that is none ends the stream at once, after the permission was looked at."""


def fields_of(root: str) -> Mapping[str, GraphQLField]:
    """Return the fields of a root type, by name."""
    return SCHEMA.type_map[root].fields  # type: ignore[attr-defined,no-any-return]


def value_of(kind: Any) -> Any:
    """Return a value of an input type that names nothing."""
    if isinstance(kind, GraphQLNonNull):
        return value_of(kind.of_type)
    if isinstance(kind, GraphQLList):
        return []
    if isinstance(kind, GraphQLEnumType):
        return next(iter(kind.values))
    if isinstance(kind, GraphQLInputObjectType) and kind.name not in TYPES:
        needed = {name: field for name, field in kind.fields.items() if is_required_input_field(field)}
        some = needed or (dict([next(iter(kind.fields.items()))]) if kind.is_one_of else {})
        return {name: NAMED.get(name, value_of(field.type)) for name, field in some.items()}
    return {**SCALARS, **TYPES}[kind.name]


def input_of(name: str, field: GraphQLField) -> Json:
    """Return the input with which a mutation is called."""
    given: Json = INPUTS[name] if name in INPUTS else value_of(field.args["input"].type)
    return given


def _operations() -> Iterator[tuple[str, tuple[str, Json]]]:
    for name, field in fields_of("Query").items():
        yield name, (QUERIES[name], {}) if name in QUERIES else _ask(name, field)
    for name, field in fields_of("Mutation").items():
        yield name, (mutation(name, "__typename"), {"input": input_of(name, field)})
    for name, field in fields_of("Subscription").items():
        yield name, (f"subscription {{ {name}({SUBSCRIBED_AFTER}){_selection(field)} }}", {})


def _ask(name: str, field: GraphQLField) -> tuple[str, Json]:
    needed = {place: argument for place, argument in field.args.items() if is_required_argument(argument)}
    declared = ", ".join(f"${place}: {argument.type}" for place, argument in needed.items())
    passed = ", ".join(f"{place}: ${place}" for place in needed)
    given = {place: value_of(argument.type) for place, argument in needed.items()}
    query = f"query({declared}) {{ {name}({passed})" if needed else f"{{ {name}"
    return f"{query}{_selection(field)} }}", given


def _selection(field: GraphQLField) -> str:
    return " { __typename }" if is_composite_type(get_named_type(field.type)) else ""


OPERATIONS: dict[str, tuple[str, Json]] = dict(_operations())
