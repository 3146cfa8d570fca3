"""What the documentation says and a program can check: links, settings, limits, commands, GraphQL."""

import importlib
import json
import re
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import NamedTuple

import click
import pytest
from graphql import NoDeprecatedCustomRule, validate
from strawberry import Schema

from cli.main import main
from runtime.settings import Settings
from schema.documents import prepare_document
from schema.platform.root import platform_schema
from schema.root import treue_schema

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / name for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md")] + sorted(
    ROOT.glob("docs/**/*.md")
)

PLATFORM_PAGE = ROOT / "docs/guides/platform.md"

FENCE = re.compile(r"^```(?P<language>\w*)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
CODE_SPAN = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"(?<!!)\[[^\]]*\]\((?P<target>[^)\s]+)\)")
HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)
POSTED_BODY = re.compile(r"-d '(\{.*?\})'(?:\n|$)")
LIMIT_ROW = re.compile(r"^\| `(?P<module>[a-z_.]+)\.(?P<name>[A-Z_]+)` \| (?P<value>[0-9.,]+) \|", re.MULTILINE)
GLOSSARY_ROW = re.compile(r"^\| ([^|]+) \|", re.MULTILINE)
SETTING_ROW = re.compile(r"^\| `([A-Z_]+)` \|", re.MULTILINE)
SETTING_NAME = re.compile(r"\b(?:TREUE_[A-Z_]+[A-Z]|DATABASE_URL)\b")
MAKE_TARGET = re.compile(r"^([a-z-]+):.*## ", re.MULTILINE)
MADE = re.compile(r"(?:^|[\s$(])make ([a-z][a-z-]*)")
RUN = re.compile(r"(?:^|[\s(/])treue ([a-z][a-z-]*)(?: ([a-z]+))?")

LIMITED_MODULES = (
    *("schema.limits", "schema.merging", "schema.masking"),
    *("api.graphql", "api.sockets", "api.live", "loyalty.services.purchase"),
)
"""Where every MAX_… must be documented; elsewhere a constant may be nobody's business outside."""
INTERNAL_LIMITS = {"api.graphql.MAX_DISCARDED_BYTES"}
"""It only delays a cut."""
COMPOSE_ONLY = {"TREUE_POSTGRES_PASSWORD"}


COUNTED = re.compile(r"\b[0-9][0-9,]* (?:passed|skipped|tests|invariants|mutations|permissions|revisions)\b")
"""Numbers that change with most commits: nobody would keep a copy of them true."""


class Snippet(NamedTuple):
    """A piece of code of a page."""

    page: Path
    language: str
    code: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}: {self.code.strip().splitlines()[0][:60]}"


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def prose(page: Path) -> str:
    """Return a page without its code blocks."""
    return FENCE.sub("", page.read_text("utf-8"))


def snippets(*languages: str) -> list[Snippet]:
    """Return all code blocks in these languages."""
    found = [
        Snippet(page, match["language"], match["code"])
        for page in PAGES
        for match in FENCE.finditer(page.read_text("utf-8"))
    ]
    return [snippet for snippet in found if snippet.language in languages]


def spoken_code(page: Path) -> Iterator[str]:
    """Yield what a page shows as commands: code in running text, and the lines of its shell blocks."""
    yield from CODE_SPAN.findall(prose(page))
    for snippet in snippets("sh", "console"):
        if snippet.page == page:
            lines = snippet.code.splitlines()
            yield from (line for line in lines if snippet.language == "sh" or line.startswith("$ "))


@cache
def anchors(page: Path) -> frozenset[str]:
    """Return the anchors of a page's headings, as code hosts make them."""
    headings = (re.sub(r"[^\w\- ]", "", heading.strip().lower()) for heading in HEADING.findall(prose(page)))
    return frozenset(heading.replace(" ", "-") for heading in headings)


@cache
def schema() -> Schema:
    return treue_schema()


@cache
def schema_of(page: Path | None) -> Schema:
    """Return the schema that a page is about."""
    return platform_schema() if page == PLATFORM_PAGE else schema()


def problems_of(document: str, page: Path | None = None) -> list[str]:
    """Return what is wrong with a document: our limits count, and so do names that will go."""
    core = schema_of(page)._schema  # noqa: SLF001 - no other way
    prepared = prepare_document(core, document)
    going = validate(core, prepared.document, [NoDeprecatedCustomRule]) if prepared.document else []
    return [error.message for error in (*prepared.errors, *going)]


def test_a_name_that_will_go_is_noticed() -> None:
    (problem,) = problems_of('{ customer(by: {externalId: "anna"}) { points { available } } }')
    assert "Use `account`" in problem


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    broken = []
    for match in LINK.finditer(prose(page)):
        target, _, anchor = match["target"].partition("#")
        if "://" in target:
            continue
        file = (page.parent / target).resolve() if target else page
        if not file.exists() or (anchor and anchor not in anchors(file)):
            broken.append(match["target"])
    assert broken == []


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached, waiting = set[Path](), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in reached or page.suffix != ".md" or not page.exists():
            continue
        reached.add(page)
        targets = (match["target"].partition("#")[0] for match in LINK.finditer(prose(page)))
        waiting += [(page.parent / target).resolve() for target in targets if target and "://" not in target]
    assert set(PAGES) - reached == set()


def test_every_setting_is_documented_and_no_other() -> None:
    names = {"DATABASE_URL" if name == "database_url" else f"TREUE_{name.upper()}" for name in Settings.model_fields}
    text = (ROOT / "docs/reference/settings.md").read_text("utf-8")
    assert set(SETTING_ROW.findall(text)) == names
    mentioned = {name for page in PAGES for name in SETTING_NAME.findall(page.read_text("utf-8"))}
    assert mentioned - COMPOSE_ONLY <= names


def test_documented_defaults_are_the_real_ones() -> None:
    rows = re.findall(
        r"^\| `(?:TREUE_)?([A-Z_]+)` \| `?([^|`]+)`? \|",
        (ROOT / "docs/reference/settings.md").read_text("utf-8"),
        re.MULTILINE,
    )
    shown = {"None": "none", "()": "[]"}
    defaults = {name.upper(): str(field.default) for name, field in Settings.model_fields.items()}
    assert {name: default.strip() for name, default in rows} == {
        name: shown.get(default, default) for name, default in defaults.items()
    }


def limit_rows() -> list[tuple[str, str, float]]:
    text = (ROOT / "docs/reference/limits.md").read_text("utf-8")
    return [
        (match["module"], match["name"], float(match["value"].replace(",", ""))) for match in LIMIT_ROW.finditer(text)
    ]


@pytest.mark.parametrize(("module", "name", "value"), limit_rows())
def test_documented_limits_are_the_real_ones(module: str, name: str, value: float) -> None:
    limit = getattr(importlib.import_module(module), name)
    if isinstance(limit, timedelta):
        assert value in {limit / timedelta(seconds=1), limit / timedelta(days=1)}
    else:
        assert limit == value


@pytest.mark.parametrize("module", LIMITED_MODULES)
def test_the_limits_callers_meet_are_documented(module: str) -> None:
    loaded = importlib.import_module(module)
    source = Path(loaded.__file__ or "").read_text("utf-8")
    defined = {f"{module}.{name}" for name in re.findall(r"^(MAX_[A-Z_]+) = ", source, re.MULTILINE)}
    documented = {f"{row_module}.{name}" for row_module, name, _ in limit_rows()}
    assert defined - documented - INTERNAL_LIMITS == set()


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_make_target_exists(page: Path) -> None:
    targets = set(MAKE_TARGET.findall((ROOT / "Makefile").read_text("utf-8")))
    assert {target for code in spoken_code(page) for target in MADE.findall(code)} - targets == set()


def command_exists(name: str, subname: str) -> bool:
    command = main.get_command(click.Context(main), name)
    if isinstance(command, click.Group) and subname:
        return subname in command.commands
    return command is not None


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_command_exists(page: Path) -> None:
    named = [found for code in spoken_code(page) for found in RUN.findall(code)]
    assert [found for found in named if not command_exists(*found)] == []


def test_every_command_is_documented() -> None:
    text = (ROOT / "docs/reference/cli.md").read_text("utf-8")
    missing = []
    for name in main.list_commands(click.Context(main)):
        command = main.get_command(click.Context(main), name)
        names = [f"{name} {sub}" for sub in command.commands] if isinstance(command, click.Group) else [name]
        missing += [full for full in names if f"`treue {full}`" not in text]
    assert missing == []


@pytest.mark.parametrize("snippet", snippets("graphql"), ids=str)
def test_every_graphql_snippet_is_valid(snippet: Snippet) -> None:
    assert problems_of(snippet.code, snippet.page) == []


@pytest.mark.parametrize("snippet", [one for one in snippets("sh") if POSTED_BODY.search(one.code)], ids=str)
def test_every_pasted_operation_is_valid(snippet: Snippet) -> None:
    for body in POSTED_BODY.findall(snippet.code):
        assert problems_of(json.loads(body)["query"], snippet.page) == []


@pytest.mark.parametrize("snippet", snippets("python"), ids=str)
def test_operations_in_python_snippets_are_valid(snippet: Snippet) -> None:
    compile(snippet.code, name_of(snippet.page), "exec")
    for document in re.findall(r'"""(.*?)"""', snippet.code, re.DOTALL):
        assert problems_of(document) == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_no_page_copies_a_number_that_changes_with_the_code(page: Path) -> None:
    assert COUNTED.findall(page.read_text("utf-8")) == []


def test_the_glossary_explains_each_word_once() -> None:
    words = GLOSSARY_ROW.findall((ROOT / "docs/glossary.md").read_text("utf-8"))
    assert "gift card" in words
    assert [word for word, times in Counter(words).items() if times > 1] == []


def test_every_refusal_is_explained() -> None:
    text = (ROOT / "docs/concepts/errors.md").read_text("utf-8")
    codes = schema().get_type_by_name("UserErrorCode")
    assert codes is not None
    assert [value.name for value in codes.values if f"| `{value.name}` |" not in text] == []  # type: ignore[union-attr]
