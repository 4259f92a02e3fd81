"""Vaults on a real disk, opened by Towline and by the ordinary age program; environment files read by real Compose."""

from __future__ import annotations

import json
import os
import stat
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from towline.core.errors import Findings, Refused, UsageError
from towline.core.secret import Secret
from towline.ops.secrets import Vault, Wanted
from towline.secrets.dotenv import dotenv_text, read_dotenv
from towline.secrets.identity import KEY, KEY_FILE, key_place
from towline.secrets.vault import VaultPlace, read_vault
from towline.spec.compose import find_compose

if TYPE_CHECKING:
    from pathlib import Path

VALUE = "a-value-that-nobody-may-see"


def wanted(name: str, *, generated: bool = False, optional: bool = False) -> Wanted:
    return Wanted(name, ("api",), generated, optional, f"why {name}")


@pytest.fixture
def store(tmp_path: Path) -> Vault:
    """An app's target that asks for two names, with no vault yet."""
    place = VaultPlace(
        tmp_path / "app" / "secrets" / "production.age",
        tmp_path / "app" / "secrets" / "production.recipients",
        key_place("shop", "production", {"XDG_CONFIG_HOME": str(tmp_path / "config")}),
    )
    asks = {"API_KEY": wanted("API_KEY"), "SESSION_SECRET": wanted("SESSION_SECRET", generated=True)}
    return Vault("production", place, asks, "2026-01-31")


def test_a_value_comes_back_and_stands_nowhere_in_clear(store: Vault, tmp_path: Path) -> None:
    """Only the vault has it, encrypted; the key is private and outside of the project."""
    store.put({"API_KEY": Secret(VALUE)})
    assert store.reveal("API_KEY") == Secret(VALUE)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not [path for path in files if VALUE.encode() in path.read_bytes()]
    assert stat.S_IMODE(store.place.key.path.stat().st_mode) == 0o600
    assert not store.place.key.path.is_relative_to(tmp_path / "app")


@pytest.mark.needs("age")
def test_the_ordinary_program_opens_it(store: Vault) -> None:
    """`age --decrypt` with the key gives JSON with the value."""
    store.put({"API_KEY": Secret(VALUE)})
    argv = ["age", "--decrypt", "--identity", str(store.place.key.path), str(store.place.file)]
    found = json.loads(subprocess.run(argv, capture_output=True, check=True).stdout)
    assert found == {"API_KEY": {"value": VALUE, "since": "2026-01-31", "how": "given"}}


def test_fill_makes_only_what_any_text_serves_and_once(store: Vault) -> None:
    """A secret that only a person has stays missing; what has a value keeps it."""
    assert store.fill() == ("SESSION_SECRET",)
    before = store.reveal("SESSION_SECRET")
    assert store.fill() == ()
    assert store.reveal("SESSION_SECRET") == before
    states = {one.name: (one.state, one.how) for one in store.listed()}
    assert states == {"API_KEY": ("missing", None), "SESSION_SECRET": ("set", "generated")}


def test_the_environment_is_refused_until_nothing_is_missing(store: Vault) -> None:
    """All missing names at once, and then a file with every value."""
    with pytest.raises(Findings) as caught:
        store.environment()
    assert [one.sentence for one in caught.value.findings] == [
        "API_KEY: why API_KEY",
        "SESSION_SECRET: why SESSION_SECRET",
    ]
    store.put({"API_KEY": Secret("it's $5")})
    store.fill()
    assert "API_KEY=" in store.environment()


def test_rotation_changes_made_values_and_refuses_given_ones(store: Vault) -> None:
    """And says who reads them."""
    store.fill()
    store.put({"API_KEY": Secret(VALUE)})
    before = store.reveal("SESSION_SECRET")
    assert store.rotate(["SESSION_SECRET"]) == ("api",)
    assert store.reveal("SESSION_SECRET") != before
    with pytest.raises(Refused, match="API_KEY was given by a person"):
        store.rotate(["SESSION_SECRET", "API_KEY"])
    with pytest.raises(UsageError, match=r"SESSION_SECRE has no value on production.*SESSION_SECRET"):
        store.rotate(["SESSION_SECRE"])


def test_another_key_opens_it_only_while_it_is_shared(store: Vault, tmp_path: Path) -> None:
    """A second reader gets in by `share`, in file or variable, and is out again after `--remove`."""
    store.put({"API_KEY": Secret(VALUE)})
    path = tmp_path / "other.txt"
    other = replace(store, place=replace(store.place, key=key_place("shop", "production", {KEY_FILE: str(path)})))
    from towline.secrets.identity import make_key

    public = str(make_key(other.place.key).to_public())
    with pytest.raises(Refused, match="does not open") as caught:
        other.reveal("API_KEY")
    assert public in str(caught.value.hint)
    assert len(store.share(public)) == 2
    by_variable = replace(other.place, key=key_place("shop", "production", {KEY: path.read_text()}))
    assert other.reveal("API_KEY") == read_vault(by_variable)["API_KEY"].value == Secret(VALUE)
    store.share(public, remove=True)
    with pytest.raises(Refused, match="does not open"):
        other.reveal("API_KEY")
    with pytest.raises(Refused, match="is the last that opens it"):
        store.share(str(store.own_key()), remove=True)


def test_a_vault_without_its_key_is_said_so(store: Vault) -> None:
    """The message names where the key belongs; nothing is changed, and no new key is made."""
    store.put({"API_KEY": Secret(VALUE)})
    store.place.key.path.unlink()
    sealed = store.place.file.read_bytes()
    for change in (lambda: store.put({"B": Secret("1")}), store.fill, lambda: store.reveal("API_KEY")):
        with pytest.raises(Refused, match="its key is not on this machine") as caught:
            change()
        assert str(store.place.key.path) in str(caught.value.hint)
    assert store.place.file.read_bytes() == sealed
    assert not store.place.key.path.exists()


@pytest.mark.parametrize(
    ("spoil", "error", "said"),
    [
        (lambda store: store.place.key.path.chmod(0o644), Refused, "others may read the key"),
        (lambda store: store.place.key.path.write_text("no key\n"), UsageError, "holds no age key"),
        (lambda store: store.place.file.write_text("no vault\n"), Refused, "does not open"),
        (lambda store: store.place.recipients.write_text("# nobody\n"), Refused, "names nobody"),
        (lambda store: store.place.recipients.write_text("age1nonsense\n"), UsageError, "is no public key"),
    ],
)
def test_what_is_broken_is_told_and_left_as_it_is(
    store: Vault, spoil: object, error: type[Exception], said: str
) -> None:
    """Each with a sentence and a hint; the vault is not written."""
    store.put({"API_KEY": Secret(VALUE)})
    assert callable(spoil)
    spoil(store)
    before = store.place.file.read_bytes()
    with pytest.raises(error, match=said) as caught:
        store.put({"B": Secret("1")})
    assert VALUE not in f"{caught.value!r}{caught.value.__cause__!r}"
    assert store.place.file.read_bytes() == before


def test_all_unusable_values_at_once(store: Vault) -> None:
    """A name that no environment can have, an empty value, a NUL: three findings, no vault."""
    with pytest.raises(Findings) as caught:
        store.put({"NO-NAME": Secret("x"), "EMPTY": Secret(""), "NUL": Secret("a\0b")})
    assert [one.code for one in caught.value.findings] == ["secret-name", "secret-empty", "secret-nul"]
    assert not store.place.file.exists()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.text(st.characters(exclude_categories=["Cs", "Cc"], include_characters="\n\t"), min_size=1),
        min_size=1,
        max_size=12,
    )
)
def test_compose_reads_what_was_written(tmp_path: Path, values: list[str]) -> None:
    """Whatever the values, Compose gives the service the same; and so does our own reading of the file."""
    named = {f"V{number}": value for number, value in enumerate(values)}
    (tmp_path / ".env").write_text(dotenv_text({name: Secret(value) for name, value in named.items()}), "utf-8")
    (tmp_path / "compose.yaml").write_text("services: {a: {image: x, env_file: .env}}\n")
    argv = [*find_compose(os.environ), "-f", str(tmp_path / "compose.yaml"), "config", "--format", "json"]
    said = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    environment = json.loads(said)["services"]["a"]["environment"]
    assert {name: text.replace("$$", "$") for name, text in environment.items()} == named
    assert {name: one.reveal() for name, one in read_dotenv(tmp_path / ".env").items()} == named


def test_every_broken_line_is_told_by_its_number_only(tmp_path: Path) -> None:
    """The line may hold a value."""
    (tmp_path / ".env").write_text(f"GOOD=1\n{VALUE}'\nNO-NAME={VALUE}\n# fine\nEMPTY=\n")
    with pytest.raises(Findings) as caught:
        read_dotenv(tmp_path / ".env")
    assert [str(one.where).rsplit(":", 1)[1] for one in caught.value.findings] == ["2", "3"]
    assert VALUE not in str([one.as_json() for one in caught.value.findings])
