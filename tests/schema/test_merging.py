"""Fields are merged as the specification says: graphql-core's own rule, which is slow, agrees on random documents."""

import random
import re

import pytest
from graphql import (
    DocumentNode,
    GraphQLError,
    OverlappingFieldsCanBeMergedRule,
    build_schema,
    parse,
    specified_rules,
    validate,
)

from schema.merging import MAX_MERGE_STEPS, Merged, merge_fields

SCHEMA = build_schema(
    """
    interface Being { name(loud: Boolean, filter: Filter): String friend: Being pet: Pet }
    type Person implements Being {
      name(loud: Boolean, filter: Filter): String friend: Being pet: Pet age: Int! weight: Int tags: [String] home: Home
    }
    type Robot implements Being {
      name(loud: Boolean, filter: Filter): String friend: Being pet: Pet age: Int weight: String tags: String home: Hall
    }
    type Home { number: Int owner: Person }
    type Hall { number: String owner: Robot }
    type Pet { name: String owner: Being }
    input Filter { a: Int b: Int }
    type Query { being: Being person: Person robot: Robot thing: Thing }
    union Thing = Person | Robot
    """
)
FIELDS: dict[str, dict[str, str | None]] = {
    "Query": {"being": "Being", "person": "Person", "robot": "Robot", "thing": "Thing"},
    "Being": {"name": None, "friend": "Being", "pet": "Pet"},
    "Person": {
        "name": None,
        "friend": "Being",
        "pet": "Pet",
        "age": None,
        "weight": None,
        "tags": None,
        "home": "Home",
    },
    "Robot": {
        "name": None,
        "friend": "Being",
        "pet": "Pet",
        "age": None,
        "weight": None,
        "tags": None,
        "home": "Hall",
    },
    "Home": {"number": None, "owner": "Person"},
    "Hall": {"number": None, "owner": "Robot"},
    "Pet": {"name": None, "owner": "Being"},
    "Thing": {},
}
INSIDE = {
    "Being": ("Being", "Person", "Robot", "Thing"),
    "Thing": ("Being", "Person", "Robot", "Thing"),
    "Person": ("Person", "Being", "Thing"),
    "Robot": ("Robot", "Being", "Thing"),
}
ARGUMENTS = (
    "",
    "(loud: true)",
    "(loud: false)",
    "(filter: {a: 1, b: 2})",
    "(filter: {b: 2, a: 1})",
    "(filter: {a: 1})",
)
RUNS = 400
SLOW_RULES = [OverlappingFieldsCanBeMergedRule]


def merged(document: str) -> Merged:
    return merge_fields(SCHEMA, parse(document), max_errors=10)


def conflicts(document: str) -> list[str]:
    """Return what conflicts and why, without the words that are in every message."""
    found = [
        re.match(r"Fields '(\w+)' conflict because (.*?)\. Use", error.message) for error in merged(document).errors
    ]
    return [f"{match[1]}: {match[2].removeprefix('they return conflicting ')}" for match in found if match]


class _Writer:
    """Writes random documents that are valid in every other way."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)  # noqa: S311 - the same documents in every run
        self.fragments: list[tuple[str, str]] = []

    def document(self) -> str:
        for number in range(self.rng.randrange(4)):
            on = self.rng.choice(("Being", "Person", "Robot", "Home", "Pet"))
            self.fragments.append((f"F{number}", on + self.selections(on, 2)))
        root = self.selections("Query", 3)
        return root + " ".join(f"fragment {name} on {text}" for name, text in self.fragments)

    def selections(self, on: str, depth: int) -> str:
        return "{" + " ".join(self.selection(on, depth) for _ in range(self.rng.randrange(1, 5))) + "}"

    def selection(self, on: str, depth: int) -> str:
        kind = self.rng.random()
        inside = self.rng.choice(INSIDE.get(on, (on,)))
        if kind < 0.15 and depth:
            return f"...on {inside}{self.selections(inside, depth - 1)}"
        fitting = [name for name, text in self.fragments if text.split("{")[0] in INSIDE.get(on, (on,))]
        if kind < 0.4 and fitting:
            return f"...{self.rng.choice(fitting)}"
        fields = FIELDS[on] if depth else {name: below for name, below in FIELDS[on].items() if below is None}
        if not fields:
            return "__typename"
        name = self.rng.choice(list(fields))
        below = fields[name]
        alias = self.rng.choice(("", "", "", "x: ", "name: ", "age: "))
        arguments = self.rng.choice(ARGUMENTS) if name == "name" and on != "Pet" else ""
        return alias + name + arguments + ("" if below is None else self.selections(below, depth - 1))


def test_agrees_with_graphql_core_on_random_documents() -> None:
    rules = [rule for rule in specified_rules if rule is not OverlappingFieldsCanBeMergedRule]
    seen = {True: 0, False: 0}
    for seed in range(RUNS):
        text = _Writer(seed).document()
        document = parse(text)
        if any("is never used" not in error.message for error in validate(SCHEMA, document, rules)):
            continue
        used = _without_unused_fragments(document)
        expected = validate(SCHEMA, used, SLOW_RULES) == []
        assert (merge_fields(SCHEMA, used, 10).errors == []) is expected, text
        seen[expected] += 1
    assert min(seen.values()) > RUNS / 10, f"too few of a kind: {seen}"


def _without_unused_fragments(document: DocumentNode) -> DocumentNode:
    """Return a document without its unused fragments.

    An unused fragment is an error of its own, so its content need not fit together.
    """
    while True:
        unused = {
            error.nodes[0] for error in validate(SCHEMA, document) if error.nodes and "never used" in error.message
        }
        if not unused:
            return document
        document = DocumentNode(definitions=tuple(node for node in document.definitions if node not in unused))


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ("{ person { name age: weight } }", []),
        ("{ person { x: age x: weight } }", ["x: types 'Int!' and 'Int'"]),
        ("{ person { x: weight x: tags } }", ["x: types 'Int' and '[String]'"]),
        ("{ person { x: friend { name } x: pet { name } } }", ["x: 'friend' and 'pet' are different fields"]),
        ("{ person { name name(loud: true) } }", ["name: they have differing arguments"]),
        ("{ person { name(filter: {a: 1, b: 2}) name(filter: {b: 2, a: 1}) } }", []),
        ("{ being { ...on Person { x: name } ...on Robot { x: name(loud: true) } } }", []),
        ("{ thing { ...on Person { weight } ...on Robot { weight } } }", ["weight: types 'Int' and 'String'"]),
        (
            "{ thing { ...on Person { home { number } } ...on Robot { home { number } } } }",
            ["number: types 'Int' and 'String'"],
        ),
        (
            "{ person { friend { name } } person { friend { name: __typename } } }",
            ["name: types 'String' and 'String!'"],
        ),
        ("{ person { ...A ...B } } fragment A on Person { x: age } fragment B on Person { x: age }", []),
        ("query A { person { name } } query B { person { name(loud: true) } }", []),
    ],
)  # fmt: skip
def test_says_why_fields_conflict(document: str, expected: list[str]) -> None:
    assert conflicts(document) == expected


def test_a_conflict_points_at_both_fields_and_says_what_helps() -> None:
    (error,) = merged("{ person { name\n name(loud: true) } }").errors
    assert [tuple(location) for location in error.locations or ()] == [(1, 12), (2, 2)]
    assert error.message.endswith("Use different aliases on the fields to fetch both if this was intentional.")


@pytest.mark.parametrize("count", [10, 100, 400])
def test_steps_grow_with_the_document_and_not_with_its_square(count: int) -> None:
    assert merged("{" + "person{name friend{name}}" * count + "}").steps == 4 * count


def test_fragments_are_entered_once_for_each_level() -> None:
    """Spread in each other they would double with every level."""
    links = " ".join(
        f"fragment F{n} on Person {{ friend {{ ...on Person {{ ...F{n + 1} ...F{n + 1} }} }} }}" for n in range(20)
    )
    assert merged(f"{{ person {{ ...F0 }} }} {links} fragment F20 on Person {{ name }}").steps < 150


def test_refuses_more_steps_than_the_limit() -> None:
    spreads = " ".join(f"a{n}: person {{ ...F }}" for n in range(60))
    fields = " ".join(f"b{n}: name" for n in range(200))
    with pytest.raises(GraphQLError, match=f"more than {MAX_MERGE_STEPS} steps") as refused:
        merged(f"{{ {spreads} }} fragment F on Person {{ {fields} }}")
    assert (refused.value.extensions or {})["code"] == "QUERY_TOO_COMPLEX"
