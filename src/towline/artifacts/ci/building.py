"""`build-TARGET.yml`: what was merged is tested again, built once, scanned, pushed, and written down by its digests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from towline.artifacts.ci import shell_checks
from towline.artifacts.ci.actions import BRANCH, RUNNER, TRIVY, checkout, run, uses, workflow
from towline.artifacts.yaml_text import Inline, Noted

if TYPE_CHECKING:
    from towline.artifacts.ci.pipeline import Image, Pipeline

KEPT_DAYS = 90
"""How long a release can be gone back to: as long as its artifact is kept, 90 days at most."""


def build_workflow(pipeline: Pipeline, *, tested: bool) -> dict[str, object] | None:
    """The workflow; None when nothing of the app is built from this repository."""
    if not pipeline.builds:
        return None
    jobs: dict[str, object] = {}
    if tested:
        jobs["test"] = {"uses": "./.github/workflows/test.yml", "permissions": {"contents": "read"}}
    if pipeline.images:
        jobs["image"] = {**({"needs": "test"} if tested else {}), **_image_job(pipeline)}
    needed = "image" if pipeline.images else "test" if tested else ""
    jobs["release"] = {**({"needs": needed} if needed else {}), **_release_job(pipeline)}
    on = {"push": {"branches": Inline((BRANCH,))}, "workflow_dispatch": {}}
    name = pipeline.named("build")
    group = {"group": f"{name}-${{{{ github.ref }}}}", "cancel-in-progress": False}
    return workflow(name, on, jobs, concurrency=group)


def _image_job(pipeline: Pipeline) -> dict[str, object]:
    matrix = {"include": [_entry(pipeline, one) for one in pipeline.images]}
    built = _built(pipeline)
    return {
        "name": "image of ${{ matrix.service }}",
        "runs-on": RUNNER,
        "timeout-minutes": 20,
        "permissions": {"contents": "read", "packages": "write"},
        "strategy": {"fail-fast": True, "matrix": matrix},
        "steps": [
            checkout(),
            run("Name the image", shell_checks.NAME_IMAGE, {
                "OWNER": "${{ github.repository_owner }}", "NAME": "${{ matrix.image }}",
            }) | {"id": "name"},
            uses("docker/setup-buildx-action"),
            uses("docker/login-action", "", {
                "registry": "ghcr.io", "username": "${{ github.actor }}", "password": "${{ secrets.GITHUB_TOKEN }}",
            }),
            uses("docker/build-push-action", "Build", {**built, "load": True, "tags": "scanned:${{ github.sha }}"}),
            uses("aquasecurity/trivy-action", "Scan", _scan()),
            uses("docker/build-push-action", "Push what was scanned", {**built, "push": True, "tags": _tags(pipeline)})
            | {"id": "push"},
            run("Write the digest down", shell_checks.KEEP_DIGEST, {
                "SERVICE": "${{ matrix.service }}", "IMAGE": "${{ steps.name.outputs.image }}",
                "DIGEST": "${{ steps.push.outputs.digest }}",
            }),
            uses("actions/upload-artifact", "", {
                "name": "digest-${{ matrix.service }}", "path": "digests/", "retention-days": 1,
            }),
        ],
    }  # fmt: skip


def _entry(pipeline: Pipeline, image: Image) -> dict[str, object]:
    name = pipeline.app if image.service == pipeline.app else f"{pipeline.app}-{image.service}"
    args = {"args": "\n".join(f"{key}={value}" for key, value in image.args)} if image.args else {}
    return {
        "service": image.service,
        "image": name.lower(),
        "context": image.context,
        "dockerfile": image.dockerfile,
        **args,
    }


def _built(pipeline: Pipeline) -> dict[str, object]:
    told = any(image.args for image in pipeline.images)
    return {
        "context": "${{ matrix.context }}",
        "file": "${{ matrix.dockerfile }}",
        **({"build-args": "${{ matrix.args }}"} if told else {}),
        "cache-from": "type=gha,scope=${{ matrix.service }}",
        "cache-to": "type=gha,scope=${{ matrix.service }},mode=max",
    }


def _tags(pipeline: Pipeline) -> str:
    """The commit with the target and without, and the newest: what a build is told may differ between two targets."""
    tags = (f"${{{{ github.sha }}}}-{pipeline.target}", "${{ github.sha }}", "latest")
    return "\n".join(f"${{{{ steps.name.outputs.image }}}}:{tag}" for tag in tags)


def _scan() -> dict[str, object]:
    return {
        "image-ref": "scanned:${{ github.sha }}",
        "version": TRIVY,
        "severity": "CRITICAL",
        "ignore-unfixed": Noted(True, behind="what nobody has mended yet cannot be mended here"),  # noqa: FBT003
        "exit-code": "1",
    }


def _release_job(pipeline: Pipeline) -> dict[str, object]:
    steps = []
    if pipeline.images:
        given = {"pattern": "digest-*", "path": "digests", "merge-multiple": True}
        steps.append(uses("actions/download-artifact", "", given))
    steps += [
        run("Write the release down", shell_checks.RELEASE, {"COMMIT": "${{ github.sha }}"}) | {"id": "release"},
        uses("actions/upload-artifact", "", {"name": "release", "path": "release.json", "retention-days": KEPT_DAYS}),
    ]
    return {
        "runs-on": RUNNER,
        "timeout-minutes": 5,
        "outputs": {"release": "${{ steps.release.outputs.release }}"},
        "steps": steps,
    }
