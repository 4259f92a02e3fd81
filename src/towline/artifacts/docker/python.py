"""The stages that build a Python service: its packages in an environment of their own, then its code."""

from __future__ import annotations

from typing import TYPE_CHECKING

from towline.artifacts.docker.node import apt
from towline.artifacts.docker.place import joined
from towline.artifacts.docker.weights import packaged_models, weights_stage

if TYPE_CHECKING:
    from towline.artifacts.docker.place import Place

_CACHE = "--mount=type=cache,target=/root/.cache"
_PIP_CACHE = f"{_CACHE}/pip"
_TORCH_INDEX = "https://download.pytorch.org/whl/cpu"
_LISTED = (
    'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"].get("dependencies", []), sep="\\n")'
)
_INSTALLERS = {"uv": "uv>=0.5,<1", "poetry": "poetry>=1.8,<3", "pipenv": "pipenv>=2024,<2027"}


def environment_of(place: Place) -> str:
    """The folder of the service's own environment."""
    return f"/opt/{place.prefix.rstrip('-') or 'venv'}" if place.prefix else "/opt/venv"


def build_stages(place: Place) -> list[str]:
    """The stages whose results `run_lines` takes: `packages`, and `weights` where there are some."""
    stages = [
        f"FROM ${{PYTHON_IMAGE}} AS {place.stage('base')}",
        f"WORKDIR {place.home}",
        "",
        "# Packages: made again only when a file that pins them has changed.",
        f"FROM {place.stage('base')} AS {place.stage('packages')}",
        *_compiler(place),
        *_environment(place),
        *_install(place),
        *packaged_models(place),
    ]
    if weights_stage(place):
        stages += ["", *weights_stage(place)]
    if place.stack.installs_itself:
        stages += ["", *_itself(place)]
    if place.service.build is not None:
        stages += ["", *_build(place, place.service.build)]
    return stages


def run_lines(place: Place) -> tuple[str, str]:
    """The COPY lines of the last stage: its packages, which change rarely, then its code."""
    stage = "itself" if place.stack.installs_itself else "packages"
    folder = environment_of(place)
    built = place.service.build is not None
    code = f"COPY --from={place.stage('build')} {place.home} ." if built else place.all_of_it()
    return f"COPY --from={place.stage(stage)} {folder} {folder}", code


VARIABLES = ("PYTHONUNBUFFERED=1", "MALLOC_ARENA_MAX=2")
"""What its processes are told besides their own variables: lines at once, and less memory set aside a thread."""


def _compiler(place: Place) -> list[str]:
    return apt(place.stack.build_packages) if place.stack.build_packages else []


def _environment(place: Place) -> list[str]:
    """An empty environment; pip stays outside of it, unless something installs with it later."""
    folder = environment_of(place)
    inside = place.stack.installer in ("pipenv", "poetry") or bool(packaged_models(place))
    lines = [f"RUN python -m venv {'' if inside else '--without-pip '}{folder}"]
    wanted = _INSTALLERS.get(place.stack.installer or "")
    if wanted:
        lines.append(f"RUN {_PIP_CACHE} pip install '{wanted}'")
    return [*lines, f"ENV VIRTUAL_ENV={folder} PATH={folder}/bin:$PATH"]


def _install(place: Place) -> list[str]:
    stack = place.stack
    lines = (
        place.copies((*stack.manifests, *stack.locks))
        if stack.installer != "pip"
        else place.copies(stack.locks or stack.manifests)
    )
    return [*lines, *_INSTALL_LINES[stack.installer or "pip"](place)]


def _with_pip(place: Place) -> list[str]:
    pip = f"pip --python {environment_of(place)}/bin/python install"
    torch = f" --extra-index-url {_TORCH_INDEX}" if place.stack.cpu_torch else ""
    note = (
        ["# The index has torch for processors alone; the usual one brings gigabytes for graphics cards."]
        if torch
        else []
    )
    if place.stack.locks:
        return [*note, f"RUN {_PIP_CACHE} {pip}{torch} --requirement {place.inner(place.stack.locks[0])}"]
    wanted = joined(f"python -c '{_LISTED}' > /tmp/wanted.txt", f"{pip}{torch} --requirement /tmp/wanted.txt")
    return [*note, *place.at_root(), f"RUN {_PIP_CACHE} {wanted}"]


def _with_uv(place: Place) -> list[str]:
    settings = f"ENV UV_PROJECT_ENVIRONMENT={environment_of(place)} UV_PYTHON_DOWNLOADS=never UV_LINK_MODE=copy"
    alone = "--no-install-workspace" if place.stack.workspace else "--no-install-project"
    return [settings, *place.at_root(), f"RUN {_CACHE} {_uv(place)} {alone}"]


def _uv(place: Place) -> str:
    of = f" --package {place.stack.package}" if place.stack.workspace and place.stack.package else ""
    return f"uv sync --frozen --no-dev{of}"


def _with_poetry(place: Place) -> list[str]:
    return [*place.at_root(), f"RUN {_CACHE} poetry install --only main --no-root --no-interaction"]


def _with_pipenv(place: Place) -> list[str]:
    return [*place.at_root(), f"RUN {_CACHE} PIPENV_VERBOSITY=-1 pipenv sync"]


_INSTALL_LINES = {"pip": _with_pip, "uv": _with_uv, "poetry": _with_poetry, "pipenv": _with_pipenv}


def _itself(place: Place) -> list[str]:
    """The service as a package: its code is found only once it is installed."""
    uv = place.stack.installer == "uv"
    pip = f"pip --python {environment_of(place)}/bin/python install --no-deps ."
    return [
        "# It is a package itself.",
        f"FROM {place.stage('packages')} AS {place.stage('itself')}",
        place.all_of_it(),
        *place.at_root(),
        f"RUN {_CACHE if uv else _PIP_CACHE} {f'{_uv(place)} --no-editable' if uv else pip}",
    ]


def _build(place: Place, line: str) -> list[str]:
    """What the page has run to make the code whole: collected files, translations."""
    return [
        "# What its build makes.",
        f"FROM {place.stage('itself' if place.stack.installs_itself else 'packages')} AS {place.stage('build')}",
        *([f"WORKDIR {place.home}"] if place.root != place.home else []),
        place.all_of_it(),
        *([f"WORKDIR {place.folder}"] if place.folder != place.home else []),
        f"RUN {line}",
    ]
