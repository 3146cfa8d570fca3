"""The texts of trusted documents that a process has read. They are kept until their tenant changes its documents."""

from collections import OrderedDict

from loyalty.rules.ids import TenantId

KNOWN_DOCUMENT_BYTES = 16_777_216
"""The most memory for the texts of all tenants in one process."""

MAX_KNOWN_VERSIONS = 10_000
"""The most tenants of which a process remembers the version of their documents."""

ENTRY_BYTES = 500
"""The approximate memory for one document beside its text."""


class KnownDocuments:
    """The texts, by tenant and hash, and the newest known version of each tenant."""

    def __init__(self) -> None:
        self._texts: OrderedDict[tuple[TenantId, str], tuple[int, str]] = OrderedDict()
        self._versions: OrderedDict[TenantId, int] = OrderedDict()
        self.kept_bytes = 0

    def remember_version(self, tenant_id: TenantId, version: int) -> int:
        """Remember the version of a tenant's documents, and return the newest version that is known.

        That is ``version``, or a newer one that another request had. So a socket learns of a new version from other
        requests, and from the checks of sockets.
        """
        newest = max(version, self._versions.get(tenant_id, 0))
        if newest > 0:
            self._versions[tenant_id] = newest
            self._versions.move_to_end(tenant_id)
            if len(self._versions) > MAX_KNOWN_VERSIONS:
                self._versions.popitem(last=False)
        return newest

    def find(self, tenant_id: TenantId, version: int, sha256: str) -> str | None:
        """Return the text of a document, if it was read since the tenant's last change; else None."""
        key = (tenant_id, sha256)
        kept = self._texts.get(key)
        if kept is None or kept[0] != version:
            return None
        self._texts.move_to_end(key)
        return kept[1]

    def keep(self, tenant_id: TenantId, version: int, sha256: str, text: str) -> None:
        """Keep the text of a document. If the memory is full, the texts that were not used for longest are dropped."""
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
    """Return the approximate bytes of a kept text: one per character for ASCII, else four, and its entry."""
    return ENTRY_BYTES + (len(text) if text.isascii() else 4 * len(text))
