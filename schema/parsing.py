"""From a text to a syntax tree: what is written is counted while it is read, and reading stops at the first limit.

The tree holds no tokens. graphql-core's own tree holds all of them, and they point at each other in both directions, so
that only the garbage collector frees it. This tree is freed at once when nobody uses it any more.
"""

import re
from bisect import bisect_right
from itertools import islice

from graphql import (
    DefinitionNode,
    DirectiveNode,
    DocumentNode,
    GraphQLError,
    GraphQLSyntaxError,
    Lexer,
    Location,
    SelectionNode,
    Source,
    SourceLocation,
    Token,
    TokenKind,
    ValueNode,
    VariableDefinitionNode,
)
from graphql.language.parser import Parser

from schema.limits import (
    MAX_DEFINITIONS,
    MAX_DIRECTIVES,
    MAX_DOCUMENT_LENGTH,
    MAX_LINES,
    MAX_SELECTIONS,
    MAX_TOKENS,
    MAX_VALUES,
    MAX_VARIABLES,
)
from schema.masking import ErrorCode, refusal

_TOKEN = re.compile(
    r"[A-Za-z_][A-Za-z0-9_]*"
    r'|"""(?>(?:[^"\\]+|\\"""|\\|"(?!""))*)"""'
    r'|"(?>(?:[^"\\\n\r]+|\\.)*)"'
    r"|#[^\n\r]*"
    r"|\.\.\."
    r"|-?[0-9][0-9A-Za-z_.+-]*"
    r"|[^ \t,\n\r\ufeff]"
)
"""Whatever the lexer takes for one token. What is no token counts by its characters, and the lexer refuses it."""

_NEW_LINE = re.compile(r"\r\n|[\n\r]")

_PLAIN_TOKEN = re.compile(
    r"([ \t,\n\r\ufeff]*)"
    r"(?:([A-Za-z_][A-Za-z0-9_]*)"
    r"|([!$&():=@\[\]{|}]|\.\.\.)"
    r'|"([^"\\\n\r\ud800-\udfff]+)")'
)
"""What stands between tokens, then a name, a sign, or a text without escapes: nearly all of a document."""

_SIGNS = {kind.value: kind for kind in TokenKind if kind.value in {*"!$&():=@[]{|}", "..."}}


class Place(Location):
    """Where a node begins and ends, without the tokens there."""

    __slots__ = ()

    def __init__(self, start: int, end: int, source: Source) -> None:
        self.start = start
        self.end = end
        self.source = source


class IndexedSource(Source):
    """A text that finds its lines only once, however many errors point into it."""

    _line_starts: list[int] | None = None

    def get_location(self, position: int) -> SourceLocation:
        """The line and column of a character, both from 1."""
        if self._line_starts is None:
            self._line_starts = [0, *(match.end() for match in _NEW_LINE.finditer(self.body))]
        line = bisect_right(self._line_starts, position)
        return SourceLocation(line, position + 1 - self._line_starts[line - 1])


class DocumentLexer(Lexer):
    """graphql-core's lexer without links between its tokens."""

    _following: Token | None = None

    def advance(self) -> Token:
        """Go to the next token that is no comment."""
        self.last_token = self.token
        token = self.token = self.lookahead()
        self._following = None
        return token

    def lookahead(self) -> Token:
        """The next token that is no comment; the lexer stays where it is."""
        token = self._following or self.token
        if token is not self.token or token.kind is TokenKind.EOF:
            return token
        token = self.read_next_token(token.end)
        while token.kind is TokenKind.COMMENT:
            token = self.read_next_token(token.end)
        self._following = token
        return token

    def read_next_token(self, start: int) -> Token:
        """The token at or after this place. What is not plain is read by graphql-core, character by character."""
        body = self.source.body
        found = _PLAIN_TOKEN.match(body, start)
        if found is None:
            return super().read_next_token(start)
        begin, end = found.end(1), found.end()
        if begin > start:
            for line_end in _NEW_LINE.finditer(body, start, begin):
                self.line += 1
                self.line_start = line_end.end()
        _, name, sign, text = found.groups()
        if name is not None:
            return self.create_token(TokenKind.NAME, begin, end, name)
        if sign is not None:
            return self.create_token(_SIGNS[sign], begin, end)
        return self.create_token(TokenKind.STRING, begin, end, text)


class DocumentParser(Parser):
    """graphql-core's parser, which counts what it finds. Raises a refusal at the first limit."""

    def __init__(self, text: str) -> None:
        source = IndexedSource(text)
        super().__init__(source, lexer=DocumentLexer(source))
        self._definitions = self._selections = self._directives = self._variables = self._values = 0

    def loc(self, start_token: Token) -> Location | None:
        """The place of a node that began with this token."""
        return Place(start_token.start, self._lexer.last_token.end, self._lexer.source)

    def parse_definition(self) -> DefinitionNode:
        """An operation or fragment."""
        self._definitions += 1
        if self._definitions > MAX_DEFINITIONS:
            raise _too_many("operations and fragments", MAX_DEFINITIONS)
        return super().parse_definition()

    def parse_selection(self) -> SelectionNode:
        """A field, fragment spread or inline fragment."""
        self._selections += 1
        if self._selections > MAX_SELECTIONS:
            raise _too_many("fields and fragment spreads", MAX_SELECTIONS)
        return super().parse_selection()

    def parse_directive(self, is_const: bool) -> DirectiveNode:  # noqa: FBT001 - graphql-core's signature
        """The use of a directive."""
        self._directives += 1
        if self._directives > MAX_DIRECTIVES:
            raise _too_many("directives", MAX_DIRECTIVES)
        return super().parse_directive(is_const)

    def parse_variable_definition(self) -> VariableDefinitionNode:
        """The declaration of a variable."""
        self._variables += 1
        if self._variables > MAX_VARIABLES:
            raise _too_many("declared variables", MAX_VARIABLES)
        return super().parse_variable_definition()

    def parse_value_literal(self, is_const: bool) -> ValueNode:  # noqa: FBT001 - graphql-core's signature
        """A value: of an argument, of an input field, in a list, or a default."""
        self._values += 1
        if self._values > MAX_VALUES:
            raise _too_many("values in its text", MAX_VALUES, " Send values as variables.")
        return super().parse_value_literal(is_const)


def _too_many(what: str, limit: int, advice: str = "") -> GraphQLError:
    return refusal(ErrorCode.QUERY_TOO_COMPLEX, f"The document has more than {limit} {what}.{advice}")


def parse_document(text: str) -> DocumentNode:
    """The syntax tree of a text.

    Raises `GraphQLError`: QUERY_TOO_COMPLEX over a limit of this module, else a syntax error. What is too long is
    refused before anything of it is read.
    """
    _check_size(text)
    parser = DocumentParser(text)
    try:
        return parser.parse_document()
    except RecursionError:
        start = parser._lexer.token.start  # noqa: SLF001 - the only way to it
    source = IndexedSource(text)
    raise GraphQLSyntaxError(source, start, "Document is nested too deeply. Parsing aborted.")


def _check_size(text: str) -> None:
    if len(text) > MAX_DOCUMENT_LENGTH:
        raise _too_many("characters", MAX_DOCUMENT_LENGTH, " Send values as variables.")
    if text.count("\n") + text.count("\r") >= MAX_LINES:
        raise _too_many("lines", MAX_LINES)
    if count_tokens(text, MAX_TOKENS + 1) > MAX_TOKENS:
        raise _too_many("words, numbers and signs", MAX_TOKENS)


def count_tokens(text: str, enough: int) -> int:
    """The tokens of a text, comments left out; counting stops at `enough`."""
    tokens = (match for match in _TOKEN.finditer(text) if text[match.start()] != "#")
    return sum(1 for _ in islice(tokens, enough))
