"""What the Dockerfiles and the file of processes say of services made up for it: pure, so that nothing is read."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.artifact_scenes import ROOT, app, service

from towline.artifacts import combined_image, dockerfiles
from towline.artifacts.rendered import Material, Variable
from towline.core.errors import Findings
from towline.core.secret import Secret
from towline.planner.model import Placement
from towline.spec.container import Build, Container, Mount
from towline.spec.model import Command, Health, ReleaseCommand, Site, Target
from towline.spec.stack import ModelLoad, Stack
from towline_supervisor.procfile import read_procfile
from towline_supervisor.spec import SettledReady

if TYPE_CHECKING:
    from towline.spec.model import App, ShapeName
    from towline_supervisor.spec import Procfile

PYTHON = Stack("python", "ml", "ml", installer="pip", locks=("ml/requirements.txt",), context="ml")
NODE = Stack("node", "api", "api", installer="npm", manifests=("api/package.json",), context="api")


def material(of: App, stacks: dict[str, Stack], shape: ShapeName = "vps", **changes: Any) -> Material:
    """What the renderers read, of an app on one site."""
    sites: dict[str, tuple[str, ...]] = {one.name: ("box",) for one in of.services}
    target = Target("production", shape, (Site("box", "host"),), sites, None)
    containers = {one.name: Container(one.name, build=Build(ROOT, None)) for one in of.services}
    plain = Material(Placement(of, target), containers, (), stacks, "shop", supervisor={"__init__.py": "one\n"})
    return replace(plain, **changes)


def dockerfile(made: Material, name: str) -> str:
    """The Dockerfile of one service."""
    return next(one.text for one in dockerfiles.files(made) if one.path == f"dockerfiles/{name}.Dockerfile")


def processes(made: Material, port: str = "3001") -> Procfile:
    """The file of processes as the supervisor reads it."""
    text = next(one.text for one in combined_image.files(made) if one.path.endswith("processes.toml"))
    return read_procfile(tomllib.loads(text.replace("{PORT}", port)), ROOT)


def pair(**changes: Any) -> tuple[App, dict[str, Stack]]:
    """An API in Node and a worker in Python; `changes` are of the app."""
    api = service("api", command=Command(("node", "dist/main.js"), "command:"), port=3001, memory=200 * 2**20)
    ml = service("ml", "worker", command=Command(("python", "-m", "ml"), "command:"), memory=250 * 2**20)
    return app(api, ml, **changes), {"api": NODE, "ml": PYTHON}


@given(order=st.permutations(range(6)), data=st.data())
@settings(max_examples=30, deadline=None)
def test_order_and_repetition_change_nothing(order: list[int], data: st.DataObject) -> None:
    """The same input gives the same bytes, in whatever order variables, containers and stacks come."""
    of, stacks = pair()
    variables = tuple(Variable("ml", f"NAME_{number}", "spelled", value=str(number)) for number in range(6))
    first = material(of, stacks, "combined", variables=variables)
    names = data.draw(st.permutations(list(stacks)))
    second = replace(
        first,
        variables=tuple(variables[number] for number in order),
        stacks={name: stacks[name] for name in names},
        containers={name: first.containers[name] for name in names},
    )
    assert dockerfiles.files(first) == dockerfiles.files(second)
    assert combined_image.files(first) == combined_image.files(second)


def test_no_value_of_the_environment_is_in_an_image() -> None:
    """What a container is told at run time stays outside, also when the build would read it and it is a secret."""
    page = service(
        "page", "static", environment={"TOKEN": Secret("canary")}, build_environment={"KEY": Secret("canary")}
    )
    node = replace(NODE, folder="page", root="page", context="page", scripts=("build",))
    variables = (
        Variable("page", "API_KEY", "asked", build=True),
        Variable("page", "VITE_URL", "reference", "api.url", build=True),
        Variable("page", "VITE_TITLE", "spelled", value="Shop", build=True),
        Variable("page", "LATER", "spelled", value="no"),
    )
    text = dockerfile(material(app(page), {"page": node}, variables=variables), "page")
    assert "canary" not in text
    assert [line for line in text.splitlines() if line.startswith("ARG ")][2:] == ["ARG VITE_TITLE", "ARG VITE_URL"]
    assert "# API_KEY is not passed to the build" in text
    assert "LATER" not in text


def test_weights_are_loaded_while_the_image_is_built() -> None:
    """The model that the Compose file names wins over the one in the code, and at run time nothing is looked for."""
    loads = (
        ModelLoad("sentence_transformers.SentenceTransformer", "org/small", variable="MODEL"),
        ModelLoad("transformers.pipeline", "org/classes", "text-classification"),
    )
    ml = service("ml", "private", command=Command(("uvicorn", "app:app"), "command:"))
    variables = (Variable("ml", "MODEL", "asked", default="org/large"),)
    lines = dockerfile(
        material(app(ml), {"ml": replace(PYTHON, model_loads=loads)}, variables=variables), "ml"
    ).splitlines()
    stage = lines[lines.index("FROM packages AS weights") :]
    assert "ARG MODEL=org/large" in stage
    assert (
        "RUN python -c 'import os, sentence_transformers; "
        'sentence_transformers.SentenceTransformer(os.environ["MODEL"])\'' in stage
    )
    assert (
        'RUN python -c \'import transformers; transformers.pipeline("text-classification", model="org/classes")\''
        in stage
    )
    assert "COPY --from=weights /opt/weights /opt/weights" in stage
    assert any("HF_HUB_OFFLINE=1" in line for line in stage)


def test_a_name_that_is_none_never_reaches_a_command() -> None:
    """A variable that holds more than a model's name is not put into the Dockerfile."""
    load = ModelLoad("transformers.AutoModel.from_pretrained", "org/base", variable="MODEL")
    variables = (Variable("ml", "MODEL", "spelled", value="x'); import os #\nRUN evil"),)
    ml = service("ml", "private")
    text = dockerfile(material(app(ml), {"ml": replace(PYTHON, model_loads=(load,))}, variables=variables), "ml")
    assert "evil" not in text
    assert "ARG MODEL=org/base" in text


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"port_variable": "PORT"}, "process.env.PORT"),
        ({"port_variable": None}, "port:8000"),
        ({"health": Health(None, 5.0)}, "require('net').connect(process.env.PORT"),
        ({"health": Health("/h", 90.0)}, "--start-period=90s"),
        ({"stop_signal": "INT"}, "STOPSIGNAL SIGINT"),
        ({"folder": ROOT / "api" / "inner"}, "EXPOSE 8000"),
    ],
)
def test_health_and_port(changes: dict[str, Any], line: str) -> None:
    """The container is asked at the port that its process was told, by a program that the image has anyway."""
    text = dockerfile(material(app(service("api", **changes)), {"api": NODE}), "api")
    assert line in text
    assert "curl" not in text


def test_a_volume_belongs_to_who_writes_to_it() -> None:
    """Folders of volumes are made for the user; a folder of the machine, or one to read only, is left alone."""
    made = material(app(service("api")), {"api": NODE})
    mounts = (
        Mount("volume", "kept", "/data/kept"),
        Mount("volume", "seen", "/data/seen", read_only=True),
        Mount("bind", "/etc/x", "/etc/x"),
    )
    container = replace(made.containers["api"], mounts=mounts)
    text = dockerfile(replace(made, containers={"api": container}), "api")
    assert "RUN mkdir -p /data/kept && chown 1000:1000 /data/kept" in text


def test_one_that_is_built_inline_needs_none() -> None:
    """A Dockerfile in the Compose file is one."""
    made = material(app(service("api")), {"api": NODE})
    container = replace(made.containers["api"], build=Build(ROOT, None, inline="FROM scratch"))
    assert dockerfiles.files(replace(made, containers={"api": container})) == ()


def test_the_release_runs_first_in_the_one_container() -> None:
    """Where no platform runs it, the release command comes before everything, once a start, and never again."""
    release = ReleaseCommand("api", ("/bin/sh", "-c", "npm run migrate"), backup_first=False, within=60.0)
    of, stacks = pair(release=release)
    read = {one.name: one for one in processes(material(of, stacks, "combined")).processes}
    assert (read["release"].restart, read["release"].ready) == ("never", SettledReady(60.0))
    assert read["release"].command == release.command
    assert (read["api"].after, read["ml"].after) == (("release",), ("release", "api"))


def test_neighbours_are_found_on_loopback() -> None:
    """A reference to a service of the container is an address in it, with the port that the platform chose."""
    of, stacks = pair()
    inner = service("inner", "private", port=8100, command=Command(("node", "i.js"), "command:"))
    of = replace(of, services=(*of.services, inner))
    variables = (
        Variable("ml", "API_URL", "reference", "api.internal_url"),
        Variable("ml", "PUBLIC", "reference", "api.url"),
        Variable("ml", "DB", "reference", "db.url"),
        Variable("api", "INNER_PORT", "reference", "inner.port"),
    )
    made = material(of, {**stacks, "inner": NODE}, "combined", variables=variables)
    told = {one.name: dict(one.env) for one in processes(made, port="4100").processes}
    assert told["ml"]["API_URL"] == "http://127.0.0.1:4100"
    assert not {"PUBLIC", "DB"} & set(told["ml"])
    assert told["api"]["INNER_PORT"] == "8100"
    assert (told["api"]["PORT"], told["inner"]["PORT"]) == ("4100", "8100")
    assert (told["api"]["HOST"], told["inner"]["HOST"]) == ("0.0.0.0", "127.0.0.1")


def test_values_that_differ_are_told_to_each_process_alone() -> None:
    """What all processes share is the image's, and can be told otherwise; the rest is each one's own."""
    of, stacks = pair()
    variables = (
        Variable("api", "MODE", "spelled", value="fast"),
        Variable("ml", "MODE", "spelled", value="slow"),
        Variable("ml", "FOLDER", "spelled", value='a "b" $c'),
        Variable("ml", "KEY", "asked"),
    )
    made = material(of, stacks, "combined", variables=variables)
    told = {one.name: dict(one.env) for one in processes(made).processes}
    assert (told["api"]["MODE"], told["ml"]["MODE"]) == ("fast", "slow")
    text = next(one.text for one in combined_image.files(made) if one.path == "combined/Dockerfile")
    assert 'FOLDER="a \\"b\\" \\$c"' in text
    assert "KEY=" not in text
    assert "MODE=" not in text


def test_memory_fits_the_smallest_container_or_what_is_promised() -> None:
    """All together stay below 512 MB less what the supervisor needs; promises beyond that need a larger container."""
    of, stacks = pair()
    assert processes(material(of, stacks, "combined")).memory == 460 * 2**20
    large = replace(of, services=tuple(replace(one, memory=2**30) for one in of.services))
    assert processes(material(large, stacks, "combined")).memory == 2 * 2**30
    read = {one.name: one for one in processes(material(of, stacks, "combined")).processes}
    assert (read["api"].memory, read["ml"].memory) == (None, 250 * 2**20)
    assert dict(read["api"].env)["NODE_OPTIONS"] == "--max-old-space-size=150"


def test_what_one_container_cannot_hold_is_told_all_at_once() -> None:
    """Two doors, one port twice, data of its own, an image in an image, another Python: each is named."""
    of = app(
        service("a", port=1),
        service("b", port=1),
        service("kept", "stateful", port=2),
        service("named", "worker"),
        service("old", "worker", command=Command(("python", "x.py"), "command:")),
    )
    stacks = {"a": NODE, "b": replace(NODE, context="../b"), "kept": NODE, "old": replace(PYTHON, version="3.9")}
    with pytest.raises(Findings) as refused:
        combined_image.files(material(of, stacks, "combined"))
    told = " | ".join(one.sentence for one in refused.value.findings)
    for words in (
        "`b` and `a` listen on port 1",
        "`a` and `b` take requests",
        "`kept` keeps data",
        "`named` is only an image",
        "`b` is built from outside",
        "needs Python 3.11",
    ):
        assert words in told
    assert all(one.hint for one in refused.value.findings)


def test_only_the_combined_shape_has_one_container() -> None:
    """On one's own server, and where there is only one process, nothing is combined."""
    of, stacks = pair()
    assert combined_image.files(material(of, stacks, "vps")) == ()
    assert combined_image.files(material(app(of.services[0]), stacks, "combined")) == ()
