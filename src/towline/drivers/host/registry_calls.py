"""What a host asks a registry, with a login that is on its disk for no longer than the question takes, if at all."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from towline.artifacts.images import architecture_of, registry
from towline.core.errors import StepFailed, Where
from towline.drivers.host.programs import quote

if TYPE_CHECKING:
    from collections.abc import Iterator

    from towline.core.secret import Secret
    from towline.drivers.host.shell import Answer
    from towline.drivers.host.target import Target

FETCH_WITHIN: Final = 1800.0
_ASK_WITHIN: Final = 90.0

# The login comes as input: an argument could be seen by all. /run is memory.
_WITH_LOGIN: Final = """
umask 077
DOCKER_CONFIG=$(mktemp -d /run/towline.XXXXXXXX 2>/dev/null || mktemp -d) || exit 73
export DOCKER_CONFIG
trap 'rm -rf "$DOCKER_CONFIG"' EXIT
trap 'exit 129' HUP TERM
cat >"$DOCKER_CONFIG/config.json"
"""


def fetch_with(target: Target, image: str, login: Secret | None) -> None:
    """Fetch an image, and give it the tag that its name has. Raises StepFailed with the registry's words."""
    name, _, digest = image.partition("@")
    tag = f"docker tag {quote(image)} {quote(name)}\n" if digest and ":" in name.rsplit("/", 1)[-1] else ""
    program = f"docker image inspect {quote(image)} >/dev/null 2>&1 || docker pull -q {quote(image)} || exit 1\n{tag}"
    answer = _asked(target, program, login, FETCH_WITHIN)
    if answer.status != 0:
        raise _refused(target, image, answer)


def digest_there(target: Target, image: str, login: Secret | None) -> str:
    """The digest of an image for the processor of the host. Raises StepFailed with the registry's words."""
    host = registry(image).rpartition(":")[0] or registry(image)
    # The engine itself speaks http with a registry on its own machine, and with no other.
    plain = " --insecure" if host == "localhost" or host.startswith("127.") else ""
    answer = _asked(target, f"uname -m\ndocker manifest inspect -v{plain} {quote(image)}\n", login, _ASK_WITHIN)
    if answer.status != 0:
        raise _refused(target, image, answer)
    machine, _, told = answer.text.partition("\n")
    wanted = architecture_of(machine.strip())
    try:
        found = list(_manifests(told))
    except (ValueError, LookupError, AttributeError) as error:
        raise StepFailed(
            f"`{target.site}` was told something else than manifests of {image}",
            where=Where(target.site),
            hint=f"docker manifest inspect -v {image}, there",
            evidence=answer.last_lines,
        ) from error
    for architecture, digest in found:
        if architecture == wanted:
            return digest
    if len(found) == 1 and not found[0][0]:
        return found[0][1]
    kinds = ", ".join(sorted({architecture for architecture, _ in found})) or "none"
    raise StepFailed(
        f"{image} is there for {kinds}, and `{target.site}` is {wanted}",
        where=Where(target.site),
        hint=f"docker manifest inspect {image}",
    )


def _asked(target: Target, program: str, login: Secret | None, within: float) -> Answer:
    text = login.reveal() if login is not None else "{}"
    return target.link.run(_WITH_LOGIN + program, within=within, data=text.encode())


def _manifests(told: str) -> Iterator[tuple[str, str]]:
    """Processor and digest of each image that a name stands for."""
    plain: Any = json.loads(told)
    for one in plain if isinstance(plain, list) else [plain]:
        descriptor = one.get("Descriptor") or {}
        platform = descriptor.get("platform") or {}
        if platform.get("os") in (None, "linux"):
            yield str(platform.get("architecture") or ""), str(descriptor["digest"])


def _refused(target: Target, image: str, answer: Answer) -> StepFailed:
    lines = answer.last_lines
    said = lines[-1] if lines else "it did not answer in time"
    hint = f"docker login {registry(image)}   (your own login is used), or give the image's digest"
    return StepFailed(
        f"`{target.site}` cannot have {image}: {said}", where=Where(target.site), hint=hint, evidence=lines
    )
