"""`treue tenant suspend`, `treue tenant resume` and `treue token revoke`, as an operator runs them."""

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from api.issuer import Issuer
from loyalty.rules.errors import TenantClosed, TenantSuspended
from loyalty.services.api_token import ApiTokenRequest, create_api_token
from loyalty.services.authentication import actor_of_token, refresh_actor
from loyalty.services.world import World
from permissions.actor import Actor, SignedToken
from permissions.roles import Role
from runtime.roles import DatabaseUrls
from tests.fixtures.tenants import Salon, staff_actor
from tests.loyalty.services.test_api_token import RECORDING, new_hash

NO_TENANT = "01890000-0000-7000-8000-000000000000"
HOUR = timedelta(hours=1)


class Operator:
    """Somebody at the command line of an installation."""

    def __init__(self, urls: DatabaseUrls, folder: Path) -> None:
        self.issuer = Issuer.generate(folder / "key.pem")
        self._environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "TREUE_APP_URL": urls.app,
            "TREUE_RELAY_URL": urls.relay,
            "TREUE_OWNER_URL": urls.owner,
            "TREUE_ISSUER_KEY_FILE": str(folder / "key.pem"),
        }

    def run(self, *arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
        """Run the command."""
        return subprocess.run(
            [sys.executable, "-m", "cli.main", *arguments],
            check=False,
            capture_output=True,
            text=True,
            env=self._environment,
            input=given,
        )

    def sign_in(self, salon: Salon, subject: str = "staff:mara") -> tuple[str, Actor]:
        """Return a token for an owner, and the actor behind it."""
        made = self.issuer.issue(subject=subject, tenant_id=salon.tenant_id, role=Role.OWNER, name="M", lifetime=HOUR)
        claims = self.issuer.verify(made.text)
        owner = staff_actor(salon.tenant_id, Role.OWNER)
        return made.text, Actor(
            kind=owner.kind,
            tenant_id=owner.tenant_id,
            subject=subject,
            permissions=owner.permissions,
            display="M",
            signed=(SignedToken(claims.token_id, subject, claims.issued_at),),
        )


@pytest.fixture
def operator(database_urls: DatabaseUrls, tmp_path: Path) -> Operator:
    """Provide an operator of the installation that the tests share."""
    return Operator(database_urls, tmp_path)


async def test_a_tenant_is_suspended_shown_as_such_and_resumed(world: World, salon: Salon, operator: Operator) -> None:
    tenant = str(salon.tenant_id)
    suspended = operator.run("tenant", "suspend", tenant)
    assert (suspended.returncode, suspended.stdout.split(":")[0]) == (0, f"{tenant} is suspended"), suspended.stderr
    with pytest.raises(TenantSuspended):
        await refresh_actor(world, salon.owner)
    assert f"{tenant}  Salon  SUSPENDED\n" in operator.run("tenant", "list").stdout
    resumed = operator.run("tenant", "resume", tenant)
    assert (resumed.returncode, resumed.stdout.split(":")[0]) == (0, f"{tenant} is active"), resumed.stderr
    assert await refresh_actor(world, salon.owner) == salon.owner
    assert f"{tenant}  Salon\n" in operator.run("tenant", "list").stdout


async def test_a_tenant_gets_a_budget_of_its_own_and_the_usual_one_again(salon: Salon, operator: Operator) -> None:
    tenant = str(salon.tenant_id)
    limited = operator.run("tenant", "limits", tenant, "--points", "50000", "--per-second", "900")
    assert limited.stdout == f"{tenant} has 50000 points, and 900 come back a second.\n", limited.stderr
    assert f"{tenant}  Salon  50000 points, 900 a second\n" in operator.run("tenant", "list").stdout
    assert operator.run("tenant", "limits", tenant, "--default").stdout == f"{tenant} has the limits of the settings.\n"
    assert f"{tenant}  Salon\n" in operator.run("tenant", "list").stdout
    for words in ([], ["--points", "50000"], ["--default", "--points", "50000", "--per-second", "1"]):
        assert "--default" in operator.run("tenant", "limits", tenant, *words).stderr
    too_few = operator.run("tenant", "limits", tenant, "--points", "1", "--per-second", "1")
    assert (too_few.returncode, "points: must be 20000" in too_few.stderr) == (1, True), too_few.stderr


async def test_a_tenant_is_entitled_and_closed_for_good(world: World, salon: Salon, operator: Operator) -> None:
    """Neither takes the owner's password of the database."""
    tenant = str(salon.tenant_id)
    assert operator.run("tenant", "entitle", tenant, "--no-loyalty").returncode == 0
    assert f"{tenant}  Salon  NOT ENTITLED\n" in operator.run("tenant", "list").stdout
    standing = await refresh_actor(world, salon.owner)
    assert standing is not None
    assert (standing.loyalty_entitled, standing.loyalty_enabled) == (False, False)
    assert operator.run("tenant", "entitle", tenant, "--loyalty").returncode == 0
    assert await refresh_actor(world, salon.owner) == salon.owner
    unsure = operator.run("tenant", "close", tenant, given="n\n")
    assert unsure.returncode == 1
    assert await refresh_actor(world, salon.owner) == salon.owner
    closed = operator.run("tenant", "close", tenant, "--yes")
    assert (closed.returncode, closed.stdout.split(":")[0]) == (0, f"{tenant} is closed"), closed.stderr
    with pytest.raises(TenantClosed):
        await refresh_actor(world, salon.owner)
    assert f"{tenant}  Salon  CLOSED\n" in operator.run("tenant", "list").stdout
    for again in (["resume"], ["suspend"], ["entitle", "--loyalty"]):
        refused = operator.run("tenant", *again, tenant)
        assert (refused.returncode, "This tenant is closed." in refused.stderr) == (1, True)
    assert operator.run("tenant", "close", tenant, "--yes").returncode == 0
    unknown = operator.run("tenant", "close", "01890000-0000-7000-8000-00000000dead", "--yes")
    assert (unknown.returncode, "There is no tenant" in unknown.stderr) == (1, True)


async def test_one_token_is_revoked_with_the_api_tokens_it_made(world: World, salon: Salon, operator: Operator) -> None:
    """The token comes as an argument, or from standard input, where no list of processes shows it."""
    for way in ("argument", "standard input"):
        text, actor = operator.sign_in(salon)
        sha256 = new_hash()
        await create_api_token(world, actor, ApiTokenRequest(way, RECORDING), sha256)
        revoked = (
            operator.run("token", "revoke", text)
            if way == "argument"
            else operator.run("token", "revoke", "-", given=f"{text}\n")
        )
        assert revoked.returncode == 0, revoked.stderr
        assert f"API token '{way}' ended with it" in revoked.stdout
        assert "Revoked: the token of staff:mara" in revoked.stdout
        assert await refresh_actor(world, actor) is None
        assert await actor_of_token(world, sha256) is None
    assert await refresh_actor(world, salon.owner) == salon.owner


async def test_all_tokens_of_a_subject_are_revoked(world: World, salon: Salon, operator: Operator) -> None:
    actors = [operator.sign_in(salon)[1] for _ in range(2)]
    other = operator.sign_in(salon, "staff:aylin")[1]
    revoked = operator.run("token", "revoke", "--tenant", str(salon.tenant_id), "--subject", "staff:mara")
    assert revoked.returncode == 0, revoked.stderr
    assert "Revoked: all tokens of staff:mara that were issued until now." in revoked.stdout
    assert [await refresh_actor(world, actor) for actor in actors] == [None, None]
    assert await refresh_actor(world, other) == other


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("tenant", "suspend", NO_TENANT), 1, f"There is no tenant {NO_TENANT}"),
        (("tenant", "resume", NO_TENANT), 1, f"There is no tenant {NO_TENANT}"),
        (("tenant", "suspend", "salon"), 2, "is not a valid UUID"),
        (("token", "revoke", "--tenant", NO_TENANT, "--subject", "mara"), 1, f"There is no tenant {NO_TENANT}"),
        (("token", "revoke", "not.a.token"), 1, "There is nothing to revoke"),
        (("token", "revoke"), 2, "Give either a TOKEN, or --tenant and --subject."),
        (("token", "revoke", "--subject", "mara"), 2, "Give either a TOKEN, or --tenant and --subject."),
        (("token", "revoke", "a.b.c", "--subject", "m", "--tenant", NO_TENANT), 2, "Give either a TOKEN"),
        (("token", "--tenant", NO_TENANT, "revoke", "a.b.c"), 2, "Put the options after `revoke`"),
        (("token", "--role", "owner"), 2, "Missing option '--tenant'."),
        (("token", "--tenant", NO_TENANT), 2, "Missing option '--role'."),
    ],
)
def test_a_wrong_call_says_what_to_change(operator: Operator, arguments: tuple[str, ...], code: int, said: str) -> None:
    result = operator.run(*arguments)
    assert (result.returncode, said in result.stderr, "Traceback" in result.stderr) == (code, True, False), result


def test_a_token_is_printed_as_before(operator: Operator) -> None:
    printed = operator.run("token", "--tenant", NO_TENANT, "--role", "manager", "--hours", "1")
    claims = operator.issuer.verify(printed.stdout.strip())
    assert (str(claims.tenant_id), claims.role, claims.maker, claims.maker_token_id) == (
        NO_TENANT,
        Role.MANAGER,
        None,
        None,
    )
