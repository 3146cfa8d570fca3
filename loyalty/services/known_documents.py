"""The texts of trusted documents that a process has read, kept as long as their tenant changes none."""

from collections import OrderedDict

from loyalty.rules.ids import TenantId

KNOWN_DOCUMENT_BYTES = 16_777_216
"""Memory of the texts that a process keeps, all tenants together."""

MAX_KNOWN_VERSIONS = 10_000
"""Tenants of which a process remembers how often they have changed their documents."""

ENTRY_BYTES = 500
"""About what a store takes for one document, beside the text."""


class KnownDocuments:
    """The texts, by tenant and hash, and the newest version that each tenant was seen with."""

    def __init__(self) -> None:
        self._texts: OrderedDict[tuple[TenantId, str], tuple[int, str]] = OrderedDict()
        self._versions: OrderedDict[TenantId, int] = OrderedDict()
        self.kept_bytes = 0

    def newest_version(self, tenant_id: TenantId, version: int) -> int:
        """The newest version that is known: ``version``, or one that somebody else was seen with.

        A socket learns of it from the requests of others, and from those who watch over sockets.
        """
        newest = max(version, self._versions.get(tenant_id, 0))
        if newest > 0:
            self._versions[tenant_id] = newest
            self._versions.move_to_end(tenant_id)
            if len(self._versions) > MAX_KNOWN_VERSIONS:
                self._versions.popitem(last=False)
        return newest

    def find(self, tenant_id: TenantId, version: int, sha256: str) -> str | None:
        """The text of a document, where it was read since the tenant's last change."""
        key = (tenant_id, sha256)
        kept = self._texts.get(key)
        if kept is None or kept[0] != version:
            return None
        self._texts.move_to_end(key)
        return kept[1]

    def keep(self, tenant_id: TenantId, version: int, sha256: str, text: str) -> None:
        """Keep a text that was read."""
        key = (tenant_id, sha256)
        if key in self._texts:
            self._drop(key)
        self._texts[key] = (version, text)
        self.kept_bytes += weigh_text(text)
        while self.kept_bytes > KNOWN_DOCUMENT_BYTES:
            self._drop(next(iter(self._texts)))

    def _drop(self, key: tuple[TenantId, str]) -> None:
        self.kept_bytes -= weigh_text(self._texts.pop(key)[1])


def weigh_text(text: str) -> int:
    """About how many bytes a kept text takes: one for each character of an ASCII text, at most four, and its entry."""
    return ENTRY_BYTES + (len(text) if text.isascii() else 4 * len(text))
