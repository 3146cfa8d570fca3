"""`treue gift-cards reseal`, as an operator calls it."""

import os
import subprocess
import sys
from pathlib import Path

from loyalty.services.gift_card import look_up_gift_card
from loyalty.services.world import World
from loyalty.storage.gift_card_codes import CodeKeys
from runtime.roles import DatabaseUrls
from tenancy.database import Database
from tests.cli.test_verify import two_salons_with_points
from tests.loyalty.services.gift_cards import issue

OLD, NEW = "0d" * 32, "4e" * 32


def reseal(urls: DatabaseUrls, keys: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command with the URLs of the serving roles alone."""
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "TREUE_APP_URL": urls.app,
        "TREUE_RELAY_URL": urls.relay,
        "TREUE_GIFT_CARD_KEYS_FILE": str(keys),
    }
    command = [sys.executable, "-m", "cli.main", "gift-cards", "reseal", *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True, env=environment)


async def test_all_tenants_are_sealed_anew_and_the_old_key_may_go(
    own_database_urls: DatabaseUrls, tmp_path: Path
) -> None:
    salons = await two_salons_with_points(own_database_urls)
    database = Database(own_database_urls.app, pool_size=1)
    old, new = (World(database, codes=CodeKeys.of([bytes.fromhex(key)])) for key in (OLD, NEW))
    issued = await issue(old, salons[0], customer=None)
    keys = tmp_path / "keys.txt"
    keys.write_text(f"{NEW}\n")
    refused = reseal(own_database_urls, keys)
    assert refused.returncode == 1
    assert "sealed with a key that is not in the file of keys" in refused.stderr
    keys.write_text(f"{NEW}\n{OLD}\n")
    done = reseal(own_database_urls, keys)
    assert done.returncode == 0, done.stderr
    assert f"{salons[0].tenant_id}  Salon One: 1 gift cards, 1 codes sealed again" in done.stdout
    assert f"{salons[1].tenant_id}  Salon Two: 0 gift cards, 0 codes sealed again" in done.stdout
    assert "The other keys can be removed." in done.stdout
    assert not any(secret in done.stdout + done.stderr for secret in (issued.code, OLD, NEW))
    again = reseal(own_database_urls, keys, "--tenant", str(salons[0].tenant_id))
    assert "1 gift cards, 0 codes sealed again" in again.stdout
    assert (await look_up_gift_card(new, salons[0].integration, issued.code)).id == issued.card.id
    await database.close()
