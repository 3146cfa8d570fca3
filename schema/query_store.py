"""Documents that clients sent once and then name by their hash (automatic persisted queries), in one process.

No document must be here: if one is missing, the client sends its text again. So the store is in memory, and each
process has its own. A document never pushes out another client's document. At a limit the client's own oldest documents
are dropped; if it has none, its new document is not kept.
"""

import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import NamedTuple, TypeVar

from loyalty.rules.ids import TenantId
from loyalty.services.known_documents import weigh_text

CLIENT_QUERY_BYTES = 131_072
"""The memory of the documents of one client: some 50 usual ones. All clients of a tenant can name its documents."""

TENANT_QUERY_BYTES = 1_048_576
"""Memory of the documents of one tenant."""

PROCESS_QUERY_BYTES = 67_108_864
"""Memory of all documents that a process keeps by their hash."""

QUERY_IDLE_SECONDS = 86_400.0
"""A document that was not used for so long is dropped."""

_Key = tuple[TenantId, str]
"""A tenant, and the hash of a document."""

_Owner = tuple[TenantId, str]
"""A tenant, and the name of one of its clients."""

_Counted = TypeVar("_Counted")


class _Kept(NamedTuple):
    text: str
    client: str
    size: int
    used_at: float


class QueryStore:
    """The documents of all tenants, by tenant and hash."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._kept: OrderedDict[_Key, _Kept] = OrderedDict()
        """In the order of their last use."""
        self._owned: dict[_Owner, OrderedDict[str, None]] = {}
        """The hashes of the documents that each client has sent, in the order of their last use."""
        self._bytes_of_client: Counter[_Owner] = Counter()
        self._bytes_of_tenant: Counter[TenantId] = Counter()
        self.kept_bytes = 0

    def __len__(self) -> int:
        return len(self._kept)

    def find(self, tenant_id: TenantId, sha256: str) -> str | None:
        """Return the text of a document that a client of the tenant sent before; None if it is not kept."""
        self._forget_idle()
        key = (tenant_id, sha256)
        kept = self._kept.get(key)
        if kept is None:
            return None
        self._kept[key] = kept._replace(used_at=self._clock())
        self._kept.move_to_end(key)
        self._owned[tenant_id, kept.client].move_to_end(sha256)
        return kept.text

    def keep(self, tenant_id: TenantId, client: str, sha256: str, text: str) -> bool:
        """Keep a document that a client has sent with its hash. Return whether it is kept."""
        if self.find(tenant_id, sha256) is not None:
            return True
        size = weigh_text(text)
        if size > CLIENT_QUERY_BYTES:
            return False
        owner = (tenant_id, client)
        while not self._has_room(owner, size):
            if owner not in self._owned:
                return False
            self._forget((tenant_id, next(iter(self._owned[owner]))))
        self._kept[tenant_id, sha256] = _Kept(text, client, size, self._clock())
        self._owned.setdefault(owner, OrderedDict())[sha256] = None
        self._bytes_of_client[owner] += size
        self._bytes_of_tenant[tenant_id] += size
        self.kept_bytes += size
        return True

    def _has_room(self, owner: _Owner, size: int) -> bool:
        return (
            self._bytes_of_client[owner] + size <= CLIENT_QUERY_BYTES
            and self._bytes_of_tenant[owner[0]] + size <= TENANT_QUERY_BYTES
            and self.kept_bytes + size <= PROCESS_QUERY_BYTES
        )

    def _forget_idle(self) -> None:
        """Drop the texts that nobody has used for ``QUERY_IDLE_SECONDS``."""
        since = self._clock() - QUERY_IDLE_SECONDS
        while self._kept:
            key, oldest = next(iter(self._kept.items()))
            if oldest.used_at > since:
                return
            self._forget(key)

    def _forget(self, key: _Key) -> None:
        """Drop a document, and subtract its size from all counts."""
        tenant_id, sha256 = key
        kept = self._kept.pop(key)
        owner = (tenant_id, kept.client)
        del self._owned[owner][sha256]
        if not self._owned[owner]:
            del self._owned[owner]
        _take(self._bytes_of_client, owner, kept.size)
        _take(self._bytes_of_tenant, tenant_id, kept.size)
        self.kept_bytes -= kept.size


def _take(counts: Counter[_Counted], key: _Counted, size: int) -> None:
    """Subtract a size from a count, and delete the count at 0: names of clients must not fill the memory."""
    counts[key] -= size
    if counts[key] <= 0:
        del counts[key]
