"""Ask an app on hosts as a browser would, at the addresses of its hosts, whatever the names lead to from here."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

import httpx

from towline.ops.through_door import Browser

if TYPE_CHECKING:
    from collections.abc import Mapping


class HostBrowser(Browser):
    """A Browser that finds the names in `places` at an address; `checked` says whether certificates must be good.

    Names that are not in `places` are looked up as any other.
    """

    def __init__(self, places: Mapping[str, str], *, checked: bool, patience: float = 10.0) -> None:
        super().__init__(patience=patience)
        self._places, self._checked = dict(places), checked
        self._one: httpx.Client | None = None

    def __enter__(self) -> HostBrowser:
        return self

    def __exit__(self, *_: object) -> None:
        if self._one is not None:
            self._one.close()

    def ask(self, method: str, url: str, **what: object) -> httpx.Response:
        """One request; httpx.HTTPError when there is no answer. `what` is as for `httpx.Client.request`."""
        try:
            address, name = self._placed(url)
            headers = {"Host": urlsplit(url).netloc} if name else {}
            if (token := self._tokens.get(urlsplit(url).netloc)) is not None:
                headers["Authorization"] = f"Bearer {token.reveal()}"
            extensions = {"sni_hostname": name} if name and urlsplit(address).scheme == "https" else {}
            return self._shared().request(method, address, headers=headers, extensions=extensions, **what)  # type: ignore[arg-type]
        except (httpx.InvalidURL, ValueError) as error:
            raise httpx.UnsupportedProtocol(f"{url} is no address") from error

    def _placed(self, url: str) -> tuple[str, str | None]:
        """The address to connect to, and the name that is asked for there; None where the name itself will do."""
        parts = urlsplit(url)
        at = self._places.get(parts.hostname or "")
        if at is None:
            return url, None
        host = f"[{at}]" if ":" in at else at
        port = f":{parts.port}" if parts.port else ""
        return urlunsplit(parts._replace(netloc=f"{host}{port}")), parts.hostname

    def _shared(self) -> httpx.Client:
        if self._one is None:
            self._one = httpx.Client(
                timeout=self._patience, trust_env=False, follow_redirects=False, verify=self._checked
            )
        return self._one
