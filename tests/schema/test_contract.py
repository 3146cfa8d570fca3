"""The public contract: complete, described, guarded, and the same as the file that clients read."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import strawberry
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLUnionType,
    build_schema,
    get_named_type,
    is_introspection_type,
    is_specified_scalar_type,
)

import schema
from loyalty.ledger.proof.keys import QUESTIONS
from loyalty.rules import errors as refusals
from loyalty.rules import features, gift_card_errors, purchase_errors, team_errors
from loyalty.rules.errors import (
    FeatureDisabled,
    LoyaltyError,
    NotEntitled,
    PermissionDenied,
    TenantClosed,
    TenantSuspended,
)
from permissions.catalog import Permission
from schema.enums import CLOSED
from schema.errors import USER_ERROR_TYPES
from schema.executable import ExecutableSchema, print_sdl
from schema.guard import REQUIRES, guarded
from schema.queries.viewer import NODE_TYPES
from schema.root import treue_schema
from schema.user_error import UserErrorCode

SDL_FILE = Path(schema.__file__).with_name("schema.graphql")
ROOTS = ("Query", "Mutation", "Subscription")


@pytest.fixture(scope="module")
def treue() -> ExecutableSchema:
    """Provide the whole API."""
    return treue_schema()


@pytest.fixture(scope="module")
def graphql_schema(treue: ExecutableSchema) -> GraphQLSchema:
    """Provide the same, as graphql-core knows it."""
    return treue._schema  # noqa: SLF001 - strawberry has no other way to it


def test_the_file_is_what_the_code_says(treue: ExecutableSchema) -> None:
    assert SDL_FILE.read_text() == print_sdl(treue), "run `make schema` and look at the difference"


# ── descriptions ─────────────────────────────────────────────────────────────────────────────────────────────────


def undescribed(api: GraphQLSchema) -> Iterator[str]:
    """Yield the name of everything in a schema that nobody has described."""
    for name, type_ in api.type_map.items():
        if is_introspection_type(type_) or is_specified_scalar_type(type_):
            continue
        if not type_.description:
            yield name
        if isinstance(type_, GraphQLEnumType):
            yield from (f"{name}.{value}" for value, found in type_.values.items() if not found.description)
        elif isinstance(type_, GraphQLObjectType | GraphQLInterfaceType):
            for field, definition in type_.fields.items():
                if not definition.description:
                    yield f"{name}.{field}"
                arguments = definition.args.items()
                yield from (f"{name}.{field}({argument}:)" for argument, found in arguments if not found.description)
        elif isinstance(type_, GraphQLInputObjectType):
            yield from (f"{name}.{field}" for field, found in type_.fields.items() if not found.description)


def test_everything_is_described(graphql_schema: GraphQLSchema) -> None:
    assert list(undescribed(graphql_schema)) == []


def closed_without_a_word(api: GraphQLSchema, closed: set[str]) -> list[str]:
    """Return enums, unions and interfaces that may grow without saying so, or say so and are closed."""
    growing = (GraphQLEnumType, GraphQLUnionType, GraphQLInterfaceType)
    found = {name: type_ for name, type_ in api.type_map.items() if isinstance(type_, growing)}
    return [
        name
        for name, type_ in found.items()
        if not name.startswith("__")
        and (re.search(r"\b(may|will) come\b", type_.description or "") is None) != (name in closed)
    ]


def test_whatever_may_grow_says_so(graphql_schema: GraphQLSchema) -> None:
    closed = {kind.__strawberry_definition__.name for kind in CLOSED}  # type: ignore[attr-defined]
    assert closed == {"Weekday", "OrderDirection", "PointsSign", "AdjustmentDirection"}
    assert closed_without_a_word(graphql_schema, closed) == []


def test_growth_without_a_word_would_be_seen() -> None:
    small = build_schema(
        'type Query { a: A b: B } enum A { X } "More values may come." enum B { X } '
        '"More types may come." union U = Query'
    )
    assert closed_without_a_word(small, set()) == ["A"]
    assert closed_without_a_word(small, {"A", "B"}) == ["B"]


def test_a_missing_description_would_be_seen() -> None:
    @strawberry.type
    class Query:
        @strawberry.field
        def thing(self, size: int) -> int:
            return size

    bare = strawberry.Schema(Query)._schema  # noqa: SLF001
    assert list(undescribed(bare)) == ["Query", "Query.thing", "Query.thing(size:)"]


# ── guards ───────────────────────────────────────────────────────────────────────────────────────────────────────


def unguarded(api: strawberry.Schema) -> list[str]:
    """Return the root fields that were not declared with a guard."""
    definitions: list[tuple[str, Any]] = [(root, api.get_type_by_name(root)) for root in ROOTS]
    return [
        f"{root}.{field.name}"
        for root, definition in definitions
        if definition is not None
        for field in definition.fields
        if REQUIRES not in field.metadata
    ]


def test_every_root_field_is_guarded(treue: ExecutableSchema) -> None:
    assert unguarded(treue) == []


def test_an_unguarded_root_field_would_be_seen() -> None:
    @guarded(Permission.LOYALTY_READ, description="Asked for.")
    async def kept(info: strawberry.Info) -> int:  # noqa: ARG001
        return 1

    @strawberry.type
    class Query:
        guarded_one: int = kept
        open_one: int = strawberry.field(resolver=lambda: 1, description="Forgotten.")

    assert unguarded(strawberry.Schema(Query)) == ["Query.open_one"]


def test_only_the_fields_named_here_need_no_permission(treue: ExecutableSchema) -> None:
    definition: Any = treue.get_type_by_name("Query")
    free = {field.name for field in definition.fields if not field.metadata[REQUIRES]}
    assert free == {"viewer", "node", "nodes", "browser_sessions"}


# ── refusals ─────────────────────────────────────────────────────────────────────────────────────────────────────


REFUSALS = {one.__name__ for one in (refusals, features, gift_card_errors, purchase_errors, team_errors)}
"""The modules that hold refusals; tests make others of their own."""


def leaves(kind: type[LoyaltyError]) -> set[type[LoyaltyError]]:
    """Return the refusals that are raised: those without others below them."""
    below = [child for child in kind.__subclasses__() if child.__module__ in REFUSALS]
    return set[type[LoyaltyError]]().union(*(leaves(child) for child in below)) if below else {kind}


def test_every_refusal_has_its_type_and_its_code(graphql_schema: GraphQLSchema) -> None:
    told = leaves(LoyaltyError) - {PermissionDenied, FeatureDisabled, NotEntitled, TenantSuspended, TenantClosed}
    assert {error.__name__ for error in told} == {shown.__name__ for shown in USER_ERROR_TYPES}
    assert {error.code for error in told} == {code.name for code in UserErrorCode}
    interface = graphql_schema.type_map["UserError"]
    assert isinstance(interface, GraphQLInterfaceType)
    shown = {type_.name for type_ in graphql_schema.get_possible_types(interface)}
    assert shown == {error.__name__ for error in told}


def test_each_mutation_has_one_input_and_a_payload_with_refusals(graphql_schema: GraphQLSchema) -> None:
    mutations = graphql_schema.mutation_type
    assert mutations is not None
    for name, field in mutations.fields.items():
        title = name[0].upper() + name[1:]
        assert list(field.args) == ["input"], name
        assert str(field.args["input"].type) == f"{title}Input!"
        assert str(field.type) == f"{title}Payload!"
        payload = get_named_type(field.type)
        assert isinstance(payload, GraphQLObjectType)
        assert str(payload.fields["userErrors"].type) == "[UserError!]!", name
        required = [other for other, found in payload.fields.items() if isinstance(found.type, GraphQLNonNull)]
        # Lists that say why or what beside are always there, and empty when there is nothing to say.
        assert required in (["userErrors"], ["userErrors", "warnings"]), name


NATURAL_KEYS = {
    "featureSet": "it sets a switch, so a retry finds it as it is",
    "documentRuleSet": "it sets a rule, so a retry finds it as it is",
    "retentionSet": "it sets months, so a retry finds them as they are",
    "allowedOriginsSet": "it replaces the list, so a retry sets what stands already",
    "customerUpsert": "the external id of the customer",
    "customersUpsert": "the external id of each customer",
    "openingBalancesImport": "the external id of each customer, once for ever",
    "purchasesRecord": "kind and external id of each purchase; an item may have a key besides",
    "oidcIssuerSet": "issuer and audience; a retry sets what stands already",
}
"""Mutations that create without a key of the whole call: what tells a retry from something new."""
CREATES = ("Create", "Upsert", "Record", "Import", "Adjust", "Hold", "Capture", "Return", "Refund", "Merge", "Set")
"""How the names of mutations end that create something."""


def test_every_creating_mutation_takes_an_idempotency_key(graphql_schema: GraphQLSchema) -> None:
    """And says `replayed`; whatever starts a job creates one."""
    mutations = graphql_schema.mutation_type
    assert mutations is not None
    creating = set()
    for name, field in mutations.fields.items():
        given, payload = get_named_type(field.args["input"].type), get_named_type(field.type)
        assert isinstance(given, GraphQLInputObjectType)
        assert isinstance(payload, GraphQLObjectType)
        if not (name.endswith(CREATES) or "job" in payload.fields) or name in {*NATURAL_KEYS, "programUpdate"}:
            continue
        creating.add(name)
        assert "idempotencyKey" in given.fields, name
        assert "replayed" in payload.fields, name
    assert {"tierCreate", "tierDelete", "apiTokenCreate", "customerTokenCreate", "catalogItemsUpsert"} <= creating
    assert set(mutations.fields) >= set(NATURAL_KEYS)


def test_the_proof_knows_what_every_mutation_with_a_key_makes(graphql_schema: GraphQLSchema) -> None:
    """Else `treue verify` says that a sound ledger has a key that leads nowhere."""
    asked = QUESTIONS["an idempotency key leads to what it made"]
    mutations = graphql_schema.mutation_type
    assert mutations is not None
    for name, field in mutations.fields.items():
        given = get_named_type(field.args["input"].type)
        assert isinstance(given, GraphQLInputObjectType)
        # The keys of reports stand with the facts of their purchase.
        if "idempotencyKey" in given.fields and name != "purchaseRecord":
            assert f"'{name}'" in asked, name


# ── nodes ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_every_node_type_is_found_by_its_id(graphql_schema: GraphQLSchema) -> None:
    """That each of them really comes back is shown over HTTP, in tests/acceptance/test_foreign_ids.py."""
    interface = graphql_schema.type_map["Node"]
    assert isinstance(interface, GraphQLInterfaceType)
    assert {type_.name for type_ in graphql_schema.get_possible_types(interface)} == NODE_TYPES


def test_unions_hold_only_object_types(graphql_schema: GraphQLSchema) -> None:
    unions = [type_ for type_ in graphql_schema.type_map.values() if isinstance(type_, GraphQLUnionType)]
    assert {union.name for union in unions} == {"EarningAward", "JobResult", "LedgerReference"}
