"""`Caddyfile`: the front door of a host, as Caddy reads it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from towline.artifacts.front_door import hosts, infix, routes
from towline.artifacts.rendered import MARK, RenderedFile

if TYPE_CHECKING:
    from collections.abc import Iterator

    from towline.artifacts.front_door import Route
    from towline.artifacts.rendered import Material
    from towline.spec.model import Site

GRACE = 30.0
"""Seconds that the door gives open requests when it has to stop."""

HOLD = "15s"
"""How long a request waits for a service that is being replaced."""

_HEAD = """\
# {mark}
#
# The front door of {app} on {site}. A name with a domain is served by https, with a certificate that Caddy fetches and
# renews by itself, and http leads there. `docker compose up --detach` takes a change of this file in.
{names}{{
	# Reached from inside the container only: it has no login.
	admin localhost:2019
	log {{
		# Where the health check of the container asks.
		exclude admin.api
	}}
	grace_period {grace:.0f}s
	servers {{
		timeouts {{
			# Nobody needs longer to say what is wanted.
			read_header 10s
			idle 5m
		}}
	}}
}}

# Each request as a line of JSON, without what lets the bearer in.
(said) {{
	log {{
		output stdout
		format filter {{
			wrap json
			request>uri query {{
				replace X-Amz-Signature REDACTED
				replace X-Amz-Credential REDACTED
				replace X-Amz-Security-Token REDACTED
				replace token REDACTED
				replace access_token REDACTED
				replace code REDACTED
			}}
		}}
	}}
}}

# A request that finds nobody waits until somebody is there again: a restart is a pause and not an error.
(held) {{
	lb_try_duration {hold}
	lb_try_interval 250ms
	# What is sent in pieces, such as progress, leaves in pieces. Not -1: then a client that goes away would leave its
	# request running behind the door.
	flush_interval 10ms
}}

# What browsers are told where the app says nothing itself.
(guarded) {{
	header {{
		?X-Content-Type-Options nosniff
		?Referrer-Policy strict-origin-when-cross-origin
		?X-Frame-Options SAMEORIGIN
		?Content-Security-Policy "base-uri 'self'; frame-ancestors 'self'; object-src 'none'"
		?Permissions-Policy "camera=(), geolocation=(), microphone=(), payment=()"
		-Server
		-Via
	}}
}}
"""

_SECURE = """
# Once seen by https, never asked for in clear again.
(secure) {
	header ?Strict-Transport-Security "max-age=31536000"
}
"""


def files(material: Material) -> tuple[RenderedFile, ...]:
    """`Caddyfile` for a host, `Caddyfile.SITE` for each of several; none for a host that browsers never reach."""
    found = []
    for site in hosts(material.target):
        if routes(material.placement, site, material.containers):
            what = f"the front door of `{site.name}`: names, https, headers, and where each request goes"
            found.append(RenderedFile(f"Caddyfile{infix(material.target, site)}", text(material, site), what))
    return tuple(found)


def text(material: Material, site: Site) -> str:
    """The whole file of one host."""
    known = routes(material.placement, site, material.containers)
    mark = MARK.format(target=material.target.name)
    named = [one for one in known if one.domain is not None]
    leads = f"# These names have to lead to it: {', '.join(str(one.domain) for one in named)}.\n" if named else ""
    head = _HEAD.format(mark=mark, app=material.app.name, site=site.name, names=leads, grace=GRACE, hold=HOLD)
    unnamed = [one for one in known if one.domain is None]
    parts = [head, *([_SECURE] if named else []), *("\n" + "\n".join(_named(one)) + "\n" for one in named)]
    if unnamed:
        parts.append("\n" + "\n".join(_in_clear(unnamed)) + "\n")
    return "".join(parts)


def _named(route: Route) -> Iterator[str]:
    """A site of its own, by https."""
    yield f"{route.domain} {{"
    yield from ("\timport said", "\timport guarded", "\timport secure")
    yield from _indented(_inner(route), 1)
    yield "}"


def _in_clear(unnamed: list[Route]) -> Iterator[str]:
    """One site for everything that has no domain: told apart by the first part of the name that was asked for."""
    yield "# Without a domain there is no certificate, and what is sent can be read on the way: write `domain:` in"
    yield "# towline.yaml, at the service or at the site."
    if any(route.kind == "bucket" for route in unnamed):
        yield "# Until then browsers refuse to load objects of a bucket into a page that came by https itself."
    yield ":80 {"
    yield from ("\timport said", "\timport guarded")
    for route in unnamed:
        if route.label is not None:
            yield f"\t# Every name that begins with `{route.label}.` and leads to this server."
            yield f"\t@{_matcher(route.name)} header_regexp Host ^{re.escape(route.label)}\\."
            yield f"\thandle @{_matcher(route.name)} {{"
            yield from _indented(_inner(route), 2)
            yield "\t}"
    main = next((one for one in unnamed if one.label is None), None)
    yield "\thandle {"
    yield from _indented(_inner(main) if main is not None else ["respond 404"], 2)
    yield "\t}"
    yield "}"


def _inner(route: Route) -> list[str]:
    return _bucket(route) if route.kind == "bucket" else _service(route)


def _service(route: Route) -> list[str]:
    lines = ["encode zstd gzip"]
    if route.path not in (None, "/"):
        lines.append(f"log_skip {route.path}")
    if route.kind == "static":
        # Names of built files change with their content; the page that names them does not, and is asked for anew.
        pages = f"@pages_{_matcher(route.name)}"
        lines += [f"{pages} path_regexp (\\.html|/[^/.]*)$", f"header {pages} ?Cache-Control no-cache"]
    target = f"{route.name}:{route.port}"
    if route.replicas > 1:
        # Docker answers with the addresses of all copies, and forgets one that is gone.
        inner = [f"dynamic a {route.name} {route.port} {{", "\trefresh 1s", "}", "lb_policy least_conn", "import held"]
        return [*lines, "reverse_proxy {", *(f"\t{line}" for line in inner), "}"]
    inner = ["import held"]
    if route.path is not None:
        # Asked beside the requests: one that has just started gets none before it is ready.
        inner += [f"health_uri {route.path}", "health_interval 2s", "health_timeout 4s", "health_fails 3"]
        inner += _health_headers(route)
    return [*lines, f"reverse_proxy {target} {{", *(f"\t{line}" for line in inner), "}"]


def _health_headers(route: Route) -> list[str]:
    """An app that answers to its own name only, or leads http away, must know the question as one of its own."""
    if route.domain is None:
        return []
    return ["health_headers {", f"\tHost {route.domain}", "\tX-Forwarded-Proto https", "}"]


def _bucket(route: Route) -> list[str]:
    """Only the app's own bucket, and not the list of its objects; nothing that they hold runs as the app's page."""
    bucket = route.prefix.rstrip("/")
    rule = [f"path {bucket} {bucket}/*"] if route.whole else [f"path {route.prefix}*", f"not path {route.prefix}"]
    rule += ["method GET HEAD"] if route.reads_only else []
    matcher = f"@objects_{_matcher(route.name)}"
    return [
        f"{matcher} {{",
        *(f"\t{line}" for line in rule),
        "}",
        f"handle {matcher} {{",
        "\theader Content-Security-Policy \"script-src 'none'; frame-ancestors 'self'\"",
        f"\treverse_proxy {route.name}:{route.port} {{",
        "\t\timport held",
        "\t}",
        "}",
        "handle {",
        "\trespond 404",
        "}",
    ]


def _matcher(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_]", "_", name)


def _indented(lines: list[str], depth: int) -> Iterator[str]:
    yield from (f"{chr(9) * depth}{line}" for line in lines)
