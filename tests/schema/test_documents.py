"""No document may keep the process busy: each of a corpus of 1,000 hostile ones is compared with an everyday document.

Processor time of this thread is compared, not wall time, so that a busy machine changes nothing. Work is counted, too:
the number of calls that Python makes for a document is the same in every run.
"""

import asyncio
import gc
import statistics
import sys
import time
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import cast

import pytest
from graphql import (
    DocumentNode,
    GraphQLError,
    GraphQLSchema,
    GraphQLSyntaxError,
    Lexer,
    Node,
    Source,
    TokenKind,
    Visitor,
    parse,
    print_ast,
    validate,
    visit,
)
from strawberry.types import ExecutionResult

from schema import limits
from schema.documents import DOCUMENT_CACHE_BYTES, Documents, prepare_document
from schema.executable import ExecutableSchema
from schema.introspection import USUAL_QUERY
from schema.limits import find_excess
from schema.masking import MAX_ERRORS
from schema.parsing import DocumentLexer, count_tokens, parse_document
from schema.root import treue_schema
from schema.validation import RULES, validate_document
from tests.schema.hostile import CORPUS_SIZE, FAMILIES, SIZES, hostile_documents

MOST_TIMES_AN_EVERYDAY_DOCUMENT = 14
"""What the worst document may cost, in everyday documents. Where the introspection query takes 3.6 ms this is 50 ms."""

MOST_CALLS = 350_000
"""Calls of functions that Python makes for the worst document; the usual introspection query takes 19,000."""

REPEATS = 5
SCHEMA = treue_schema()
CORE = SCHEMA._schema  # noqa: SLF001 - the only way to it


@contextmanager
def without_collector() -> Iterator[None]:
    """Keep the collector away during the block.

    In a test run it looks at the objects of all tests, but a server has frozen the objects that it loaded.
    """
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def cpu_seconds(text: str, schema: GraphQLSchema = CORE) -> float:
    began = time.thread_time()
    prepare_document(schema, text)
    return time.thread_time() - began


def median_cpu_seconds(text: str) -> tuple[float, float]:
    """Return the median for a document, and for the everyday document in turns with it."""
    pairs = [(cpu_seconds(text), cpu_seconds(USUAL_QUERY)) for _ in range(REPEATS)]
    return statistics.median(own for own, _ in pairs), statistics.median(peer for _, peer in pairs)


def calls(work: Callable[[], object]) -> int:
    """Return how many functions are called, ours, graphql-core's and Python's."""
    count = 0

    def look(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal count
        count += event in {"call", "c_call"}

    before = sys.getprofile()
    sys.setprofile(look)
    try:
        work()
    finally:
        sys.setprofile(before)
    return count


def codes(text: str) -> set[str]:
    return {
        str((error.extensions or {}).get("code", "BAD_USER_INPUT")) for error in prepare_document(CORE, text).errors
    }


def test_no_hostile_document_costs_much_more_than_an_everyday_one() -> None:
    """Each is measured once; what is not clearly cheap is measured again, in turns with the everyday document."""
    prepare_document(CORE, USUAL_QUERY)
    corpus = list(hostile_documents())
    assert len({document.text for document in corpus}) > CORPUS_SIZE * 0.9
    with without_collector():
        everyday = statistics.median(cpu_seconds(USUAL_QUERY) for _ in range(20))
        measured = sorted(((cpu_seconds(document.text), document) for document in corpus), reverse=True)
        doubtful = [
            document for seconds, document in measured if seconds > everyday * MOST_TIMES_AN_EVERYDAY_DOCUMENT / 2
        ]
        for document in doubtful:
            own, peer = median_cpu_seconds(document.text)
            times = own / peer
            assert times <= MOST_TIMES_AN_EVERYDAY_DOCUMENT, f"{document[:2]}: {times:.1f} times an everyday document"
        worst = [document for _, document in measured[:40]]
        counted = [(calls(partial(prepare_document, CORE, document.text)), document) for document in worst]
    most, document = max(counted)
    assert most <= MOST_CALLS, f"{document[:2]}: {most} calls"


def test_the_corpus_has_every_family_in_small_and_large() -> None:
    """It must hold documents at the limits, not only far beyond them."""
    corpus = list(hostile_documents())
    assert len(corpus) == CORPUS_SIZE
    assert {document.family for document in corpus} == {family.__name__ for family in FAMILIES}
    outcomes = [codes(document.text) for document in corpus if document.size == SIZES[2]]
    assert sum(not found for found in outcomes) > 10, "hostile documents that are valid are the harder ones"
    assert set().union(*outcomes) == {"BAD_USER_INPUT", "QUERY_TOO_COMPLEX"}
    assert corpus == list(hostile_documents()), "the same documents in every run"


@pytest.mark.parametrize(
    "text",
    [
        *("{me" + "{tier" * depth + "{id}" + "}" * depth + "}" for depth in (140, 160, 190, 250, 5_000)),
        *("{nodes(ids:" + "[" * depth + '"x"' + "]" * depth + "){id}}" for depth in (150, 190, 250, 5_000)),
        *("{customer(by:" + "{id:" * depth + '"x"' + "}" * depth + "){id}}" for depth in (150, 190, 250, 5_000)),
    ],
)
async def test_whatever_is_nested_is_refused_as_the_fault_of_the_document(text: str) -> None:
    result = await SCHEMA.execute(text)
    found = {str((error.extensions or {})["code"]) for error in result.errors or ()}
    assert found <= {"BAD_USER_INPUT", "QUERY_TOO_COMPLEX"}
    assert found


HEAVY_TYPE = "fields { name description args { name type { name } } type { name fields { name args { name } } } }"

# ── What is allowed ───────────────────────────────────────────────────────────────────────────────────────────────────


def codegen_document(fragments: int, fields: int) -> str:
    """Return a document as client tools write it.

    Every fragment asks for `__typename` and `id`, and most fragments are spread in one place.
    """
    leaves = _leaves(fields)
    texts = [
        f"fragment Part{number} on Customer {{ __typename id {' '.join(leaves)} tier {{ __typename id name }} }}"
        for number in range(fragments)
    ]
    spreads = " ".join(f"...Part{number}" for number in range(fragments))
    return f"query Screen($first: Int = 20) {{ customers(first: $first) {{ nodes {{ {spreads} }} }} }} " + " ".join(
        texts
    )


def _leaves(count: int) -> list[str]:
    names = ("externalId", "fullName", "email", "avatarUrl", "locale", "category", "createdAt", "marketingConsent")
    return [names[number % len(names)] for number in range(count)]


@pytest.mark.parametrize(
    "text",
    [
        USUAL_QUERY,
        codegen_document(fragments=40, fields=3),
        codegen_document(fragments=4, fields=200),
        codegen_document(fragments=95, fields=1),
        "{ me { id } }" + "# a comment\n" * 2_500,
        "query A { me { id } } query B { viewer { __typename } }",
    ],
    ids=["introspection", "40 small fragments", "4 large fragments", "95 fragments", "comments", "two operations"],
)
def test_everyday_documents_are_ready_to_run(text: str) -> None:
    assert prepare_document(CORE, text).errors == []


@pytest.mark.parametrize(
    ("limit", "unit", "frame"),
    [
        ("MAX_DEFINITIONS", "query Q%d{me{id}} ", "%s"),
        ("MAX_SELECTIONS", "id ", "{me{id %s}}"),
        ("MAX_DIRECTIVES", "@include(if:true)", "{me{id %s}}"),
        ("MAX_VARIABLES", "$v%d:Int ", "query(%s){me{id}}"),
        ("MAX_VALUES", '"x" ', "{nodes(ids:[%s]){id}}"),
        ("MAX_TOKENS", ") ", "%s"),
        ("MAX_LINES", "\n", "{me{id}}%s"),
        ("MAX_DOCUMENT_LENGTH", " ", "{me{id}}%s"),
    ],
)
def test_a_document_over_a_limit_is_refused_as_too_complex(limit: str, unit: str, frame: str) -> None:
    """The limits come before the rules: a document over one says so, and says nothing else."""
    maximum = getattr(limits, limit)
    few = frame % "".join(unit % n if "%d" in unit else unit for n in range(maximum // 2))
    many = frame % "".join(unit % n if "%d" in unit else unit for n in range(maximum + 1))
    assert "QUERY_TOO_COMPLEX" not in codes(few)
    (error,) = prepare_document(CORE, many).errors
    assert (error.extensions or {})["code"] == "QUERY_TOO_COMPLEX"
    assert error.message.startswith(f"The document has more than {maximum} ")


def test_a_document_of_a_megabyte_is_refused_before_it_is_read() -> None:
    text = "{ me { id } }" + " " * 1_000_000
    assert calls(partial(prepare_document, CORE, text)) < 50


SMALL = [document for document in hostile_documents() if document.size <= 120]


def test_reads_the_same_tokens_and_trees_as_graphql_core() -> None:
    read = 0
    for document in SMALL:
        prepared = prepare_document(CORE, document.text).document
        if prepared is not None:
            expected = parse(document.text)
            assert count_tokens(document.text, 10_000) == prepared.token_count, document[:2]
            assert print_ast(prepared) == print_ast(expected), document[:2]
            assert places(prepared) == places(expected), document[:2]
            read += 1
    assert read > len(SMALL) / 2


ENDS = (
    "\r\n\n\r\t, \ufeffid",
    '"',
    "..",
    "\ud800",
    '"a\ud800"',
    '"\x00"',
    '""',
    '"""',
    "\u00e9",
    "-",
    "0x",
    "#\r#\n a",
    "`",
)


def test_reads_plain_tokens_as_graphql_core_does_one_character_at_a_time() -> None:
    """Where a token lies, too, and what is said about a text that cannot be read."""
    texts = [document.text for document in SMALL if document.size <= SIZES[1]]
    for text in (*texts, *(f"{{\n me(a: 1){end}" for end in ENDS)):
        assert read_tokens(DocumentLexer, text) == read_tokens(Lexer, text), text[:80]


def read_tokens(lexer_class: type[Lexer], text: str) -> list[tuple[object, ...]]:
    """Return all tokens of a text; the last one is the error if the text is wrong."""
    lexer, found = lexer_class(Source(text)), list[tuple[object, ...]]()
    try:
        while (token := lexer.advance()).kind is not TokenKind.EOF:
            found.append((token.kind, token.start, token.end, token.line, token.column, token.value))
    except GraphQLSyntaxError as error:
        found.append((error.message, error.positions))
    return found


def test_finds_what_all_rules_of_graphql_core_find_in_the_same_order() -> None:
    """Each rule is shown only the nodes of the kinds that it looks at."""
    compared = 0
    for document in SMALL:
        try:
            tree = parse_document(document.text)
        except GraphQLError:
            continue
        if find_excess(CORE, tree):
            continue
        ours = [(error.message, error.positions) for error in validate_document(CORE, tree, 10_000)]
        rules = validate(CORE, tree, RULES, max_errors=10_000, hide_suggestions=True)
        theirs = [(error.message, error.positions) for error in rules]
        assert ours == theirs or not theirs, document[:2]
        compared += bool(theirs)
    assert compared > 50


def places(document: DocumentNode) -> list[tuple[str, int, int]]:
    """Return where each node begins and ends."""
    found: list[tuple[str, int, int]] = []

    class Look(Visitor):
        def enter(self, node: Node, *_args: object) -> None:
            assert node.loc is not None
            found.append((node.kind, node.loc.start, node.loc.end))

    visit(document, Look())
    return found


def test_nesting_through_fragments_is_limited() -> None:
    deep = "...{" * 60 + "id" + "}" * 60
    chain = " ".join(f"fragment F{n} on Customer{{{'...{' * 60}...F{n + 1}{'}' * 60}}}" for n in range(2))
    assert codes(f"{{me{{{deep}}}}}") == set()
    assert codes(f"{{me{{...F0}}}} {chain} fragment F2 on Customer{{{deep}}}") == {"QUERY_TOO_COMPLEX"}


@pytest.mark.parametrize(
    "text",
    [
        "{" + " ".join(f"a{n}: __schema {{ types {{ fields {{ name type {{ name }} }} }} }}" for n in range(20)) + "}",
        "{ __schema { "
        + " ".join(f"a{n}: types {{ fields {{ args {{ type {{ name }} }} }} }}" for n in range(30))
        + "}}",
        "{" + " ".join(f'a{n}: __type(name: "Query") {{ {HEAVY_TYPE} }}' for n in range(50)) + "}",
    ],
    ids=["many schemas", "many lists of types", "many types"],
)
def test_an_operation_can_read_the_schema_once_and_not_fifty_times(text: str) -> None:
    assert codes(text) == {"QUERY_TOO_COMPLEX"}


# ── What is said ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_says_at_most_ten_errors_and_that_there_are_more() -> None:
    many = prepare_document(CORE, "{me{" + " ".join(f"nope{n}" for n in range(50)) + "}}").errors
    assert len(many) == MAX_ERRORS
    assert many[-1].message == f"The document has more errors; these are the first {MAX_ERRORS - 1}."
    few = prepare_document(CORE, "{me{" + " ".join(f"nope{n}" for n in range(MAX_ERRORS - 1)) + "}}").errors
    assert [error.message for error in few] == [
        f"Cannot query field 'nope{n}' on type 'Customer'." for n in range(MAX_ERRORS - 1)
    ]


@pytest.mark.parametrize(
    "text",
    [
        "{me{fullNam}}",
        "{customers(firs:1){nodes{id}}}",
        "{customers(orderBy:NAM){nodes{id}}}",
        '{node(id:"x"){...on Custome{id}}}',
        '{customer(by:{externalI:"x"}){id}}',
        "query($v:Customr){me{id}}",
    ],
)
def test_suggests_no_names(text: str) -> None:
    messages = [error.message for error in prepare_document(CORE, text).errors]
    assert messages
    assert not any("Did you mean" in message for message in messages), messages


async def test_suggests_no_names_for_values_of_variables_either() -> None:
    document = (
        "query($by: CustomerBy!, $by2: CustomerBy!) { customer(by: $by) { id } other: customer(by: $by2) { id } }"
    )
    values: dict[str, object] = {"by": {f"externalI{n}": 1 for n in range(50)}, "by2": {"externalI": "x"}}
    result = await SCHEMA.execute(document, variable_values=values)
    assert result.errors is not None
    assert 1 < len(result.errors) <= MAX_ERRORS
    assert not any("Did you mean" in error.message for error in result.errors)
    assert {str((error.extensions or {})["code"]) for error in result.errors} == {"BAD_USER_INPUT"}


def test_errors_have_lines_and_columns() -> None:
    (error,) = prepare_document(CORE, "{\n  me {\r\n    id\r    nope }\n}").errors
    assert [location.formatted for location in error.locations or ()] == [{"line": 4, "column": 5}]
    (broken,) = prepare_document(CORE, "{ me {\n  id\n").errors
    assert [location.formatted for location in broken.locations or ()] == [{"line": 3, "column": 1}]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("fragment F on Query{customer(by:{id:$x}){id}} query($x:ID!){...F}", set()),
        ("query($x:ID!){...F} fragment F on Query{customer(by:{id:$x}){id}} query B{me{id}}", {"BAD_USER_INPUT"}),
        ("{customer(by:{id:$x}){id}}", {"BAD_USER_INPUT"}),
        ("query($x:ID){customer(by:{id:$x}){id}}", {"BAD_USER_INPUT"}),
        ('{customer(by:{id:"a",email:"b"}){id}}', {"BAD_USER_INPUT"}),
        ("{customer(by:{id:null}){id}}", {"BAD_USER_INPUT"}),
        ("{customer(by:{}){id}}", {"BAD_USER_INPUT"}),
    ],
)
async def test_inputs_with_exactly_one_field_are_checked_wherever_the_variable_stands(
    text: str, expected: set[str]
) -> None:
    assert codes(text) == expected
    if expected:
        result = await SCHEMA.execute(text, variable_values={"x": "a"})
        assert {str((error.extensions or {})["code"]) for error in result.errors or ()} == expected


# ── What is kept ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_document_is_prepared_once() -> None:
    documents = Documents(CORE)
    first = documents.prepare("{ me { id } }")
    assert documents.prepare("{ me { id } }") is first
    assert documents.kept_bytes > 0


def test_wrong_documents_are_not_kept() -> None:
    documents = Documents(CORE)
    for text in ("{ me { nope } }", "{ me {", "{" * 3_000):
        assert documents.prepare(text).errors
    assert documents.kept_bytes == 0


def test_kept_documents_have_a_weight_and_the_one_that_was_not_used_longest_goes() -> None:
    documents = Documents(CORE, max_bytes=100_000)
    texts = [f"{{ me {{ {' '.join(f'a{n}x{m}: id' for m in range(20))} }} }}" for n in range(20)]
    ready = [documents.prepare(text) for text in texts]
    assert documents.kept_bytes <= 100_000
    assert documents.prepare(texts[-1]) is ready[-1]
    assert documents.prepare(texts[0]) is not ready[0]
    documents.prepare(texts[-1])
    for text in texts[:2]:
        documents.prepare(text)
    assert documents.prepare(texts[-1]) is ready[-1], "what is used stays"
    assert Documents(CORE, max_bytes=10).prepare(texts[0]).errors == [], "what is too heavy is not kept, but runs"


def test_the_weight_is_about_the_memory_that_a_document_takes() -> None:
    texts = [f"{{ me {{ {' '.join(f'a{n}x{m}: id' for m in range(40))} }} }}" for n in range(30)]
    documents = Documents(CORE)
    with without_collector():
        tracemalloc.start()
        for text in texts:
            documents.prepare(text)
        taken, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert 0.5 * documents.kept_bytes < taken < 1.2 * documents.kept_bytes
    assert documents.kept_bytes < DOCUMENT_CACHE_BYTES


MOST_OBJECTS_TO_LOOK_AT = 80_000
"""Looking at one takes less than half a microsecond."""


def test_kept_documents_do_not_keep_the_garbage_collector_busy() -> None:
    """One caller can fill the memory for documents; the collector then looks at all of it in one stretch."""
    documents = Documents(CORE)
    with without_collector():
        before = len(gc.get_objects())
        weight, number = -1, 0
        while documents.kept_bytes > weight:
            weight = documents.kept_bytes
            documents.prepare(f"{{me{{a{number}:id {'id ' * 600}}}}}")
            number += 1
        objects = len(gc.get_objects()) - before
    assert weight > DOCUMENT_CACHE_BYTES * 0.9
    assert objects < MOST_OBJECTS_TO_LOOK_AT


@pytest.mark.parametrize(
    "text",
    [
        "{me{" + "id fullName " * 100 + "}}",
        "{me{" + "id fullName " * 100 + "nope}}",
        "{me{" + "id fullName " * 100 + "x:id x:email}}",
        "{me{" + "id fullName " * 100,
        "{" + "me{" * 90 + "id" + "}" * 91,
        "{" + "me{id}" * 900 + "}",
    ],
    ids=["valid", "unknown field", "conflict", "broken", "too deep", "too many"],
)
def test_a_document_that_is_gone_leaves_nothing_for_the_garbage_collector(text: str) -> None:
    """Circles would hold every tree until the collector comes: gigabytes, when it comes seldom."""
    with without_collector():
        for _ in range(3):
            prepare_document(CORE, text)
        assert gc.collect() == 0


async def test_a_kept_document_is_found_again_over_every_way_in() -> None:
    schema: ExecutableSchema = SCHEMA
    text = "{ __typename kept: __typename }"
    await schema.execute(text)
    kept = schema.documents.prepare(text)
    results = cast("AsyncIterator[ExecutionResult]", await schema.stream(text))
    assert [result.data async for result in results] == [{"__typename": "Query", "kept": "Query"}]
    assert schema.documents.prepare(text) is kept
    found = await asyncio.gather(*(schema.execute(text) for _ in range(5)))
    assert all(result.data == {"__typename": "Query", "kept": "Query"} for result in found)


async def finish_order(documents: Documents, asked: list[tuple[str, str]]) -> list[str]:
    """Return the texts in the order in which they are ready, when all of them are asked for at once."""
    finished: list[str] = []

    async def ask(text: str, caller: str) -> None:
        await documents.prepare_in_turn(text, caller)
        finished.append(text)

    await asyncio.gather(*(ask(text, caller) for text, caller in asked))
    return finished


async def test_new_documents_of_one_caller_wait_for_each_other_and_for_nobody_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Eve sends five at once; Ada's is not the sixth. Without rests, so that the order is always the same."""
    monkeypatch.setattr("schema.documents.DEAR_SECONDS", 60.0)
    documents = Documents(CORE)
    eves = [f"{{ viewer {{ kind nothing{number} }} }}" for number in range(5)]
    adas = "{ viewer { kind nothingOfAda } }"
    finished = await finish_order(documents, [*((text, "eve") for text in eves), (adas, "ada")])
    assert [text for text in finished if text != adas] == eves
    assert finished.index(adas) <= 1


async def test_a_document_that_is_kept_waits_for_nobody() -> None:
    documents = Documents(CORE)
    kept = "{ viewer { kind } }"
    await documents.prepare_in_turn(kept, "eve")
    eves = [f"{{ viewer {{ kind nothing{number} }} }}" for number in range(3)]
    finished = await finish_order(documents, [*((text, "eve") for text in eves), (kept, "eve")])
    assert finished[0] == kept
