"""Ask the app through its front door, as a browser would.

Names under `.localhost` are for browsers, which know that they are the machine itself; Python's resolver does not, so
the connection goes to 127.0.0.1 and the name travels in the Host header.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

import httpx

if TYPE_CHECKING:
    from towline.core.secret import Secret


class Browser:
    """An HTTP client for addresses of the app, in the names that a browser uses."""

    def __init__(self, *, patience: float = 10.0) -> None:
        self._patience = patience
        self._clients: dict[bool, httpx.Client] = {}
        self._tokens: dict[str, Secret] = {}

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *_: object) -> None:
        for client in self._clients.values():
            client.close()

    def present(self, token: Secret, base: str) -> None:
        """From now on show this token to the host and port of `base`, and to no other."""
        self._tokens[urlsplit(base).netloc] = token

    def ask(self, method: str, url: str, **what: object) -> httpx.Response:
        """One request; httpx.HTTPError when there is no answer. `what` is as for `httpx.Client.request`."""
        try:
            address, host = at_loopback(url)
            headers = {"Host": host} if host else {}
            if (token := self._tokens.get(urlsplit(url).netloc)) is not None:
                headers["Authorization"] = f"Bearer {token.reveal()}"
            client = self._client(encrypted=urlsplit(address).scheme == "https")
            return client.request(method, address, headers=headers, **what)  # type: ignore[arg-type]
        except (httpx.InvalidURL, ValueError) as error:
            raise httpx.UnsupportedProtocol(f"{url} is no address") from error

    def _client(self, *, encrypted: bool) -> httpx.Client:
        """One for each need: reading the authorities that https relies on takes 40 ms, and a laptop has no https."""
        if encrypted not in self._clients:
            self._clients[encrypted] = httpx.Client(
                timeout=self._patience, trust_env=False, follow_redirects=False, verify=encrypted
            )
        return self._clients[encrypted]


def at_loopback(url: str) -> tuple[str, str | None]:
    """The address to connect to and the Host header to send; other names than *.localhost stay as they are."""
    parts = urlsplit(url)
    name = parts.hostname or ""
    if not (name == "localhost" or name.endswith(".localhost")):
        return url, None
    port = f":{parts.port}" if parts.port else ""
    return urlunsplit(parts._replace(netloc=f"127.0.0.1{port}")), parts.netloc
