"""A corpus of hostile documents: each is small, and each tries to make the server work much longer than an honest one.

The corpus is generated, and it is the same in every run. A family is a function of a size and of random numbers. Sizes
run from small to far over the limits, so the corpus also holds the largest documents that are still allowed.
"""

import random
from collections.abc import Callable, Iterator
from typing import NamedTuple

from graphql import get_introspection_query

CORPUS_SIZE = 1_000
SEED = 8_1
SIZES = (5, 20, 60, 120, 180, 250, 330, 480, 700, 1_000, 2_000, 5_000, 10_000)

Family = Callable[[int, random.Random], str]

CUSTOMER_FIELDS = ("id", "externalId", "fullName", "email", "avatarUrl", "locale", "category", "createdAt")
QUERY_FIELDS = ("viewer", "me", "program", "customers", "tiers", "catalogItems", "eventCursor", "earningRules")
TYPES = ("Customer", "Purchase", "Accrual", "Tier", "PointsAccount", "Redemption", "Adjustment", "CustomerMerge")
INTROSPECTION = get_introspection_query(specified_by_url=True, input_value_deprecation=True)


class Hostile(NamedTuple):
    """One document of the corpus."""

    family: str
    size: int
    text: str


def hostile_documents(count: int = CORPUS_SIZE) -> Iterator[Hostile]:
    """Yield the corpus: every family at every size.

    It begins again with other random numbers, until there are `count` documents.
    """
    rng = random.Random(SEED)  # noqa: S311 - a corpus needs the same numbers in every run, not secret ones
    made = 0
    while made < count:
        for family in FAMILIES:
            size = SIZES[(made // len(FAMILIES)) % len(SIZES)]
            if made >= len(FAMILIES) * len(SIZES):
                size = max(2, int(size * rng.uniform(0.6, 1.4)))
            yield Hostile(family.__name__, size, family(size, rng))
            made += 1
            if made == count:
                return


def _many(count: int, make: Callable[[int], str]) -> str:
    return " ".join(make(number) for number in range(count))


def _name(rng: random.Random, length: int = 12) -> str:
    return "".join(rng.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(length))


# ── The same field many times ─────────────────────────────────────────────────────────────────────────────────────────


def repeated_object(size: int, _rng: random.Random) -> str:
    return "{" + "me{id}" * size + "}"


def repeated_leaf(size: int, _rng: random.Random) -> str:
    return "{me{" + "id " * size + "}}"


def repeated_wide_object(size: int, _rng: random.Random) -> str:
    return "{" + f"me{{{' '.join(CUSTOMER_FIELDS)}}}" * size + "}"


def repeated_deep_object(size: int, _rng: random.Random) -> str:
    return "{" + "me{points{available pending}tier{id name}activity{nodes{id}}}" * size + "}"


def repeated_on_every_level(size: int, _rng: random.Random) -> str:
    inner = "me{" + "tier{" + "id " * max(1, size // 60) + "}" * 1 + "}"
    return "{" + (inner + " ") * max(1, size // 4) + "}"


def conflicting_arguments(size: int, _rng: random.Random) -> str:
    return "{" + _many(size, lambda n: f"customers(first:{n % 100 + 1}){{nodes{{id}}}}") + "}"


def conflicting_fields(size: int, rng: random.Random) -> str:
    return "{me{" + _many(size, lambda _: f"x:{rng.choice(CUSTOMER_FIELDS)}") + "}}"


def conflicting_objects(size: int, rng: random.Random) -> str:
    return "{" + _many(size, lambda _: f"x:{rng.choice(QUERY_FIELDS)}{{__typename}}") + "}"


def repeated_argument(size: int, _rng: random.Random) -> str:
    return "{customers(" + "first:1 " * size + "){nodes{id}}}"


def many_aliases(size: int, _rng: random.Random) -> str:
    return "{" + _many(size, lambda n: f"a{n}:me{{id}}") + "}"


# ── Fragments ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def nested_inline_fragments(size: int, _rng: random.Random) -> str:
    depth = min(size, 400)
    return "{" + "...{" * depth + "me{id}" + "}" * depth + "}"


def wide_inline_fragments(size: int, _rng: random.Random) -> str:
    return "{" + "...{me{id}}" * size + "}"


def typed_inline_fragments(size: int, rng: random.Random) -> str:
    return '{node(id:"x"){' + _many(size, lambda _: f"...on {rng.choice(TYPES)}{{id}}") + "}}"


def unknown_type_conditions(size: int, rng: random.Random) -> str:
    return '{node(id:"x"){' + _many(size, lambda n: f"...on {_name(rng)}{n}{{id}}") + "}}"


def almost_known_type_conditions(size: int, rng: random.Random) -> str:
    return '{node(id:"x"){' + _many(size, lambda n: f"...on {rng.choice(TYPES)}{n}{{id}}") + "}}"


def impossible_type_conditions(size: int, rng: random.Random) -> str:
    return "{me{" + _many(size, lambda _: f"...on {rng.choice(TYPES[1:])}{{id}}") + "}}"


def fragment_chain(size: int, _rng: random.Random) -> str:
    links = _many(size - 1, lambda n: f"fragment F{n} on Customer{{...F{n + 1} ...F{n + 1}}}")
    return f"{{me{{...F0}}}} {links} fragment F{size - 1} on Customer{{id}}"


def doubling_fragments(size: int, _rng: random.Random) -> str:
    """Return fragments whose full text doubles with each fragment. Every level is an object of its own."""
    links = _many(
        size,
        lambda n: (
            f"fragment F{n} on LedgerEntry{{customer{{activity{{nodes{{...F{n + 1}}}edges{{node{{...F{n + 1}}}}}}}}}}}"
        ),
    )
    return f"{{me{{activity{{nodes{{...F0}}}}}}}} {links} fragment F{size} on LedgerEntry{{id}}"


def fragments_that_spread_all_others(size: int, _rng: random.Random) -> str:
    count = max(2, int(size**0.5))
    return "{me{...F0}} " + _many(
        count, lambda n: f"fragment F{n} on Customer{{id {_many(count - n - 1, lambda m: f'...F{n + m + 1}')}}}"
    )


def fragment_cycles(size: int, _rng: random.Random) -> str:
    return "{me{...F0}} " + _many(size, lambda n: f"fragment F{n} on Customer{{...F{(n + 1) % size} ...F0}}")


def complete_fragment_cycles(size: int, _rng: random.Random) -> str:
    count = max(2, int(size**0.5))
    everyone = _many(count, lambda n: f"...F{n}")
    return "{me{...F0}} " + _many(count, lambda n: f"fragment F{n} on Customer{{{everyone}}}")


def fragments_with_common_fields(size: int, _rng: random.Random) -> str:
    spreads = _many(size, lambda n: f"...F{n}")
    return f"{{me{{{spreads}}}}} " + _many(size, lambda n: f"fragment F{n} on Customer{{id fullName tier{{id}}}}")


def unknown_spreads(size: int, rng: random.Random) -> str:
    return "{" + _many(size, lambda n: f"...{_name(rng)}{n}") + "}"


def unused_fragments(size: int, _rng: random.Random) -> str:
    return "{viewer{__typename}} " + _many(size, lambda n: f"fragment F{n} on Customer{{id}}")


def fragments_of_one_name(size: int, _rng: random.Random) -> str:
    return "{me{...F}} " + "fragment F on Customer{id} " * size


def spread_many_times(size: int, _rng: random.Random) -> str:
    return "{" + "me{...F}" * size + "} fragment F on Customer{id fullName tier{id} points{available}}"


# ── Names that do not exist ───────────────────────────────────────────────────────────────────────────────────────────


def unknown_fields(size: int, rng: random.Random) -> str:
    return "{" + _many(size, lambda n: f"{_name(rng)}{n}") + "}"


def almost_known_fields(size: int, rng: random.Random) -> str:
    return "{me{" + _many(size, lambda n: f"{rng.choice(CUSTOMER_FIELDS)}{n}") + "}}"


def long_unknown_fields(size: int, rng: random.Random) -> str:
    return "{me{" + _many(max(1, size // 10), lambda n: f"fullName{_name(rng, 60)}{n}") + "}}"


def unknown_arguments(size: int, _rng: random.Random) -> str:
    return "{customers(" + _many(size, lambda n: f"firs{n}:1") + "){nodes{id}}}"


def unknown_enum_values(size: int, _rng: random.Random) -> str:
    return "{" + _many(size, lambda n: f"a{n}:customers(orderBy:NAM{n}){{nodes{{id}}}}") + "}"


def unknown_enum_values_without_aliases(size: int, _rng: random.Random) -> str:
    return "{" + _many(size, lambda n: f"customers(orderBy:NAM{n}){{nodes{{id}}}}") + "}"


def unknown_input_fields(size: int, _rng: random.Random) -> str:
    return "{customer(by:{" + _many(size, lambda n: f"externalI{n}:1") + "}){id}}"


def unknown_directives(size: int, rng: random.Random) -> str:
    return "{me{id " + _many(size, lambda n: f"@{_name(rng)}{n}") + "}}"


def unknown_variables(size: int, _rng: random.Random) -> str:
    return "{" + _many(size, lambda n: f"customers(first:$v{n}){{nodes{{id}}}}") + "}"


def unknown_types_of_variables(size: int, _rng: random.Random) -> str:
    return f"query({_many(size, lambda n: f'$v{n}:Customr{n}')}){{me{{id}}}}"


# ── Values ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def repeated_input_field(size: int, _rng: random.Random) -> str:
    return "{customer(by:{" + 'externalId:"x" ' * size + "}){id}}"


def nested_lists(size: int, _rng: random.Random) -> str:
    depth = min(size, 400)
    return "{nodes(ids:" + "[" * depth + '"x"' + "]" * depth + "){id}}"


def nested_input_objects(size: int, _rng: random.Random) -> str:
    depth = min(size, 400)
    return "{customer(by:" + "{id:" * depth + '"x"' + "}" * depth + "){id}}"


def lists_of_input_objects(size: int, _rng: random.Random) -> str:
    lines = '{externalId:"x" kind:1 total:{amount:"1"} lines:[{} {} {}]}' * size
    return f"mutation{{purchasesRecord(input:{{purchases:[{lines}]}}){{userErrors{{code}}}}}}"


def long_lists_of_wrong_values(size: int, _rng: random.Random) -> str:
    return "{nodes(ids:[" + "true " * size + "]){id}}"


def long_lists_of_ids(size: int, _rng: random.Random) -> str:
    return "{nodes(ids:[" + '"x" ' * size + "]){id}}"


def wrong_values_of_leaf_arguments(size: int, _rng: random.Random) -> str:
    nested = "[" + '{a:[1 2 3] b:"x"} ' * size + "]"
    return f"{{customers(first:{nested}, after:{nested}){{nodes{{id}}}}}}"


def huge_numbers(size: int, _rng: random.Random) -> str:
    return "{" + f"customers(first:{'9' * (size * 6)}){{nodes{{id}}}}" + "}"


def huge_fractions(size: int, _rng: random.Random) -> str:
    return f"{{customers(first:{'1' * size}.{'1' * size}e{'9' * min(size, 300)}){{nodes{{id}}}}}}"


def huge_text(size: int, _rng: random.Random) -> str:
    return '{customers(search:"' + "x" * (size * 100) + '"){nodes{id}}}'


def text_of_escapes(size: int, rng: random.Random) -> str:
    escapes = ("\\u00e9", "\\u{1F600}", "\\uD83D\\uDE00", "\\n", '\\"')
    return '{customers(search:"' + "".join(rng.choice(escapes) for _ in range(size * 6)) + '"){nodes{id}}}'


def broken_escapes(size: int, rng: random.Random) -> str:
    return '{customers(search:"' + "\\u00e9" * size + rng.choice(("\\uD800", "\\u{110000}", "\\x")) + '"){nodes{id}}}'


def block_text(size: int, _rng: random.Random) -> str:
    lines = "\n".join(" " * (number % 40) + "x" * (number % 7) for number in range(size * 4))
    return f'{{customers(search:"""{lines}"""){{nodes{{id}}}}}}'


def block_text_of_quotes(size: int, _rng: random.Random) -> str:
    return '{customers(search:"""' + '\\"""' * size * 3 + '"""){nodes{id}}}'


# ── Directives, variables, operations ─────────────────────────────────────────────────────────────────────────────────


def repeated_directive(size: int, _rng: random.Random) -> str:
    return "{me{id " + "@include(if:true)" * size + "}}"


def directives_on_every_field(size: int, _rng: random.Random) -> str:
    return "{me{" + "id @include(if:true) @skip(if:false) " * size + "}}"


def misplaced_directives(size: int, _rng: random.Random) -> str:
    return "query " + "@include(if:true) " * size + "{me{id}}"


def variable_declared_many_times(size: int, _rng: random.Random) -> str:
    return f"query({'$v:Int ' * size}){{customers(first:$v){{nodes{{id}}}}}}"


def many_variables(size: int, _rng: random.Random) -> str:
    return f"query({_many(size, lambda n: f'$v{n}:Int=1')}){{customers(first:$v0){{nodes{{id}}}}}}"


def variables_in_many_operations(size: int, _rng: random.Random) -> str:
    operations = _many(size, lambda n: f"query Q{n}{{...F}}")
    return operations + " fragment F on Query{" + _many(size, lambda n: f"customers(first:$v{n}){{nodes{{id}}}}") + "}"


def many_operations(size: int, _rng: random.Random) -> str:
    return _many(size, lambda n: f"query Q{n}{{me{{id}}}}")


def operations_of_one_name(size: int, _rng: random.Random) -> str:
    return "query Q{me{id}} " * size


def anonymous_operations(size: int, _rng: random.Random) -> str:
    return "{me{id}} " * size


def operations_that_share_fragments(size: int, _rng: random.Random) -> str:
    count = max(1, size // 2)
    chain = _many(count, lambda n: f"fragment F{n} on Customer{{id ...F{n + 1}}}")
    return _many(count, lambda n: f"query Q{n}{{me{{...F0}}}}") + f" {chain} fragment F{count} on Customer{{id}}"


def subscriptions_with_many_roots(size: int, _rng: random.Random) -> str:
    return "subscription{" + _many(size, lambda n: f"a{n}:pointsChanged{{__typename}}") + "}"


def type_definitions(size: int, _rng: random.Random) -> str:
    return "{me{id}} " + _many(size, lambda n: f"type T{n}{{a(b:Int=1):[T{n}!]! @deprecated}}")


# ── Introspection, text around the tokens, syntax ─────────────────────────────────────────────────────────────────────


def nested_introspection(size: int, _rng: random.Random) -> str:
    depth = min(size, 60)
    return "{__schema{types{" + "fields{type{" * depth + "name" + "}}" * depth + "}}}"


def nested_type_references(size: int, _rng: random.Random) -> str:
    depth = min(size, 190)
    return '{__type(name:"Query"){' + "ofType{" * depth + "name" + "}" * depth + "}}"


def repeated_introspection(size: int, _rng: random.Random) -> str:
    body = INTROSPECTION[INTROSPECTION.index("{") :]
    roots, rest = body.split("fragment", 1)
    inner = roots[roots.index("{") + 1 : roots.rindex("}")]
    return "{" + _many(min(size, 60), lambda n: f"a{n}:{inner}") + "} fragment" + rest


def many_type_look_ups(size: int, rng: random.Random) -> str:
    wanted = "fields{name args{name type{name}}}inputFields{name}enumValues{name}"
    return "{" + _many(size, lambda n: f'a{n}:__type(name:"{rng.choice(TYPES)}"){{{wanted}}}') + "}"


def comments(size: int, _rng: random.Random) -> str:
    return "#\n" * size * 2 + "{me{id}}"


def long_comments(size: int, _rng: random.Random) -> str:
    return "#" + "x" * size * 60 + "\n{me{id}}"


def blanks_and_lines(size: int, rng: random.Random) -> str:
    blanks = "".join(rng.choice(" ,\t\n\r") for _ in range(size * 5))
    return "{me{" + blanks + _many(20, lambda n: f"nope{n}{blanks[:50]}") + "}}"


def errors_behind_many_lines(size: int, _rng: random.Random) -> str:
    return "\n" * size * 5 + "{me{" + _many(min(size, 500), lambda n: f"nope{n}") + "}}"


def open_braces(size: int, _rng: random.Random) -> str:
    return "{me" * size


def closed_braces(size: int, _rng: random.Random) -> str:
    return "{me{id}}" + "}" * size


def empty_selections(size: int, _rng: random.Random) -> str:
    return "{" + "me{}" * size + "}"


def open_text(size: int, _rng: random.Random) -> str:
    return '{customers(search:"' + "x" * size * 50


def strange_characters(size: int, rng: random.Random) -> str:
    return "{" + "".join(rng.choice("\u00e9\u4e2d\U0001f600\ufeff") for _ in range(size)) + "}"


def deep_fields(size: int, _rng: random.Random) -> str:
    depth = min(size, 190)
    return "{me{" + "tier{" * depth + "id" + "}" * depth + "}}"


def megabytes(size: int, rng: random.Random) -> str:
    filling = rng.choice(("#" + "x" * 98 + "\n", "me{id}\n", " ", '"x"\n', '"""x"""\n'))
    return "{" + filling * (size * 100 // len(filling)) + "me{id}}"


FAMILIES: tuple[Family, ...] = tuple(
    value
    for name, value in list(globals().items())
    if callable(value)
    and not name.startswith("_")
    and getattr(value, "__module__", None) == __name__
    and name not in {"Hostile", "hostile_documents"}
)
