"""`backup-TARGET.yml` and `migrate-TARGET.yml`: a dump that was tried, and a migration that was rehearsed on it."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from towline.artifacts.blueprint_builds import inner_folder
from towline.artifacts.ci import shell_checks, shell_render, shell_server
from towline.artifacts.ci.actions import RUNNER, checkout, job_id, run, uses, workflow
from towline.artifacts.ci.deploying import sent_env, server_env
from towline.artifacts.ci.testing import TRY_PASSWORD, server_of, servers
from towline.artifacts.ci.toolchain import prefix, toolchain_of
from towline.artifacts.yaml_text import Noted

if TYPE_CHECKING:
    from towline.artifacts.ci.pipeline import Database, Pipeline
    from towline.spec.model import ReleaseCommand, Service, Site

_ANY = "steps.fetch.outputs.none != 'true'"
_COMMIT = "${{ fromJSON(inputs.release).commit }}"
_RELEASE = {
    "description": "What the build wrote down: its release.json",
    "type": "string",
    "required": True,
}


def backup_workflow(pipeline: Pipeline) -> dict[str, object] | None:
    """The workflow; None when the app has no Postgres.

    Its jobs are in no environment: one that waits for somebody's approval would be a night without a backup.
    """
    if not pipeline.databases:
        return None
    jobs = {job_id(one.store.name): _backup_job(pipeline, one) for one in pipeline.databases}
    first = job_id(pipeline.databases[0].store.name)
    called = {"outputs": {"none": {"value": f"${{{{ jobs.{first}.outputs.none }}}}"}}}
    on = {
        "schedule": [{"cron": Noted("17 3 * * *", behind="at night, and not at the full hour, when everybody is due")}],
        "workflow_dispatch": {},
        "workflow_call": called,
    }
    return workflow(pipeline.named("backup"), on, jobs)


def migrate_workflow(pipeline: Pipeline) -> dict[str, object] | None:
    """The workflow; None when there is nothing to migrate, or no site to do it on from here."""
    release = pipeline.material.app.release
    if release is None or not pipeline.migrates:
        return None
    service = pipeline.material.app.service(release.service)
    database = next((one for one in pipeline.databases if _uses(pipeline, service, one)), None)
    jobs: dict[str, object] = {}
    if database is not None:
        jobs["backup"] = {"uses": f"./.github/workflows/{pipeline.named('backup')}.yml", "secrets": "inherit"}
        jobs["rehearse"] = _rehearsal(pipeline, (release, service), database)
    real = _migration(pipeline, release, service)
    if real is not None:
        jobs["migrate"] = {**({"needs": "rehearse"} if database is not None else {}), **real}
    if not jobs:
        return None
    on = {"workflow_call": {"inputs": {"release": _RELEASE}}, "workflow_dispatch": {"inputs": {"release": _RELEASE}}}
    group = {"group": f"migrate-{pipeline.target}", "cancel-in-progress": False}
    return workflow(pipeline.named("migrate"), on, jobs, concurrency=group)


def _uses(pipeline: Pipeline, service: Service, database: Database) -> bool:
    return any(one.of == database.store.name for one in pipeline.material.app.bindings_of(service.name))


def _backup_job(pipeline: Pipeline, database: Database) -> dict[str, object]:
    name = database.store.name
    try_env = {"TRY_PASSWORD": TRY_PASSWORD, "EMPTY": "${{ github.event_name != 'schedule' && 'allowed' || '' }}"}
    tell = run("Tell that there is no backup", shell_checks.TELL, {
        "NOTIFY_WEBHOOK": "${{ secrets.NOTIFY_WEBHOOK }}", "SUBJECT": f"{pipeline.app} {pipeline.target}",
        "VERDICT": f"the backup of {name} FAILED", "WHERE": "",
    })  # fmt: skip
    kept = {
        "name": f"backup-{name}", "path": f"{_called(pipeline, database)}.dump*.gpg", "if-no-files-found": "error",
        "retention-days": "${{ steps.seal.outputs.days }}",
    }  # fmt: skip
    seal = run("Encrypt it", shell_checks.SEAL, {"BACKUP_PASSPHRASE": "${{ secrets.BACKUP_PASSPHRASE }}"})
    return {
        "runs-on": RUNNER,
        "timeout-minutes": 60,
        "outputs": {"none": "${{ steps.fetch.outputs.none }}"},
        "services": {"postgres": server_of(database.store)},
        "env": {"DATABASE": _called(pipeline, database), "MAJOR": database.store.major or "17"},
        "steps": [
            _fetch(pipeline, database) | {"id": "fetch"},
            run("Restore it to an empty server", shell_checks.TRY_DUMP, try_env) | {"if": _ANY},
            seal | {"id": "seal", "if": _ANY},
            uses("actions/upload-artifact", "Keep it", kept) | {"if": _ANY},
            tell | {"if": "failure()"},
        ],
    }


def _called(pipeline: Pipeline, database: Database) -> str:
    """What the dump is called: at Render the database's own name there, by which its API knows it."""
    return pipeline.platform.name_of(database.store.name) if database.reach == "platform" else database.store.name


def _fetch(pipeline: Pipeline, database: Database) -> dict[str, object]:
    store = database.store
    if database.reach == "platform":
        env = {"RENDER_API_KEY": "${{ secrets.RENDER_API_KEY }}"}
        return run("Let Render export the database", shell_render.EXPORT, env)
    if database.reach == "server":
        env = {
            **server_env(pipeline, database.site),
            "SERVICE": store.name, "ROLE": store.user, "NAME": store.database,
        }  # fmt: skip
        return run("Dump it on its server", shell_server.DUMP, env)
    secret = pipeline.own(store.name, "DIRECT_URL")
    return run("Dump it", shell_checks.DUMP_ADDRESS, {"DATABASE_URL": f"${{{{ secrets.{secret} }}}}", "SECRET": secret})


def _rehearsal(pipeline: Pipeline, what: tuple[ReleaseCommand, Service], database: Database) -> dict[str, object]:
    """The migration on a copy, in the new code: what fails here has touched nothing."""
    release, service = what
    started, addresses = servers(pipeline, service)
    env = {**_spelled(pipeline, service), **addresses}
    name = _called(pipeline, database)
    some = "needs.backup.outputs.none != 'true'"
    steps: list[dict[str, object]] = [
        uses("actions/download-artifact", "", {"name": f"backup-{database.store.name}"}) | {"if": some},
        run("Decrypt it", shell_checks.UNSEAL, {"BACKUP_PASSPHRASE": "${{ secrets.BACKUP_PASSPHRASE }}"})
        | {"if": some},
        run("Restore it", shell_checks.RESTORE, {"TRY_PASSWORD": TRY_PASSWORD}) | {"if": some},
    ]
    permissions: dict[str, object] = {"contents": "read"}
    line = release.command[-1] if release.command[:2] == ("/bin/sh", "-c") else shlex.join(release.command)
    if pipeline.image_of(service.name) is not None or service.context is None:
        permissions["packages"] = "read"
        steps += _in_image(pipeline, service, line, env)
    else:
        # The code comes first: fetching it empties the folder.
        steps = [checkout(_COMMIT), *steps, *_in_code(pipeline, service, line, env)]
    return {
        "needs": "backup",
        "runs-on": RUNNER,
        "timeout-minutes": 30,
        "permissions": permissions,
        "services": {"postgres": server_of(database.store), **started},
        "env": {"DATABASE": name, "MAJOR": database.store.major or "17"},
        "steps": steps,
    }


def _spelled(pipeline: Pipeline, service: Service) -> dict[str, str]:
    """The variables of a service that a rehearsal can have: what is spelled out, and any text for its own secrets."""
    known = pipeline.material.variables_of(service.name)
    spelled = {one.name: one.value for one in known if one.origin == "spelled" and one.value is not None}
    made = {one.name: "only-for-this-run-and-long-enough" for one in known if one.origin == "generated"}
    return dict(sorted({**spelled, **made}.items()))


def _in_image(pipeline: Pipeline, service: Service, line: str, env: dict[str, str]) -> list[dict[str, object]]:
    image = pipeline.image_of(service.name)
    login = {
        "registry": "ghcr.io", "username": "${{ github.actor }}", "password": "${{ secrets.GITHUB_TOKEN }}",
    }  # fmt: skip
    asked = {
        "RELEASE": "${{ inputs.release }}", "IMAGE_OF": image.service if image is not None else service.name,
        "IMAGE": service.image or "", "LINE": line, "VARIABLES": " ".join(env), **env,
    }  # fmt: skip
    return [
        uses("docker/login-action", "", login),
        run("Migrate the copy", shell_checks.REHEARSE_IMAGE, asked),
    ]


def _in_code(pipeline: Pipeline, service: Service, line: str, env: dict[str, str]) -> list[dict[str, object]]:
    stack = pipeline.material.stacks.get(service.name)
    chain = toolchain_of(stack) if stack is not None else None
    if stack is None or chain is None:
        return []
    folder = {"working-directory": chain.folder} if chain.folder else {}
    inner = inner_folder(pipeline.material, service, stack)
    there = {"working-directory": "/".join(one for one in (chain.folder, inner) if one)} if inner else folder
    return [
        *chain.setup,
        run("Install", chain.install) | folder,
        run("Migrate the copy", f"{prefix(stack)}{line}", env) | there,
    ]


def _migration(pipeline: Pipeline, release: ReleaseCommand, service: Service) -> dict[str, object] | None:
    """The migration itself; None where the platform runs it, between its build and the shift of the traffic."""
    site = next((one for one in pipeline.sites_of(service.name) if one.kind in {"host", "coolify", "dokploy"}), None)
    if site is None:
        return None
    line = release.command[-1] if release.command[:2] == ("/bin/sh", "-c") else shlex.join(release.command)
    minutes = max(5, round(release.within / 60))
    head: dict[str, object] = {
        "runs-on": RUNNER,
        "timeout-minutes": minutes,
        "permissions": {"contents": "read", "packages": "read"},
        "environment": pipeline.target,
    }
    if site.kind == "host":
        return {**head, "steps": _on_server(pipeline, site)}
    return {**head, "steps": _by_address(pipeline, service, line)}


def _on_server(pipeline: Pipeline, site: Site) -> list[dict[str, object]]:
    return [
        checkout(_COMMIT),
        run("Send the release", shell_server.SEND, sent_env(pipeline, site, "${{ inputs.release }}", _COMMIT)),
        run("Migrate", shell_server.RUN, {**server_env(pipeline, site), "COMMIT": _COMMIT}),
    ]


def _by_address(pipeline: Pipeline, service: Service, line: str) -> list[dict[str, object]]:
    """From here, in the new image, with the address of the database itself and not that of its pool."""
    stores = {one.store.name: one for one in pipeline.databases}
    env = _spelled(pipeline, service)
    for binding in pipeline.material.app.bindings_of(service.name):
        if binding.of in stores and binding.attribute.endswith("url"):
            env[binding.variable] = f"${{{{ secrets.{pipeline.own(binding.of, 'DIRECT_URL')} }}}}"
    return _in_image(pipeline, service, line, env)
