"""`test.yml`: every pull request is linted, typed, tested and built, each service as its own files call for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from towline.artifacts.blueprint_builds import inner_folder
from towline.artifacts.ci.actions import BRANCH, RUNNER, checkout, job_id, run, uses, workflow
from towline.artifacts.ci.toolchain import prefix, toolchain_of
from towline.artifacts.yaml_text import Inline, Noted

if TYPE_CHECKING:
    from towline.artifacts.ci.pipeline import Pipeline
    from towline.artifacts.ci.toolchain import Check, Toolchain
    from towline.spec.model import Binding, Service, Store

TRY_PASSWORD = "only-for-this-run"  # noqa: S105 - known to all, of a server that only one job can reach
"""The password of servers that live as long as one job, on a machine of that job's own."""

_COVERAGE = """\
set -o pipefail
{line} | tee coverage.log
{{ echo '```'; tail --lines 40 coverage.log; echo '```'; }} >> "$GITHUB_STEP_SUMMARY"
"""


def test_workflow(pipeline: Pipeline) -> dict[str, object] | None:
    """The workflow; None when nothing of the app is in this repository in a language that is known."""
    jobs: dict[str, object] = {}
    done: dict[tuple[str, str], str] = {}
    for service in pipeline.material.app.services:
        stack = pipeline.material.stacks.get(service.name)
        chain = toolchain_of(stack, service.build if service.kind == "static" else None) if stack is not None else None
        if stack is None or chain is None or (stack.folder, stack.language) in done:
            continue
        done[stack.folder, stack.language] = service.name
        jobs[job_id(service.name)] = _job(pipeline, service, chain)
    if not jobs:
        return None
    on = {"pull_request": {"branches": Inline((BRANCH,))}, "workflow_call": {}, "workflow_dispatch": {}}
    group = {
        "group": "test-${{ github.event.pull_request.number || github.run_id }}",
        "cancel-in-progress": Noted(True, behind="a newer push of the same pull request is what counts"),  # noqa: FBT003
    }
    return workflow("test", on, jobs, concurrency=group)


def servers(pipeline: Pipeline, service: Service) -> tuple[dict[str, object], dict[str, str]]:
    """The throwaway servers that a service's own stores become in a job, and the variables that lead to them."""
    started: dict[str, object] = {}
    env: dict[str, str] = {}
    stores = {store.name: store for store in pipeline.material.app.stores}
    for binding in pipeline.material.app.bindings_of(service.name):
        store = stores.get(binding.of)
        if store is None or store.kind not in {"postgres", "redis"}:
            continue
        started.setdefault(store.kind, server_of(store))
        env[binding.variable] = _address(binding, store)
    return {kind: started[kind] for kind in sorted(started)}, dict(sorted(env.items()))


def server_of(store: Store) -> dict[str, object]:
    """A throwaway server of a store's kind and major version, as a job's service."""
    if store.kind == "postgres":
        return {
            "image": f"postgres:{store.major or '17'}",
            "env": {"POSTGRES_PASSWORD": TRY_PASSWORD},
            "ports": Inline(("5432:5432",)),
            "options": "--health-cmd pg_isready --health-interval 2s --health-timeout 5s --health-retries 30",
        }
    return {
        "image": store.image or "valkey/valkey:8",
        "ports": Inline(("6379:6379",)),
        "options": '--health-cmd "valkey-cli ping || redis-cli ping" --health-interval 2s --health-retries 30',
    }


def _address(binding: Binding, store: Store) -> str:
    if store.kind == "redis":
        forms = {"url": "redis://localhost:6379", "host": "localhost", "port": "6379"}
        return forms.get(binding.attribute, "")
    url = f"postgresql://postgres:{TRY_PASSWORD}@localhost:5432/postgres"
    forms = {"host": "localhost", "port": "5432", "user": "postgres", "password": TRY_PASSWORD, "database": "postgres"}
    return forms.get(binding.attribute, url)


def _job(pipeline: Pipeline, service: Service, chain: Toolchain) -> dict[str, object]:
    started, env = servers(pipeline, service)
    job: dict[str, object] = {"runs-on": RUNNER, "timeout-minutes": 10}
    if chain.folder:
        job["defaults"] = {"run": {"shell": "bash", "working-directory": chain.folder}}
    if started:
        job |= {"services": started, "env": env}
    steps = [checkout(), *_anywhere(chain), run("Install", chain.install)]
    release = pipeline.material.app.release
    if release is not None and release.service == service.name and "postgres" in started:
        stack = pipeline.material.stacks[service.name]
        inner = inner_folder(pipeline.material, service, stack)
        line = f"{prefix(stack)}{release.command[-1]}"
        steps.append(run("Migrate an empty database", f"cd {inner} && {line}" if inner else line))
    steps += [_check(one) for one in chain.checks]
    if any(one.name == "Test" for one in chain.checks):
        steps.append(_kept(service, chain))
    return {**job, "steps": steps}


def _anywhere(chain: Toolchain) -> list[dict[str, object]]:
    """The steps before the installation; they do not depend on the folder."""
    return [{**step, "working-directory": "."} if "run" in step and chain.folder else step for step in chain.setup]


def _check(check: Check) -> dict[str, object]:
    return run(check.name, _COVERAGE.format(line=check.line) if check.name == "Test" else check.line)


def _kept(service: Service, chain: Toolchain) -> dict[str, object]:
    inner = f"{chain.folder}/" if chain.folder else ""
    paths = "\n".join(f"{inner}{one}" for one in ("coverage.log", "coverage.xml", "coverage/"))
    given = {"name": f"coverage-{service.name}", "path": paths, "if-no-files-found": "ignore", "retention-days": 14}
    return {**uses("actions/upload-artifact", "Keep the coverage", given), "if": "always()"}
