"""The key that signs is changed while servers run: the steps of docs/operating.md, with real processes and one file."""

import asyncio
import base64
import os
import sys
from collections.abc import Mapping
from contextlib import AsyncExitStack
from itertools import count
from pathlib import Path
from typing import Any

import orjson
import pytest
from joserfc.jwk import ECKey

from api.issuer import CURVE, Issuer
from tests.acceptance.business import Business
from tests.acceptance.client import Caller, adjust, money
from tests.fixtures.server import Installation, ServerProcess

PAGE = """
query($after: Cursor) {
  customers(having: ANY, first: 1, after: $after) {
    nodes { externalId } pageInfo { endCursor hasNextPage }
  }
}
"""
LOOKUP = "query($code: String!) { giftCardLookup(code: $code) { giftCard { spendableAmount { amount } } } }"
VIEWER = "{ viewer { kind } }"


class Keys:
    """A file of keys of its own, the command that changes it, and servers that read it when they start."""

    def __init__(self, installation: Installation, folder: Path, running: AsyncExitStack) -> None:
        self.path = folder / "keys.pem"
        self._installation, self._running = installation, running
        self._started = 0
        self.settings: Mapping[str, str] = {"TREUE_ISSUER_KEY_FILE": str(self.path)}

    async def try_command(self, *arguments: str) -> tuple[int | None, str, str]:
        """Run the command. Return its exit code, its output, and its messages."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "cli.main", *arguments),
            env={**os.environ, **self._installation.environment_with(None), **self.settings},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        printed, said = await process.communicate()
        return process.returncode, printed.decode().strip(), said.decode()

    async def run(self, *arguments: str) -> str:
        """Run the command, and return its output."""
        code, printed, said = await self.try_command(*arguments)
        assert code == 0, said
        return printed

    async def start_server(self) -> ServerProcess:
        """Start a server that reads the present keys."""
        self._started += 1
        name = f"rotation-{self.path.parent.name}-{self._started}"
        return await self._running.enter_async_context(self._installation.serve_apart(name, self.settings))


async def page_of(caller: Caller, after: str | None = None) -> Any:
    """Return a page with one customer: its answer, errors too."""
    return orjson.loads((await caller.post(orjson.dumps({"query": PAGE, "variables": {"after": after}}))).content)


async def is_refused(caller: Caller) -> bool:
    answer = await caller.post(orjson.dumps({"query": VIEWER}))
    return answer.status_code == 401


def kid_of(token: str) -> str:
    head = token.partition(".")[0]
    return str(orjson.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))["kid"])


async def test_the_key_is_changed_without_a_break_and_the_old_one_ends_with_its_removal(
    salon: Business, installation: Installation, tmp_path: Path
) -> None:
    for name in ("a", "b", "c"):
        await salon.manager.do("customerUpsert", "customer { id }", externalId=name, fullName=name)
    async with AsyncExitStack() as running:
        keys = Keys(installation, tmp_path, running)
        old_issuer = Issuer.generate(keys.path)
        sign = ("token", "--tenant", str(salon.tenant_id), "--role", "OWNER")
        old_token = await keys.run(*sign)
        assert kid_of(old_token) == old_issuer.key_id

        # 1. Every server learns the new key. The old one signs.
        new_id = await keys.run("issuer-keys", "add")
        assert (await keys.run("issuer-keys", "list")).split() == [old_issuer.key_id, "signs", new_id, "verifies"]
        assert keys.path.stat().st_mode & 0o777 == 0o600
        knows = salon.owner._replace(server=await keys.start_server(), token=old_token)
        card = await knows.do("giftCardIssue", "code", origin="MONEY", amount=money("20.00"), idempotencyKey="card")
        first_page = await page_of(knows)
        old_cursor = first_page["data"]["customers"]["pageInfo"]["endCursor"]

        # 2. The new key signs on the servers that start from now on. The others verify it.
        await keys.run("issuer-keys", "use", new_id)
        new_token = await keys.run(*sign)
        assert kid_of(new_token) == new_id
        signs = knows._replace(server=await keys.start_server())
        for server in (knows.server, signs.server):
            for token in (old_token, new_token):
                assert await knows._replace(server=server, token=token).ask(VIEWER)
        made = {
            caller.server.port: await caller.do(
                "customerTokenCreate", "token", customer={"externalId": "a"}, lifetimeMinutes=10
            )
            for caller in (knows, signs)
        }
        of_customers = [payload["token"] for payload in made.values()]
        assert [kid_of(token) for token in of_customers] == [old_issuer.key_id, new_id]
        for server in (knows.server, signs.server):
            for token in of_customers:
                assert await knows._replace(server=server, token=token).ask(VIEWER)
        next_pages = [await page_of(caller, old_cursor) for caller in (knows, signs)]
        names = [page["data"]["customers"]["nodes"] for page in next_pages]
        assert names[0] == names[1] != first_page["data"]["customers"]["nodes"]
        new_cursor = next_pages[1]["data"]["customers"]["pageInfo"]["endCursor"]
        assert (await page_of(knows, new_cursor))["data"]["customers"]["nodes"]

        # 3. The old key is removed.
        await keys.run("issuer-keys", "remove", old_issuer.key_id)
        after = salon.owner._replace(server=await keys.start_server(), token=new_token)
        assert await after.ask(VIEWER)
        assert await is_refused(after._replace(token=old_token))
        assert await is_refused(after._replace(token=of_customers[0]))
        assert not await is_refused(after._replace(token=of_customers[1]))
        assert (await page_of(after, new_cursor))["data"]["customers"]["nodes"]
        (error,) = (await page_of(after, old_cursor))["errors"]
        assert error["extensions"]["code"] == "BAD_USER_INPUT", error
        assert (await adjust(after, "still", 1, customer="a"))["adjustment"]["points"] == 1
        # API tokens are kept in the database, and gift cards have keys of their own.
        assert (await after.get(LOOKUP, code=card["code"]))["giftCard"]["spendableAmount"] == {"amount": "20.00"}
        assert await salon.integration.at(after.server).ask(VIEWER)


async def test_an_id_that_begins_as_an_option_does_is_taken(installation: Installation, tmp_path: Path) -> None:
    keys = Keys(installation, tmp_path, AsyncExitStack())
    made = (ECKey.generate_key(CURVE) for _ in count())
    hyphened = next(key for key in made if key.thumbprint().startswith("-") and "h" in key.thumbprint())
    signing = Issuer.generate(keys.path)
    with keys.path.open("ab") as file:
        file.write(hyphened.as_pem(private=True))
    await keys.run("issuer-keys", "use", hyphened.thumbprint())
    await keys.run("issuer-keys", "use", signing.key_id)
    await keys.run("issuer-keys", "remove", hyphened.thumbprint())
    assert (await keys.run("issuer-keys", "list")).split() == [signing.key_id, "signs"]


@pytest.mark.parametrize("step", ["remove the key that signs", "use a key that is none", "remove a key that is none"])
async def test_a_wrong_step_changes_nothing(installation: Installation, tmp_path: Path, step: str) -> None:
    keys = Keys(installation, tmp_path, AsyncExitStack())
    issuer = Issuer.generate(keys.path)
    before = keys.path.read_bytes()
    key_id = issuer.key_id if step == "remove the key that signs" else "none"
    code, _, said = await keys.try_command("issuer-keys", step.split(maxsplit=1)[0], key_id)
    assert code == 1
    assert "key" in said
    assert "PRIVATE" not in said
    assert keys.path.read_bytes() == before
    assert os.listdir(tmp_path) == ["keys.pem"]  # noqa: PTH208 - a leftover would lie here
