"""`deploy-TARGET.yml`: what was built and passed goes out, is waited for, looked at, and told; and the way back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from towline.artifacts.blueprint_builds import runtime_of
from towline.artifacts.ci import shell_checks, shell_panel, shell_render, shell_server
from towline.artifacts.ci.actions import BRANCH, RUNNER, checkout, job_id, run, setting, uses, workflow
from towline.artifacts.yaml_text import Inline, Noted

if TYPE_CHECKING:
    from towline.artifacts.blueprint_platform import Unit
    from towline.artifacts.ci.pipeline import Pipeline
    from towline.spec.model import Service, Site

_PASSED = (
    "github.event_name == 'workflow_dispatch' || (github.event.workflow_run.conclusion == 'success' && "
    "github.event.workflow_run.event != 'pull_request' && "
    "github.event.workflow_run.head_repository.full_name == github.repository)"
)
_WITHOUT_BUILD = '{"images": {}}'
_LONG_RUNNING = frozenset({"web", "private", "worker", "stateful", "static"})


def deploy_workflow(pipeline: Pipeline) -> dict[str, object] | None:
    """The workflow; None when no site of the target can be deployed to from here."""
    if not pipeline.deploys:
        return None
    jobs: dict[str, object] = {}
    if pipeline.builds:
        jobs["release"] = _release_job(pipeline)
    if pipeline.builds and pipeline.migrates:
        jobs["migrate"] = _migrate_job(pipeline)
    sites: dict[str, dict[str, object]] = {}
    for site in _sites(pipeline):
        sites[job_id(site.name)] = _site_job(pipeline, site)
    jobs |= {name: {**_after(pipeline), **job} for name, job in sites.items()}
    jobs["look"] = _look_job(pipeline, sites)
    jobs["tell"] = _tell_job(pipeline, [*jobs])
    group = {
        "group": f"deploy-{pipeline.target}",
        "cancel-in-progress": Noted(False, behind="one release at a time, each to its end"),  # noqa: FBT003
    }
    return workflow(pipeline.named("deploy"), _on(pipeline), jobs, concurrency=group)


def server_env(pipeline: Pipeline, site: Site) -> dict[str, str]:
    """What every step that reaches a server reads."""
    written = site.options.get("ssh", "").removeprefix("ssh://")
    return {
        "SSH_ADDRESS": written or f"${{{{ vars.{pipeline.own(site.name, 'SSH')} }}}}",
        "SSH_KEY": f"${{{{ secrets.{pipeline.own(site.name, 'SSH_KEY')} }}}}",
        "SSH_KNOWN_HOSTS": f"${{{{ vars.{pipeline.own(site.name, 'SSH_KNOWN_HOSTS')} }}}}",
        "PLACE": f"apps/{pipeline.app}",
        "COMPOSE": compose_file(pipeline, site),
        "OWNER": "${{ github.repository_owner }}",
    }


def compose_file(pipeline: Pipeline, site: Site) -> str:
    """The name of the rendered Compose file of a server."""
    return "compose.yaml" if len(pipeline.hosts) == 1 else f"compose.{site.name}.yaml"


def sent_files(pipeline: Pipeline, site: Site) -> tuple[str, ...]:
    """What a server gets beside the digests: its Compose file, and what that mounts from its own folder."""
    beside = {"Caddyfile", f"Caddyfile.{site.name}"}
    own = compose_file(pipeline, site)
    known = [one.path for one in pipeline.material.rendered]
    return (own, *(path for path in known if path in beside))


def sent_env(pipeline: Pipeline, site: Site, release: str, commit: str) -> dict[str, str]:
    """What the step reads that brings a release to a server."""
    of = pipeline.material.app.release
    return {
        **server_env(pipeline, site),
        "RELEASE": release,
        "COMMIT": commit,
        "FOLDER": pipeline.platform.rendered,
        "FILES": " ".join(sent_files(pipeline, site)),
        "HERE": " ".join(one.name for one in pipeline.services_on(site)),
        "MIGRATES": of.service if of is not None else "",
        "ACTOR": "${{ github.actor }}",
        "GITHUB_TOKEN": "${{ secrets.GITHUB_TOKEN }}",
    }


def release_env(pipeline: Pipeline) -> dict[str, str]:
    """The release that a deploying job is about."""
    if not pipeline.builds:
        return {"RELEASE": _WITHOUT_BUILD, "COMMIT": "${{ github.sha }}", "BACK": "false"}
    return {
        "RELEASE": "${{ needs.release.outputs.release }}",
        "COMMIT": "${{ needs.release.outputs.commit }}",
        "BACK": "${{ needs.release.outputs.back }}",
    }


def _on(pipeline: Pipeline) -> dict[str, object]:
    if not pipeline.builds:
        paths = (f"{pipeline.platform.rendered}/**", "render.yaml")
        return {"push": {"branches": Inline((BRANCH,)), "paths": Inline(paths)}, "workflow_dispatch": {}}
    asked = {
        "description": "To go back: the commit of an earlier release. Empty: the newest that was built",
        "type": "string",
        "default": "",
    }
    built = {
        "workflows": Inline((pipeline.named("build"),)),
        "types": Inline(("completed",)),
        "branches": Inline((BRANCH,)),
    }
    return {"workflow_run": built, "workflow_dispatch": {"inputs": {"release": asked}}}


def _sites(pipeline: Pipeline) -> list[Site]:
    at_render = {unit.site.name: unit.site for unit in pipeline.platform.units}
    return [site for site in pipeline.material.target.sites if site.name in at_render or site in pipeline.hosts] + list(
        pipeline.panels
    )


def _release_job(pipeline: Pipeline) -> dict[str, object]:
    which = run("Which build", shell_checks.WHICH, {
        "BUILT": "${{ github.event.workflow_run.id }}", "ASKED": "${{ inputs.release }}",
        "GITHUB_TOKEN": "${{ secrets.GITHUB_TOKEN }}", "WORKFLOW": f"{pipeline.named('build')}.yml",
    })  # fmt: skip
    download = {
        "name": "release", "run-id": "${{ steps.which.outputs.build }}", "github-token": "${{ secrets.GITHUB_TOKEN }}",
    }  # fmt: skip
    return {
        "if": _PASSED,
        "runs-on": RUNNER,
        "timeout-minutes": 5,
        "permissions": {"actions": "read", "contents": "read"},
        "outputs": {
            "release": "${{ steps.read.outputs.release }}",
            "commit": "${{ steps.read.outputs.commit }}",
            "back": "${{ steps.which.outputs.back }}",
        },
        "steps": [
            which | {"id": "which"},
            uses("actions/download-artifact", "", download),
            run("Read it", shell_checks.READ_RELEASE) | {"id": "read"},
        ],
    }


def _migrate_job(pipeline: Pipeline) -> dict[str, object]:
    return {
        "needs": "release",
        "if": Noted("needs.release.outputs.back == 'false'", behind="going back leaves the schema as it is"),
        "permissions": {"contents": "read", "packages": "read"},
        "uses": f"./.github/workflows/{pipeline.named('migrate')}.yml",
        "with": {"release": "${{ needs.release.outputs.release }}"},
        "secrets": "inherit",
    }


def _after(pipeline: Pipeline) -> dict[str, object]:
    if not pipeline.builds:
        return {}
    if not pipeline.migrates:
        return {"needs": "release"}
    condition = (
        "!cancelled() && needs.release.result == 'success' && "
        "(needs.migrate.result == 'success' || needs.migrate.result == 'skipped')"
    )
    return {"needs": Inline(("release", "migrate")), "if": condition}


def _site_job(pipeline: Pipeline, site: Site) -> dict[str, object]:
    domain = next((one.domain for one in pipeline.material.app.services if one.domain and one.kind != "private"), None)
    url = {"url": f"https://{domain}"} if domain else {}
    job: dict[str, object] = {"runs-on": RUNNER, "timeout-minutes": 75, "environment": {"name": pipeline.target, **url}}
    if site.kind == "render":
        return {**job, **_render_job(pipeline, site)}
    if site in pipeline.panels:
        return {**job, **_panel_job(pipeline, site)}
    return {**job, **_server_job(pipeline, site)}


def _render_job(pipeline: Pipeline, site: Site) -> dict[str, object]:
    units = [unit for unit in pipeline.platform.units if unit.site == site and unit.type != "cron"]
    release = pipeline.material.app.release
    first = [one for one in units if release is not None and any(it.name == release.service for it in one.members)]
    env = {
        "RENDER_API_KEY": "${{ secrets.RENDER_API_KEY }}",
        **release_env(pipeline),
        "FIRST": _lines(pipeline, first),
        "REST": _lines(pipeline, [one for one in units if one not in first]),
        "ASK": "".join(
            f"{unit.name} {unit.lead.health.path or '/'}\n"
            for unit in units
            if unit.type == "web" and not unit.lead.domain
        ),
    }
    step = run("Deploy and wait", shell_render.DEPLOY, env) | {"id": "deploy"}
    return {"outputs": {"addresses": "${{ steps.deploy.outputs.addresses }}"}, "steps": [step]}


def _lines(pipeline: Pipeline, units: list[Unit]) -> str:
    """A line for each: its name, and whose image it runs, `-` where the platform builds it from the commit."""
    lines = []
    for unit in units:
        of_image = runtime_of(pipeline.platform, unit) == "image"
        lines.append(f"{unit.name} {unit.lead.name if of_image else '-'}\n")
    return "".join(lines)


def _server_job(pipeline: Pipeline, site: Site) -> dict[str, object]:
    services = [one for one in pipeline.services_on(site) if one.kind in _LONG_RUNNING]
    patience = max([60.0, *(one.health.within for one in services)])
    env = server_env(pipeline, site)
    given = release_env(pipeline)
    sent = sent_env(pipeline, site, given["RELEASE"], given["COMMIT"])
    started = {**env, "COMMIT": given["COMMIT"], "PATIENCE": f"{patience:.0f}"}
    started["SERVICES"] = " ".join(one.name for one in services)
    return {
        "permissions": {"contents": "read", "packages": "read"},
        "steps": [
            checkout(given["COMMIT"]),
            run("Send the release", shell_server.SEND, sent),
            run("Bring it up, or go back", shell_server.UP, started),
        ],
    }


def _panel_job(pipeline: Pipeline, site: Site) -> dict[str, object]:
    services = [one for one in pipeline.services_on(site) if one.kind in _LONG_RUNNING]
    number, program = ("UUID", shell_panel.COOLIFY) if site.kind == "coolify" else ("ID", shell_panel.DOKPLOY)
    applications = "".join(f"{one.name} ${{{{ vars.{pipeline.own(one.name, number)} }}}}\n" for one in services)
    env = {
        setting(site.kind, "URL"): f"${{{{ vars.{pipeline.own(site.kind, 'URL')} }}}}",
        setting(site.kind, "TOKEN"): f"${{{{ secrets.{pipeline.own(site.kind, 'TOKEN')} }}}}",
        **{key: value for key, value in release_env(pipeline).items() if key != "BACK"},
        **({"TAG": f"{release_env(pipeline)['COMMIT']}-{pipeline.target}"} if site.kind == "coolify" else {}),
        "APPLICATIONS": applications,
    }
    return {"steps": [run("Deploy and wait", program, env)]}


def _look_job(pipeline: Pipeline, sites: dict[str, dict[str, object]]) -> dict[str, object]:
    lines = [f"${{{{ needs.{name}.outputs.addresses }}}}" for name, job in sites.items() if "outputs" in job]
    lines += [line for service in pipeline.material.app.services for line in _address(pipeline, service)]
    step = run("Ask every public address", shell_checks.LOOK, {"ADDRESSES": "\n".join(lines) + "\n"})
    condition = " && ".join(["!cancelled()", *(f"needs.{name}.result == 'success'" for name in sites)])
    return {
        "needs": Inline(tuple(sites)),
        "if": condition,
        "runs-on": RUNNER,
        "timeout-minutes": 10,
        "steps": [step],
    }


def _address(pipeline: Pipeline, service: Service) -> list[str]:
    if service.kind not in {"web", "static"}:
        return []
    path = service.health.path or "/"
    if service.domain:
        return [f"{service.name} https://{service.domain}{path}"]
    at_render = pipeline.platform.unit_of(service.name) is not None
    return [] if at_render else [f"{service.name} ${{{{ vars.{pipeline.own(service.name, 'URL')} }}}}{path}"]


def _tell_job(pipeline: Pipeline, before: list[str]) -> dict[str, object]:
    where = [f"https://{one.domain}" for one in pipeline.material.app.services if one.domain and one.kind != "private"]
    outputs = [f"${{{{ needs.{job_id(site.name)}.outputs.addresses }}}}" for site in _sites(pipeline)]
    if not where:
        where = [one for one, site in zip(outputs, _sites(pipeline), strict=True) if site.kind == "render"]
        where = where or [f"${{{{ vars.{pipeline.own(one.name, 'URL')} }}}}" for one in _public(pipeline)[:1]]
    verdict = "${{ contains(needs.*.result, 'failure') && 'FAILED' || contains(needs.*.result, 'cancelled') && "
    verdict += "'cancelled' || 'deployed' }}"
    commit = "${{ needs.release.outputs.commit }}" if pipeline.builds else "${{ github.sha }}"
    env = {
        "NOTIFY_WEBHOOK": "${{ secrets.NOTIFY_WEBHOOK }}",
        "SUBJECT": f"{pipeline.app} {pipeline.target} {commit}",
        "VERDICT": verdict,
        "WHERE": " ".join(where),
    }
    passed = "always() && needs.release.result != 'skipped'" if pipeline.builds else "always()"
    return {
        "needs": Inline(tuple(before)),
        "if": passed,
        "runs-on": RUNNER,
        "timeout-minutes": 5,
        "steps": [run("Tell how it went", shell_checks.TELL, env)],
    }


def _public(pipeline: Pipeline) -> list[Service]:
    return [one for one in pipeline.material.app.services if one.kind in {"web", "static"}]
