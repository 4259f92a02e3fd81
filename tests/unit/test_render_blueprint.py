"""What the Blueprint says of single services and stores, and what it refuses with numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from ruamel.yaml import YAML
from tests.unit.artifact_scenes import ROOT, app, service, store

from towline.artifacts import blueprint
from towline.artifacts.rendered import Material, Variable
from towline.core.errors import Findings
from towline.planner.place import place
from towline.spec.container import Build, Container
from towline.spec.model import Binding, ReleaseCommand, Site, Target
from towline.spec.stack import Stack

if TYPE_CHECKING:
    from collections.abc import Mapping

    from towline.spec.model import App, ShapeName

MB = 1000 * 1000


def material(
    made: App,
    *variables: Variable,
    stacks: Mapping[str, Stack] | None = None,
    shape: ShapeName = "managed",
    away: tuple[str, ...] = (),
) -> Material:
    """Everything at Render, but for what is `away` on a server of one's own."""
    sites = (
        Site("cloud", "render", {"region": "frankfurt"}),
        Site("box", "host", {"ssh": "deploy@203.0.113.7"}),
    )
    names = [*(one.name for one in made.services), *(one.name for one in made.stores)]
    target = Target("production", shape, sites, {one: ("box" if one in away else "cloud",) for one in names}, None)
    containers = {
        one.name: Container(one.name, build=Build(one.context, one.dockerfile) if one.context else None)
        for one in made.services
    }
    bound = tuple(Variable(one.service, one.variable, "reference", one.reference) for one in made.bindings)
    return Material(place(made, target), containers, (*bound, *variables), stacks or {}, "shop")


def document(given: Material) -> dict[str, Any]:
    """The Blueprint as it is read."""
    (file,) = blueprint.files(given)
    value: dict[str, Any] = YAML(typ="safe", pure=True).load(file.text)
    return value


def entry(given: Material, name: str) -> dict[str, Any]:
    """One service of it."""
    found: dict[str, Any] = next(one for one in document(given)["services"] if one["name"] == name)
    return found


def variable(found: dict[str, Any], key: str) -> dict[str, Any]:
    """One variable of a service, without its name."""
    one = next(one for one in found["envVars"] if one.get("key") == key)
    return {name: value for name, value in one.items() if name != "key"}


def refused(given: Material) -> list[str]:
    """The sentences with which it is refused."""
    with pytest.raises(Findings) as caught:
        blueprint.files(given)
    assert all(one.hint for one in caught.value.findings)
    return [one.sentence for one in caught.value.findings]


def test_each_kind_is_what_the_platform_calls_it() -> None:
    """web, private, worker, static, task and stateful."""
    kinds = ("web", "private", "worker", "static", "task", "stateful")
    made = app(*(service(kind, kind, port=8000 if kind in {"web", "private", "stateful"} else None) for kind in kinds))
    found = {one["name"]: one for one in document(material(made))["services"]}
    types = {"web": "web", "private": "pserv", "worker": "worker", "static": "web", "task": "cron", "stateful": "pserv"}
    assert {name: one["type"] for name, one in found.items()} == {f"shop-{kind}": one for kind, one in types.items()}
    assert found["shop-static"]["runtime"] == "static"
    assert found["shop-task"]["schedule"] == "0 0 31 2 *"
    assert "plan" not in found["shop-static"]


@pytest.mark.parametrize(("seconds", "written"), [(0.5, 1), (240, 240), (299.2, 300), (300, 300)])
def test_a_worker_gets_as_long_as_its_longest_job(seconds: float, written: int) -> None:
    """Rounded up to whole seconds, and never more than the platform waits."""
    found = entry(material(app(service("gen", "worker", max_job=seconds))), "shop-gen")
    assert found["maxShutdownDelaySeconds"] == written


def test_a_job_that_the_platform_would_kill_is_refused_with_numbers() -> None:
    """All of them at once."""
    made = app(service("gen", "worker", max_job=301.0), service("ml", "worker", max_job=3600.0))
    assert refused(material(made)) == [
        "`gen` may need 301 s to finish a job, and Render kills it 300 s after asking",
        "`ml` may need 3600 s to finish a job, and Render kills it 300 s after asking",
    ]


def test_memory_chooses_the_smallest_plan_that_holds_it() -> None:
    """And is refused above the largest."""
    for memory, plan in (
        (512 * MB, "starter"),
        (513 * MB, "standard"),
        (2000 * MB, "standard"),
        (9000 * MB, "pro max"),
    ):
        assert entry(material(app(service("api", memory=memory))), "shop-api")["plan"] == plan
    assert refused(material(app(service("api", memory=32001 * MB)))) == [
        "`api` may use 32001 MB, and the largest plan of Render has 32000 MB"
    ]


def test_a_private_service_is_not_put_on_a_port_that_is_kept() -> None:
    """10000 is for the public side alone."""
    sentences = refused(material(app(service("inner", "private", port=10000))))
    assert sentences == ["`inner` listens on 10000, which Render keeps from other services"]


def test_what_must_never_run_twice_has_a_disk() -> None:
    """The platform stops a service with a disk before it starts the new one, and scales it no further."""
    found = entry(material(app(service("relay", "worker", single=True, most=3))), "shop-relay")
    assert found["disk"]["sizeGB"] == 1
    assert "scaling" not in found
    assert "numInstances" not in found


def test_scaling_is_between_the_copies_that_are_wanted() -> None:
    """One number is a number of copies, two are a range."""
    made = app(service("api", replicas=1, most=3), service("gen", "worker", replicas=2, most=2), service("one"))
    given = material(made)
    assert entry(given, "shop-api")["scaling"] == {"minInstances": 1, "maxInstances": 3, "targetCPUPercent": 70}
    assert entry(given, "shop-gen")["numInstances"] == 2
    assert "numInstances" not in entry(given, "shop-one")


def test_data_of_a_services_own_is_a_disk_and_two_are_refused() -> None:
    """A service has one disk there."""
    one = app(service("search", "stateful", image="meili:1", context=None, volumes=("data:/meili",)))
    assert entry(material(one), "shop-search")["disk"]["mountPath"] == "/meili"
    two = app(service("search", "stateful", volumes=("a:/a", "b:/b")))
    assert refused(material(two)) == ["`search` has 2 volumes (/a, /b), and a service at Render has one disk"]


@pytest.mark.parametrize(
    ("of", "attribute", "expected"),
    [
        ("db", "url", {"fromDatabase": {"name": "shop-db", "property": "connectionString"}}),
        ("db", "password", {"fromDatabase": {"name": "shop-db", "property": "password"}}),
        ("db", "pooled_url", {"fromDatabase": {"name": "shop-db", "property": "connectionString"}}),
        ("jobs", "url", {"fromService": {"type": "keyvalue", "name": "shop-jobs", "property": "connectionString"}}),
        ("jobs", "port", {"fromService": {"type": "keyvalue", "name": "shop-jobs", "property": "port"}}),
        ("jobs", "password", {"value": ""}),
        ("inner", "host", {"fromService": {"type": "pserv", "name": "shop-inner", "property": "host"}}),
        ("inner", "internal_url", {"fromService": {"type": "pserv", "name": "shop-inner", "property": "hostport"}}),
        ("web", "url", {"fromService": {"type": "web", "name": "shop-web", "envVarKey": "RENDER_EXTERNAL_URL"}}),
        ("site", "url", {"value": "https://shop.example"}),
        ("files", "endpoint", {"sync": False}),
    ],
)
def test_an_address_is_a_reference_and_no_copy(of: str, attribute: str, expected: dict[str, Any]) -> None:
    """Whatever a binding may ask of what is at the platform; a domain of one's own is known; the rest is asked for."""
    made = app(
        service("api"),
        service("web"),
        service("inner", "private"),
        service("site", "static", domain="shop.example"),
        stores=(store("db", "postgres"), store("jobs", "redis"), store("files", "bucket")),
        bindings=(Binding("api", "THIS", of, attribute),),
    )
    assert variable(entry(material(made, away=("files",)), "shop-api"), "THIS") == expected


def test_an_address_without_a_scheme_gets_one_when_the_process_starts() -> None:
    """A Blueprint cannot put texts together; the command does, and hands its place over."""
    made = app(
        service("api", image="shop/api:1", context=None),
        service("inner", "private"),
        bindings=(Binding("api", "INNER", "inner", "internal_url"),),
    )
    found = entry(material(made), "shop-api")
    assert found["dockerCommand"] == "/bin/sh -c 'export INNER=\"http://$INNER\"; exec api serve'"


def test_what_two_services_have_alike_stands_once() -> None:
    """Values and generated secrets in a group; what a person types in is asked once, and the other refers to it."""
    shared = [
        variables
        for name in ("api", "gen")
        for variables in (
            Variable(name, "LOG_LEVEL", "spelled", value="info"),
            Variable(name, "JWT_SECRET", "generated", setting="JWT_SECRET"),
            Variable(name, "STRIPE_KEY", "asked", setting="STRIPE_KEY"),
        )
    ]
    own = (Variable("gen", "DEPTH", "spelled", value="3"),)
    given = material(app(service("api"), service("gen", "worker"), service("lone", "worker")), *shared, *own)
    (group,) = document(given)["envVarGroups"]
    assert group == {
        "name": "shop-api-gen",
        "envVars": [{"key": "JWT_SECRET", "generateValue": True}, {"key": "LOG_LEVEL", "value": "info"}],
    }
    api, gen, lone = (entry(given, f"shop-{name}") for name in ("api", "gen", "lone"))
    assert api["envVars"][0] == gen["envVars"][0] == {"fromGroup": "shop-api-gen"}
    assert "envVars" not in lone
    assert variable(api, "STRIPE_KEY") == {"sync": False}
    assert variable(gen, "STRIPE_KEY") == {
        "fromService": {"type": "web", "name": "shop-api", "envVarKey": "STRIPE_KEY"}
    }
    assert variable(gen, "DEPTH") == {"value": "3"}


def test_secrets_with_values_of_their_own_are_not_made_one() -> None:
    """The same name under two settings: each service keeps its own."""
    given = material(
        app(service("api"), service("gen", "worker")),
        Variable("api", "TOKEN", "asked", setting="API_TOKEN"),
        Variable("gen", "TOKEN", "asked", setting="GEN_TOKEN"),
        Variable("api", "SALT", "generated", setting="API_SALT"),
        Variable("gen", "SALT", "generated", setting="GEN_SALT"),
    )
    assert variable(entry(given, "shop-gen"), "TOKEN") == {"sync": False}
    assert variable(entry(given, "shop-gen"), "SALT") == {"generateValue": True}


def test_a_queue_drops_nothing_and_a_cache_what_is_old() -> None:
    """And neither is open to the internet."""
    made = app(service("api"), stores=(store("jobs", "redis"), store("pages", "redis", use="cache")))
    given = material(made)
    assert entry(given, "shop-jobs")["maxmemoryPolicy"] == "noeviction"
    assert entry(given, "shop-pages")["maxmemoryPolicy"] == "allkeys-lru"
    assert [entry(given, f"shop-{name}")["ipAllowList"] for name in ("jobs", "pages")] == [[], []]


def test_only_the_server_that_needs_it_is_let_in() -> None:
    """A worker elsewhere reaches the database from its own address, and from nowhere else."""
    made = app(
        service("api"),
        service("gen", "worker"),
        stores=(store("db", "postgres", major="17"), store("own", "postgres")),
        bindings=(Binding("gen", "DATABASE_URL", "db", "url"), Binding("api", "OWN", "own", "url")),
    )
    first, second = document(material(made, shape="hybrid", away=("gen",)))["databases"]
    assert first["ipAllowList"] == [{"source": "203.0.113.7/32", "description": "site box"}]
    assert (first["postgresMajorVersion"], second["ipAllowList"]) == ("17", [])


def test_the_one_container_has_one_environment() -> None:
    """Beside each other the processes talk through localhost; two values of one variable are refused."""
    made = app(
        service("api", port=3001),
        service("gen", "worker", max_job=120.0),
        bindings=(Binding("gen", "API_URL", "api", "internal_url"),),
    )
    given = material(made, Variable("gen", "MODE", "spelled", value="a"), shape="combined")
    found = document(given)["services"]
    assert [one["name"] for one in found] == ["shop"]
    assert found[0]["maxShutdownDelaySeconds"] == 120
    assert variable(found[0], "API_URL") == {"value": "http://localhost:3001"}
    two = (Variable("api", "MODE", "spelled", value="b"), Variable("gen", "MODE", "spelled", value="a"))
    assert refused(material(made, *two, shape="combined")) == [
        "`MODE` has different values in api and gen, which share one container and its environment"
    ]


def test_the_release_command_runs_before_the_traffic_shifts_in_its_own_folder() -> None:
    """From where the service starts, which is not where a workspace installs."""
    stack = Stack("node", "packages/api", "", installer="npm", manifests=("package.json",), workspace=True)
    made = app(
        service("api", context=ROOT, folder=ROOT / "packages" / "api"),
        release=ReleaseCommand("api", ("/bin/sh", "-c", "npm run migrate"), backup_first=False, within=60.0),
    )
    found = entry(material(made, stacks={"api": stack}), "shop-api")
    assert found["preDeployCommand"] == "cd packages/api && npm run migrate"


def test_a_single_page_is_rewritten_and_others_are_not() -> None:
    """The rewrite would hide a missing page of a site that has one file for each."""
    for used, expected in ((("vite",), True), (("vite", "astro"), False), (("next",), False), ((), False)):
        stack = Stack("node", "page", "page", installer="npm", frameworks=used)
        found = entry(material(app(service("page", "static")), stacks={"page": stack}), "shop-page")
        assert ("routes" in found) == expected


def test_runtimes_are_pinned_and_builds_install_what_building_needs() -> None:
    """Node by its major version, Python by all three numbers, uv by its lock."""
    stacks = {
        "api": Stack("node", "api", "api", "20", "npm", locks=("api/package-lock.json",), scripts=("build",)),
        "ml": Stack("python", "ml", "ml", "3.11", "uv", locks=("ml/uv.lock",)),
    }
    made = app(service("api"), service("ml", "private"))
    given = material(made, stacks=stacks)
    api, ml = entry(given, "shop-api"), entry(given, "shop-ml")
    assert api["buildCommand"] == "npm ci --include=dev && npm run build"
    assert variable(api, "NODE_VERSION") == {"value": "20"}
    assert (ml["buildCommand"], ml["startCommand"]) == ("uv sync --frozen --no-dev", "uv run ml serve")
    assert variable(ml, "PYTHON_VERSION")["value"].startswith("3.11.")
    assert (api["rootDir"], api["buildFilter"]) == ("api", {"paths": ["api/**"]})


def test_the_order_of_what_is_read_does_not_matter() -> None:
    """The same bytes for the same app, however its variables come."""
    variables = [Variable(name, key, "spelled", value=key) for name in ("api", "gen") for key in ("A", "B", "C")]
    made = app(service("api"), service("gen", "worker"))
    (first,), (second,) = (
        blueprint.files(material(made, *ordered)) for ordered in (variables, list(reversed(variables)))
    )
    assert first.text == second.text
