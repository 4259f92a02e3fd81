"""Who may fetch from a registry: what the target's vault says, else what `docker login` has left here."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from towline.artifacts.images import registry
from towline.core.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping

SERVER, USER, PASSWORD = "REGISTRY_SERVER", "REGISTRY_USER", "REGISTRY_PASSWORD"
REGISTRY_NAMES: Final = (SERVER, USER, PASSWORD)
"""Names in the vault: the host of the registry, and who logs in to it with which password or token."""

_HUB: Final = "https://index.docker.io/v1/"
"""What Docker calls its own registry where it keeps logins."""

_TOKEN: Final = "<token>"  # noqa: S105 - the name by which a helper says that it gives a token
_HELPER_WITHIN: Final = 20


@dataclass(frozen=True)
class Logins:
    """Logins by registry. `values` are the settings of the target, `environ` the environment of the user."""

    environ: Mapping[str, str]
    values: Mapping[str, Secret] = field(default_factory=dict)

    def login_of(self, image: str) -> Secret | None:
        """The content of a `config.json` of Docker with one login; None where nobody has one."""
        server = registry(image)
        key = _HUB if server == "docker.io" else server
        entry = self._told(server) or self._kept(key)
        return None if entry is None else Secret(json.dumps({"auths": {key: entry}}))

    def _told(self, server: str) -> dict[str, str] | None:
        if USER not in self.values or PASSWORD not in self.values:
            return None
        own = self.values.get(SERVER) or self.values.get("REGISTRY")
        if registry(f"{own.reveal()}/" if own is not None else "") != server:
            return None
        return _entry(self.values[USER].reveal(), self.values[PASSWORD].reveal())

    def _kept(self, key: str) -> dict[str, str] | None:
        config = self._config()
        helper = (config.get("credHelpers") or {}).get(key) or config.get("credsStore")
        if helper:
            return self._of_helper(str(helper), key)
        entry = (config.get("auths") or {}).get(key) or (config.get("auths") or {}).get(f"https://{key}") or {}
        known = {name: str(entry[name]) for name in ("auth", "identitytoken") if entry.get(name)}
        return known or None

    def _config(self) -> dict[str, Any]:
        folder = self.environ.get("DOCKER_CONFIG")
        file = (Path(folder) if folder else Path(self.environ.get("HOME") or Path.home()) / ".docker") / "config.json"
        try:
            found = json.loads(file.read_text())
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def _of_helper(self, helper: str, key: str) -> dict[str, str] | None:
        program = f"docker-credential-{helper}"
        if shutil.which(program, path=self.environ.get("PATH")) is None:
            return None
        try:
            ran = subprocess.run(
                (program, "get"),
                input=key,
                capture_output=True,
                text=True,
                timeout=_HELPER_WITHIN,
                check=False,
                env=dict(self.environ),
            )
            told = json.loads(ran.stdout) if ran.returncode == 0 else {}
        except (OSError, ValueError, subprocess.TimeoutExpired):
            return None
        user, secret = str(told.get("Username") or ""), str(told.get("Secret") or "")
        if not secret:
            return None
        return {"identitytoken": secret} if user == _TOKEN else _entry(user, secret)


def _entry(user: str, password: str) -> dict[str, str]:
    return {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}
