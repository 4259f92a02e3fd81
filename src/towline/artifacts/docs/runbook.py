"""RUNBOOK.md: what is done with a running app, each with its commands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from towline.artifacts.docs.guide import RUNS
from towline.artifacts.docs.runbook_data import data_sections
from towline.artifacts.docs.text import Lines, listed, page, points, section, sh, table
from towline.core.units import show_seconds

if TYPE_CHECKING:
    from collections.abc import Iterator

    from towline.artifacts.docs.guide import Guide
    from towline.spec.model import Site


def runbook(guide: Guide) -> str:
    """The page."""
    told = [
        f"Commands for `{site.name}` run there: `{guide.ssh(site)}`, then `cd {guide.place}`." for site in guide.hosts
    ]
    if guide.hosts and guide.has(guide.workflow("deploy")):
        told.append(
            "Once the deploy workflow has been there, `images.json` beside the Compose file holds the exact images; "
            f"`COMPOSE_FILE={guide.file('compose', guide.hosts[0], '.yaml')}:images.json` in `.env` lets every command "
            "use them, and `VERSION` counts no more."
        )
    return page(
        f"Running {guide.app.name} on {guide.target.name}",
        ["", " ".join(["Words in CAPITALS are yours to replace.", guide.shell_names(), *told]).replace("  ", " ")],
        section("First look", *_first_look(guide)),
        section("Deploy a version", *_deploy(guide)),
        section("Go back to the version before", *_back(guide)),
        _migrate(guide),
        section("More load", *_scale(guide)),
        section("Change a setting, rotate a secret", *_rotate(guide)),
        *data_sections(guide),
        section("Updates of the server", *_updates(guide)),
        section("Somebody is in", *_isolate(guide)),
        section("Stop it all", *_stop(guide)),
    )


def _on_hosts(guide: Guide, site: Site) -> str:
    return f"On `{site.name}`:" if len(guide.target.sites) > 1 else "On the server:"


def _first_look(guide: Guide) -> Iterator[Lines | str]:
    lines = [
        f"curl --silent --output /dev/null --write-out '%{{http_code}} in %{{time_total}} s\\n' {guide.asked(one)}"
        for one in guide.services("web", "static")
    ]
    if lines:
        yield "From anywhere. 200 within a second is well; anything else leads to TROUBLESHOOTING.md:"
        yield sh(*lines)
    for site in guide.hosts:
        compose = guide.compose(site)
        yield (
            f"{_on_hosts(guide, site)} every line `healthy`, disk below 85 %, memory left, no container started again "
            "by itself:"
        )
        yield sh(
            f"{compose} ps",
            "df -h / && free -h && uptime",
            (
                f"{compose} ps -q | xargs docker inspect --format '{{{{.Name}}}} restarts={{{{.RestartCount}}}} "
                f"oom={{{{.State.OOMKilled}}}}'"
            ),
            f"{compose} logs --since 15m | grep -iE 'error|fatal|panic' | tail -n 20",
        )
    if guide.sites("render"):
        names = listed(one.name for site in guide.sites("render") for one in guide.material.placement.services_on(site))
        yield f"At Render: Events and Logs of {names}; Metrics say whether memory or CPU is at its end."


def _deploy(guide: Guide) -> Iterator[Lines | str]:
    if guide.has(guide.workflow("deploy")):
        first = "build" if guide.has(guide.workflow("build")) else "deploy"
        yield (
            "A push to the main branch is deployed by "
            f"`{guide.workflow('deploy')}`{', once it is built' if first == 'build' else ''}: the run ends red when "
            "the new version does not answer. By hand:"
        )
        yield sh(f"gh workflow run {first}-{guide.target.name}.yml", "gh run watch")
    for site in guide.hosts:
        compose = guide.compose(site)
        if guide.versioned(site):
            yield f"{_on_hosts(guide, site)} the version to run is `VERSION` in `.env`; write the old one down first."
            before = ["grep '^VERSION=' .env", "sed -i 's/^VERSION=.*/VERSION=NEW_VERSION/' .env"]
        else:
            name = guide.file("compose", site, ".yaml")
            yield (
                f"{_on_hosts(guide, site)} the images stand in `{name}` with their versions, as `compose.yaml` of the "
                f"app names them. Change them there, `towline render {guide.target.name}`, copy `{name}` over, and "
                "keep the old one:"
            )
            before = [f"cp {name} {name}.before"]
        yield sh(
            *before,
            f"{compose} pull",
            *guide.release(site),
            f"{compose} up --detach --wait --remove-orphans",
        )
        slow = [one for one in guide.services("worker", site=site) if one.max_job > 10]
        if slow:
            yield points(
                f"`{one.name}` is given {show_seconds(one.max_job)} to finish the job in its hands before it is "
                "replaced"
                for one in slow
            )
    if guide.sites("render") and not guide.has(guide.workflow("deploy")):
        yield "At Render: a push to the branch of the Blueprint; or Manual Deploy at the service."
    for site in guide.sites("coolify", "dokploy", "vercel"):
        yield f"On `{site.name}`: Deploy at the application, once its image is in the registry."


def _back(guide: Guide) -> Iterator[Lines | str]:
    if guide.has(guide.workflow("deploy")):
        yield (
            "The deploy workflow takes an earlier version as its input: Actions, "
            f"deploy-{guide.target.name}, Run workflow."
        )
    for site in guide.hosts:
        yield f"{_on_hosts(guide, site)} the images of the last versions are still there."
        name = guide.file("compose", site, ".yaml")
        lines = [
            f"docker image ls --filter 'reference=*/*/{guide.app.name}-*'",
            "sed -i 's/^VERSION=.*/VERSION=OLD_VERSION/' .env",
        ]
        yield sh(
            *(lines if guide.versioned(site) else [f"cp {name}.before {name}"]),
            f"{guide.compose(site)} up --detach --wait",
        )
    if guide.sites("render"):
        yield (
            "At Render: Events of the service, Rollback beside the deploy that was well. Auto-deploy is switched off "
            "by that."
        )
    if guide.app.release is not None:
        yield (
            "The database does not go back with it. A migration that the old version cannot live with is undone by a "
            "new migration, or by restoring the backup that was taken before it."
        )


def _migrate(guide: Guide) -> Lines:
    release = guide.app.release
    if release is None:
        return []
    first = (
        f"`{release.command[-1]}`, once, in the environment of `{release.service}`, before the new version takes "
        "traffic. When it fails, the old version goes on: nothing of the new one has started."
    )
    told: list[Lines | str] = [first]
    if guide.stores("postgres"):
        told.append("Back up first, as below: a way back over a migration is a new migration, or that backup.")
    for site in guide.hosts:
        lines = guide.release(site)
        if lines:
            told += [_on_hosts(guide, site), sh(*lines)]
    if guide.site_of(release.service).kind == "render":
        told.append(
            "At Render it is the service's pre-deploy command: a deploy whose migration fails is not taken live."
        )
    return section("Migrate the database", *told)


def _scale(guide: Guide) -> Iterator[Lines | str]:
    rows = []
    for one in guide.services(*RUNS):
        where = guide.site_of(one.name)
        if one.single or one.kind == "stateful":
            told = "never a second one: a larger machine"
        elif where.kind == "host":
            told = f"`scale: {{min: {one.replicas + 1}}}` at `{one.name}` in towline.yaml, render again, `up`"
        elif where.kind == "render":
            told = f"`scale: {{min: {one.replicas + 1}}}` in towline.yaml and the Blueprint again, or a larger plan"
        else:
            told = "at the panel"
        rows.append((f"`{one.name}`", str(one.replicas), told))
    yield table(("service", "copies now", "more"), rows)
    pools = guide.stores("postgres")
    if pools:
        names = listed(one.name for one in pools)
        yield f"Each copy opens its own pool to {names}: copies times pool size must stay below its connection limit."


def _rotate(guide: Guide) -> Iterator[Lines | str]:
    for site in guide.hosts:
        compose = guide.compose(site)
        yield (
            f"{_on_hosts(guide, site)} what has changed in `.env` is given to the containers that read it, and only "
            "those start anew."
        )
        yield sh("openssl rand -hex 32", "nano .env", f"{compose} up --detach --wait")
        for store in guide.stores("postgres", site=site):
            yield (
                f"The password of `{store.name}` is also in the database itself, which reads it from `.env` on its "
                "first start only. In this order, and the new value into `.env` in between:"
            )
            yield sh(
                f"{guide.psql(site, store)} -c '\\password'",
                "nano .env",
                f"{compose} up --detach --wait",
            )
    if guide.sites("render"):
        yield (
            "At Render: Environment of the service, Save and deploy. A value that another site has as well is changed "
            "there too."
        )
    shared = sorted({
        one.name for one in guide.material.variables
        if one.origin == "generated" and len({guide.target.place.get(other.service, ("",))[0]
        for other in guide.material.variables if other.name == one.name and other.service in guide.target.place}) > 1
    })  # fmt: skip
    if shared:
        yield f"{listed(shared)}: one value on every site; change all of them in one go."
    yield "A secret that signs sessions or tokens ends all of them when it changes: everybody logs in again."


def _updates(guide: Guide) -> Iterator[Lines | str]:
    for site in guide.hosts:
        server = guide.server(site)
        yield (
            f"Security updates of `{site.name}` come by themselves, Docker's do not, since they may restart it. Once a "
            "month, at a quiet hour (`live-restore` keeps the containers running meanwhile):"
        )
        yield sh(
            "sudo apt-get update && sudo apt-get upgrade",
            "test ! -f /run/reboot-required || sudo reboot",
            f"{guide.compose(site)} ps",
        )
        yield "The images of stores and of the front door: a new version into the rendered file, then `pull` and `up`."
        yield (
            f"Old images of {guide.app.name} go once a week, the newest stay: `sudo systemctl list-timers "
            f"{server.app}-prune.timer`"
        )


def _isolate(guide: Guide) -> Iterator[Lines | str]:
    for site in guide.hosts:
        compose = guide.compose(site)
        yield f"{_on_hosts(guide, site)} close the front door, keep what there is to see, and only then look:"
        door = guide.door(site)
        yield sh(
            *([f"{compose} stop {door}"] if door else []),
            f"{compose} logs --timestamps > incident-$(date +%F).log",
            f"{compose} ps -q | xargs docker inspect > incident-$(date +%F).json",
            "last -F | head -n 20; sudo ss -tnp | head -n 40",
        )
    if guide.hosts:
        yield (
            "Then change every secret of `.env` and at every provider, from a machine that is not this server, and "
            "put a new server in its place: SETUP.md, with the latest backup. One that somebody was in is not cleaned "
            "but replaced."
        )
    else:
        yield (
            "Suspend what is misused, and keep its logs. Change every secret at every provider, from a machine that "
            "is not suspect, the accounts' own passwords first; look through their lists of sessions, keys and "
            "members."
        )


def _stop(guide: Guide) -> Iterator[Lines | str]:
    for site in guide.hosts:
        yield f"{_on_hosts(guide, site)} jobs in hand are finished first; the data stays in the volumes."
        yield sh(f"{guide.compose(site)} down")
        yield "A server that is switched off is still billed: only deleting it ends that. Take a backup away first."
    if guide.sites("render"):
        yield (
            "At Render: Suspend, at each service and database; traffic and compute end, storage goes on. Deleting is "
            "for ever."
        )
    open_ended = _open_ended(guide)
    if open_ended:
        yield f"When the bill runs away, stop what grows with use: {listed(open_ended)}."


def _open_ended(guide: Guide) -> list[str]:
    chosen = guide.material.chosen
    lines = chosen.bill.lines if chosen is not None and chosen.bill is not None else ()
    return list(dict.fromkeys(one.owner for one in lines if not one.line.fixed and one.line.counted.amount))
