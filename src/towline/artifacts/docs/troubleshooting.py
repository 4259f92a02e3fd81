"""TROUBLESHOOTING.md: by what is seen, with the app's own names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from towline.artifacts.docs.guide import RUNS, mebibytes
from towline.artifacts.docs.text import Lines, listed, page, section, sh, table
from towline.artifacts.docs.trouble_stores import store_sections

if TYPE_CHECKING:
    from collections.abc import Iterator

    from towline.artifacts.docs.guide import Guide
    from towline.spec.model import Service, Site


_LARGEST = (
    "select relname, pg_size_pretty(pg_total_relation_size(relid)) from pg_stat_user_tables order by "
    "pg_total_relation_size(relid) desc limit 10"
)
_SLOTS = "select slot_name, active from pg_replication_slots"


def troubleshooting(guide: Guide) -> str:
    """The page; what cannot happen on this target is left out."""
    on = [f"On `{site.name}`, commands run in `{guide.place}` (`{guide.ssh(site)}`)." for site in guide.hosts]
    return page(
        f"When {guide.app.name} on {guide.target.name} does not work",
        [
            "",
            " ".join(["By what you see. Words in CAPITALS are yours to replace.", guide.shell_names(), *on]).replace(
                "  ", " "
            ),
        ],
        section(_title(guide), *_silent(guide)),
        *_jobs(guide),
        *store_sections(guide),
        section("A process is killed again and again, exit code 137", *_memory(guide)),
        section("The disk is full: `No space left on device`", *_disk(guide)),
        section("The certificate does not come, or has ended", *_certificate(guide)),
        section("The browser says `blocked by CORS policy`", *_cors(guide)),
        section("The browser says `Mixed Content`", *_mixed(guide)),
        section("The first request after a while takes very long", *_cold(guide)),
        section("Everything works and is slow", *_slow(guide)),
        section("A variable is missing, or has an old value", *_variables(guide)),
    )


def _title(guide: Guide) -> str:
    webs = [one.name for one in guide.services("web")]
    return f"{listed(webs)} {'does' if len(webs) == 1 else 'do'} not answer"


def _silent(guide: Guide) -> Iterator[Lines | str]:
    webs = guide.services("web")
    if not webs:
        return
    yield sh(*(f"curl --include --max-time 10 {guide.asked(one)}" for one in webs))
    rows = [
        ("no connection, or a time-out", "DNS, the firewall, or nothing that listens"),
        ("502, 503 or 504 of the door", "the front door answers, and the service behind it does not"),
        (
            "500, or 503 with a body of the app",
            "the service runs, and something that it needs does not: its log says what",
        ),
    ]
    yield table(("you see", "it is"), rows)
    for site in guide.hosts:
        names = " ".join(one.name for one in webs if site.name in guide.target.place[one.name])
        door = guide.door(site)
        compose = guide.compose(site)
        if names:
            yield sh(
                f"{compose} ps --all {names}",
                f"{compose} logs --tail 100 {names}",
                *([f"{compose} logs --tail 50 {door}"] if door else []),
            )
    for site in guide.sites("render"):
        here = listed(one.name for one in webs if site.name in guide.target.place[one.name])
        yield f"At Render: Logs of {here}. A deploy that never goes live has a health check that never answers."
    for site in guide.sites("coolify", "dokploy", "vercel"):
        here = listed(one.name for one in webs if site.name in guide.target.place[one.name])
        yield f"On `{site.name}`: the log of {here} in its panel."


def _jobs(guide: Guide) -> Iterator[Lines]:
    for one in guide.services("worker"):
        site = guide.site_of(one.name)
        blocks: list[Lines | str] = []
        if site.kind == "host":
            compose = guide.compose(site)
            blocks += [
                "Is it there, and did it start again and again? What does it say since?",
                sh(f"{compose} ps --all {one.name}", f"{compose} logs --since 10m {one.name} | tail -n 50"),
            ]
        else:
            blocks.append(
                f"Is it there? On `{site.name}`, the log of `{one.name}`: its start, its connection, its last job."
            )
        queues = [store for store in guide.stores("redis") if store.use == "queue"]
        asks = {binding.of for binding in guide.app.bindings_of(one.name)}
        reached = [store.name for store in (*queues, *guide.stores("postgres")) if store.name in asks]
        if reached:
            blocks.append(
                f"It needs {listed(reached)}: see those below. Jobs wait while one of them is away, and go on by "
                "themselves."
            )
        if guide.target.shape == "combined":
            blocks.append(
                "It shares its container with the API: when the platform sends that to sleep, jobs wait until a "
                "request comes."
            )
        if site.kind == "host":
            blocks += [
                "As the last thing, one by one and not all at once:",
                sh(f"{guide.compose(site)} restart {one.name}"),
            ]
        yield section(f"Jobs wait and `{one.name}` does nothing", *blocks)


def _limited(guide: Guide) -> list[Service]:
    return [one for one in guide.services(*RUNS) if one.memory is not None]


def _memory(guide: Guide) -> Iterator[Lines | str]:
    rows = [
        (f"`{one.name}`", f"`{guide.site_of(one.name).name}`", mebibytes(one.memory or 0)) for one in _limited(guide)
    ]
    if rows:
        yield "It wanted more memory than it may have:"
        yield table(("service", "on", "may have"), rows)
    for site in guide.hosts:
        yield sh(
            f"{guide.compose(site)} ps -aq | xargs docker inspect --format '{{{{.Name}}}} "
            f"oom={{{{.State.OOMKilled}}}} restarts={{{{.RestartCount}}}}'",
            "docker stats --no-stream",
            "sudo journalctl -k --since '-1 hour' | grep -i 'out of memory'",
        )
    if guide.sites("render"):
        yield "At Render: Events say `Out of memory`, Metrics show when. The next larger plan, or less at once."
    if guide.target.shape == "combined":
        yield "API and worker share one container's memory: the larger plan, or the worker in a service of its own."
    yield "Then: fewer jobs at once, or more memory at the service (`memory:` in towline.yaml, render again)."


def _disk(guide: Guide) -> Iterator[Lines | str]:
    for site in guide.hosts:
        yield (
            "What takes it, largest first; never `docker system prune --all`: it deletes the images that a way back "
            "needs."
        )
        yield sh(
            "df -h && docker system df",
            "sudo du -xh --max-depth=2 /var/lib/docker /var/log | sort -h | tail -n 15",
            f"sudo {guide.app.name}-prune",
            "sudo journalctl --vacuum-size=200M",
        )
        for store in guide.stores("postgres", site=site):
            yield f"In `{store.name}`, the largest tables, and what keeps its log from being reused:"
            asked = guide.psql(site, store)
            yield sh(f'{asked} -c "{_LARGEST}" -c "{_SLOTS}"')


def _certificate(guide: Guide) -> Iterator[Lines | str]:
    for site in guide.hosts:
        domains = guide.domains(site)
        if not domains:
            continue
        yield (
            "The name must lead to this server, with IPv6 too where it has an AAAA record, and ports 80 and 443 must "
            "be open:"
        )
        yield sh(
            *(f"dig +short A {name} && dig +short AAAA {name}" for name in domains),
            "sudo ufw status | grep -E '80|443'",
        )
        yield "What the authority said; after too many attempts it lets nobody try for an hour:"
        yield sh(f"{guide.compose(site)} logs {guide.door(site)} | grep -iE 'obtain|certificate|acme' | tail -n 20")
        yield sh(
            *(
                (
                    f"echo | openssl s_client -connect {name}:443 -servername {name} 2>/dev/null | openssl x509 -noout "
                    "-dates"
                )
                for name in domains
            )
        )
    if guide.sites("render") and any(one.domain for one in guide.app.services):
        yield "At Render: Settings, Custom Domains says what is missing; a CAA record must allow `letsencrypt.org`."


def _pages(guide: Guide) -> list[Service]:
    """What a browser shows, where it asks another address for its data."""
    webs = guide.services("web", "static")
    return [one for one in webs if any(guide.url(one) != guide.url(other) for other in guide.services("web"))]


def _cors(guide: Guide) -> Iterator[Lines | str]:
    pages = _pages(guide)
    api = next((one for one in guide.services("web") if one.health.path), None)
    if not pages or api is None:
        return
    origin = guide.url(next((one for one in pages if one.name != api.name), pages[0]))
    yield f"`{api.name}` must name the page's address exactly: scheme, host, no slash at the end. It is `{origin}`."
    yield sh(
        f"curl --silent --include --request OPTIONS -H 'Origin: {origin}' -H 'Access-Control-Request-Method: POST' "
        f"{guide.url(api)}{api.health.path} | grep -i access-control-allow-origin"
    )
    yield (
        "No such line, or another address in it: the variable that holds the allowed origins. `*` does not go with "
        "cookies."
    )


def _mixed(guide: Guide) -> Iterator[Lines | str]:
    pages = (*guide.services("static"), *guide.services("web"))
    secure = [one for one in pages if guide.url(one).startswith("https://")]
    if not secure:
        return
    public = [one.variable for one in guide.app.bindings if one.attribute in ("public_url", "public_endpoint")]
    told = f" {listed(dict.fromkeys(public))} must begin with `https://`." if public else ""
    yield f"A page that came by https asks for something by http: pictures, an API, a socket.{told}"
    yield sh(f"curl --silent {guide.url(secure[0])}/ | grep -o 'http://[^\"]*' | sort -u")
    built = [one.service for one in guide.material.variables if one.build]
    if built:
        yield (
            f"{listed(dict.fromkeys(built))}: such an address is built in. A new value needs a new build, not a "
            "restart."
        )


def _cold(guide: Guide) -> Iterator[Lines | str]:
    chosen = guide.material.chosen
    risks = (
        [one for one in chosen.risks if "sleep" in one.sentence or "asleep" in one.sentence]
        if chosen is not None
        else []
    )
    yield from (f"{one.offer}: {one.sentence}." for one in risks)
    if guide.sites("neon"):
        yield (
            "Neon puts a database to sleep that nobody asks; the first query wakes it. A minimum size in its settings "
            "keeps it up."
        )
    if any(site.kind == "render" for site in guide.target.sites) and (risks or guide.target.shape == "combined"):
        yield (
            "At Render a free service sleeps after 15 minutes without a request, and its first one takes up to a "
            "minute. A paid plan does not sleep."
        )


def _slow(guide: Guide) -> Iterator[Lines | str]:
    web = next((one for one in guide.services("web") if one.health.path), None)
    if web is None:
        return
    yield "Where the time goes: name, connection, encryption, first byte, all."
    yield sh(
        "curl --silent --output /dev/null --write-out '%{time_namelookup} %{time_connect} %{time_appconnect} "
        f"%{{time_starttransfer}} %{{time_total}}\\n' {guide.url(web)}{web.health.path}"
    )
    apart = [one.name for one in guide.app.stores if guide.site_of(one.name) != guide.site_of(web.name)]
    if apart:
        regions = "; ".join(_region(site) for site in guide.target.sites if "region" in site.options)
        where = f" ({regions})" if regions else ""
        yield (
            f"`{web.name}` is on another site than {listed(apart)}: every question pays the way there and back. They "
            f"belong into the same area{where}."
        )
    for site in guide.hosts:
        yield sh("uptime && docker stats --no-stream", f"{guide.compose(site)} top")


def _region(site: Site) -> str:
    return f"{site.name}: {site.options['region']}"


def _variables(guide: Guide) -> Iterator[Lines | str]:
    if not guide.material.variables:
        return
    yield "VARIABLES.md says who sets it on this target."
    for site in guide.hosts:
        compose = guide.compose(site)
        yield (
            "Names that are set in a container, without their values; a change in `.env` needs `up`, a `restart` "
            "keeps the old one:"
        )
        one = next(iter(guide.services(*RUNS, site=site)), None)
        if one is not None:
            yield sh(f"{compose} exec {one.name} env | cut -d= -f1 | sort", f"{compose} up --detach --wait")
