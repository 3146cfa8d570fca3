"""Parse the text of a document into a syntax tree. Parsing counts definitions, fields and values, and stops at a limit.

The tree holds no tokens. graphql-core's own tree holds all tokens, and they point at each other in both directions, so
only the garbage collector frees it. This tree is freed at once when nobody uses it any more.
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
"""Matches one token of the lexer. A character that begins no token counts as one; the lexer refuses it later."""

_NEW_LINE = re.compile(r"\r\n|[\n\r]")

_PLAIN_TOKEN = re.compile(
    r"([ \t,\n\r\ufeff]*)"
    r"(?:([A-Za-z_][A-Za-z0-9_]*)"
    r"|([!$&():=@\[\]{|}]|\.\.\.)"
    r'|"([^"\\\n\r\ud800-\udfff]+)")'
)
"""Matches blanks, then a name, a sign, or a text without escapes. Nearly all of a document matches."""

_SIGNS = {kind.value: kind for kind in TokenKind if kind.value in {*"!$&():=@[]{|}", "..."}}


class Place(Location):
    """Where a node begins and ends, without the tokens there."""

    __slots__ = ()

    def __init__(self, start: int, end: int, source: Source) -> None:
        self.start = start
        self.end = end
        self.source = source


class IndexedSource(Source):
    """A source text that finds the beginnings of its lines only once, for all errors in it."""

    _line_starts: list[int] | None = None

    def get_location(self, position: int) -> SourceLocation:
        """Return the line and the column of a character; both begin at 1."""
        if self._line_starts is None:
            self._line_starts = [0, *(match.end() for match in _NEW_LINE.finditer(self.body))]
        line = bisect_right(self._line_starts, position)
        return SourceLocation(line, position + 1 - self._line_starts[line - 1])


class DocumentLexer(Lexer):
    """graphql-core's lexer without links between its tokens."""

    _following: Token | None = None

    def advance(self) -> Token:
        """Move to the next token that is not a comment, and return it."""
        self.last_token = self.token
        token = self.token = self.lookahead()
        self._following = None
        return token

    def lookahead(self) -> Token:
        """Return the next token that is not a comment, and do not move to it."""
        token = self._following or self.token
        if token is not self.token or token.kind is TokenKind.EOF:
            return token
        token = self.read_next_token(token.end)
        while token.kind is TokenKind.COMMENT:
            token = self.read_next_token(token.end)
        self._following = token
        return token

    def read_next_token(self, start: int) -> Token:
        """Return the token that begins at ``start`` or after it.

        A token that `_PLAIN_TOKEN` does not match is read by graphql-core, character by character.
        """
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
    """graphql-core's parser, which also counts what it parses. Each method raises QUERY_TOO_COMPLEX above its limit."""

    def __init__(self, text: str) -> None:
        source = IndexedSource(text)
        super().__init__(source, lexer=DocumentLexer(source))
        self._definitions = self._selections = self._directives = self._variables = self._values = 0

    def loc(self, start_token: Token) -> Location | None:
        """Return the place of a node: it begins with this token and ends with the token that was read last."""
        return Place(start_token.start, self._lexer.last_token.end, self._lexer.source)

    def parse_definition(self) -> DefinitionNode:
        """Parse an operation or a fragment. Refuses more than `MAX_DEFINITIONS`."""
        self._definitions += 1
        if self._definitions > MAX_DEFINITIONS:
            raise _too_many("operations and fragments", MAX_DEFINITIONS)
        return super().parse_definition()

    def parse_selection(self) -> SelectionNode:
        """Parse a field, a fragment spread or an inline fragment. Refuses more than `MAX_SELECTIONS`."""
        self._selections += 1
        if self._selections > MAX_SELECTIONS:
            raise _too_many("fields and fragment spreads", MAX_SELECTIONS)
        return super().parse_selection()

    def parse_directive(self, is_const: bool) -> DirectiveNode:  # noqa: FBT001 - graphql-core's signature
        """Parse the use of a directive. Refuses more than `MAX_DIRECTIVES`."""
        self._directives += 1
        if self._directives > MAX_DIRECTIVES:
            raise _too_many("directives", MAX_DIRECTIVES)
        return super().parse_directive(is_const)

    def parse_variable_definition(self) -> VariableDefinitionNode:
        """Parse the declaration of a variable. Refuses more than `MAX_VARIABLES`."""
        self._variables += 1
        if self._variables > MAX_VARIABLES:
            raise _too_many("declared variables", MAX_VARIABLES)
        return super().parse_variable_definition()

    def parse_value_literal(self, is_const: bool) -> ValueNode:  # noqa: FBT001 - graphql-core's signature
        """Parse a value of an argument or input field, an entry of a list, or a default.

        Refuses more than `MAX_VALUES`.
        """
        self._values += 1
        if self._values > MAX_VALUES:
            raise _too_many("values in its text", MAX_VALUES, " Send values as variables.")
        return super().parse_value_literal(is_const)


def _too_many(what: str, limit: int, advice: str = "") -> GraphQLError:
    return refusal(ErrorCode.QUERY_TOO_COMPLEX, f"The document has more than {limit} {what}.{advice}")


def parse_document(text: str) -> DocumentNode:
    """Parse a text into its syntax tree.

    Raises `GraphQLError`: QUERY_TOO_COMPLEX above a limit of this module, and a syntax error for a text that is no
    GraphQL. A text that is too long is refused before it is parsed.
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
    """Refuse a text with too many characters, lines or tokens."""
    if len(text) > MAX_DOCUMENT_LENGTH:
        raise _too_many("characters", MAX_DOCUMENT_LENGTH, " Send values as variables.")
    # A line end of two characters (\r\n) counts twice: this is quicker than a pattern, and no honest document is near.
    if text.count("\n") + text.count("\r") >= MAX_LINES:
        raise _too_many("lines", MAX_LINES)
    if count_tokens(text, MAX_TOKENS + 1) > MAX_TOKENS:
        raise _too_many("words, numbers and signs", MAX_TOKENS)


def count_tokens(text: str, enough: int) -> int:
    """Count the tokens of a text without its comments; stop at ``enough``."""
    tokens = (match for match in _TOKEN.finditer(text) if text[match.start()] != "#")
    return sum(1 for _ in islice(tokens, enough))
