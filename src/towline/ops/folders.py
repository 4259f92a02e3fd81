"""The folders of the project that services on hosts mount: read once, within limits, and packed for the way."""

from __future__ import annotations

import contextlib
import tarfile
import tempfile
from typing import TYPE_CHECKING, Final

from towline.artifacts.folders import Travelling, read_folder
from towline.core.errors import Finding, Findings, Where
from towline.core.units import show_bytes
from towline.release.swap import lives
from towline.spec.given_files import is_small
from towline.steps.folders import PlaceFolder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from towline.artifacts.folders import Entry, Folder
    from towline.artifacts.host_bundle import Making
    from towline.artifacts.model import SiteBundle
    from towline.artifacts.rendered import Material
    from towline.spec.bound import Bound
    from towline.steps.container import Container
    from towline.steps.model import Facts

CODES: dict[str, tuple[str, str]] = {
    "files-too-large": ("error", "What services mount of the project is more than travels with a deploy, 64 MB."),
    "files-special": (
        "error",
        "A folder that a service mounts holds a socket, or a link that leads out of the project.",
    ),
    "files-unreadable": ("error", "A file that a service mounts cannot be read here."),
}
"""What is found about folders, with its level and its meaning; printed as part of the reference."""

MOST: Final = 64_000_000
"""Bytes in all folders of a target together: they are kept on the host for each release that mounts them."""

_CHUNK: Final = 256 * 1024
_SHOWN: Final = 3


def folders_of(material: Material) -> dict[str, Travelling]:
    """By path here, what travels as a folder, each one once. Raises Findings with all that cannot."""
    wanted = {one.source: one for one in _wanted(material)}.values()
    found: dict[Bound, Folder] = {}
    wrong: list[Finding] = []
    for one in wanted:
        with _told(wrong):
            found[one] = read_folder(one.source, material.app.root)
    wrong += (*_special(found), *_too_large(found))
    known: dict[str, Travelling] = {}
    for one, folder in found.items() if not wrong else ():
        with _told(wrong):
            known[str(one.source)] = Travelling(folder, folder.digest(), one.shown)
    if wrong:
        raise Findings(tuple(wrong))
    return known


@contextlib.contextmanager
def _told(wrong: list[Finding]) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        sentence = f"`{error.filename}` cannot be read: {(error.strerror or '').lower()}"
        wrong.append(Finding("files-unreadable", sentence, Where("compose.yaml"), f"ls -l {error.filename}"))


def places(making: Making, wanted: SiteBundle, facts: Facts) -> dict[PlaceFolder, Folder]:
    """The steps that bring the folders of what is going to start on a host: what runs there has its own."""
    starting = list(_starting(wanted, facts))
    found: dict[PlaceFolder, Folder] = {}
    for one in sorted(making.folders.values(), key=lambda each: each.shown):
        mounted = one.mounted(making.salt)
        users = {
            service for service, container in starting if any(mounted == mount.source for mount in container.mounts)
        }
        if users:
            files = sum(entry.kind == "file" for entry in one.folder.entries)
            step = PlaceFolder(one.name(making.salt), one.shown, tuple(sorted(users)), files, one.folder.size)
            found[step] = one.folder
    return found


def _starting(wanted: SiteBundle, facts: Facts) -> Iterator[tuple[str, Container]]:
    running = {one.name for one in facts.instances if lives(one)}
    for service in wanted.services:
        for one in service.instances:
            if one.container is not None and one.name not in running:
                yield service.name, one.container
    tasks = [task for service in wanted.services for task in service.tasks]
    for due in (*tasks, wanted.release_task, wanted.seed_task):
        if due is not None and due.container is not None and facts.tasks.get(due.name) != due.marker:
            yield due.service, due.container


def packed(folder: Folder) -> Iterator[bytes]:
    """All of it as gzip packs it, the same for everybody who may read it."""
    with tempfile.TemporaryFile() as file:
        with tarfile.open(fileobj=file, mode="w:gz", compresslevel=6) as tar:
            for one in folder.entries:
                _add(tar, folder, one)
        file.seek(0)
        while chunk := file.read(_CHUNK):
            yield chunk


def _add(tar: tarfile.TarFile, folder: Folder, entry: Entry) -> None:
    info = tarfile.TarInfo(entry.path)
    info.mode = entry.mode
    if entry.kind == "link":
        info.type, info.linkname = tarfile.SYMTYPE, entry.to
    elif entry.kind == "folder":
        info.type = tarfile.DIRTYPE
    else:
        with folder.at(entry).open("rb") as stream:
            info.size = entry.size
            tar.addfile(info, stream)
        return
    tar.addfile(info)


def _wanted(material: Material) -> Iterator[Bound]:
    """What services on hosts mount, but for small files, which travel with the environments, as they cannot be run."""
    hosts = {site.name for site in material.target.sites if site.kind == "host"}
    for service in material.app.services:
        if hosts & set(material.target.place.get(service.name, ())):
            for one in material.bound.get(service.name, ()):
                if one.fate == "copy" and not (is_small(one.source) and not _is_program(one.source)):
                    yield one


def _is_program(file: Path) -> bool:
    return bool(file.stat().st_mode & 0o100)


def _special(found: dict[Bound, Folder]) -> Iterator[Finding]:
    for one, folder in found.items():
        for path, why in folder.wrong:
            hint = f"move it out of {one.shown}, or mount what the service needs of it alone"
            yield Finding("files-special", f"`{one.shown}/{path}` is {why}", Where("compose.yaml"), hint)


def _too_large(found: dict[Bound, Folder]) -> Iterator[Finding]:
    total = sum(folder.size for folder in found.values())
    if total <= MOST:
        return
    biggest = max(found, key=lambda one: found[one].size)
    files = sorted(found[biggest].entries, key=lambda one: -one.size)[:_SHOWN]
    named = ", ".join(f"{one.path} ({show_bytes(one.size)})" for one in files)
    sentence = (
        f"services mount {show_bytes(total)} of the project, and at most {show_bytes(MOST)} travel with a deploy; "
        f"`{biggest.shown}` has {show_bytes(found[biggest].size)} of it: {named}"
    )
    hint = "copy it in a Dockerfile, or keep it in a volume with a name or in a bucket"
    yield Finding("files-too-large", sentence, Where("compose.yaml"), hint)
