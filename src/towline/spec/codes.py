"""Every finding that reading a project can give: its code and what it means; printed as its reference."""

from __future__ import annotations

CODES: dict[str, str] = {
    # The files themselves.
    "no-compose-file": "There is no Compose file, or the one that `compose:` names does not exist.",
    "no-page": "There is no towline.yaml. The hint is the smallest one that fits the Compose file.",
    "page-unreadable": "towline.yaml cannot be opened, or is no UTF-8 text.",
    "compose-unreadable": "The Compose file cannot be opened, or is no UTF-8 text.",
    "yaml-syntax": "A file is no YAML: a tab, a bracket that is never closed, aliases that grow without end.",
    "yaml-tag": "A tag such as `!name` stands in towline.yaml. It means nothing there, and nothing is executed.",
    "duplicate-key": "A key is written twice in one section. YAML would keep one of them in silence.",
    # The page.
    "unknown-key": "A key is not known in this section. The hint lists the ones that are.",
    "missing-key": "A section lacks a key that it cannot do without.",
    "wrong-type": "A text stands where a number is wanted, or the like.",
    "wrong-value": "A value is of the right type and cannot be used: an unknown kind, a bad path, a span of no time.",
    # Compose.
    "compose-refused": "Compose itself refuses the file; the sentence is its reason. It stops at its first one.",
    "compose-key": "The Compose file has a key that Compose does not know.",
    "compose-warning": "Compose reads the file, with a warning of its own.",
    "missing-variable": (
        "A variable of the Compose file is not set. A warning where Compose puts nothing in its place, "
        "an error where the file demands it (`${X:?reason}`)."
    ),
    "missing-env-file": "An `env_file` does not exist.",
    "broken-env-file": "A line of an environment file is no `NAME=value`.",
    # Names.
    "unknown-service": "The page names a service that the app does not have, or that is left out, or needs a profile.",
    "unknown-site": "A place names a site that the target does not have.",
    "unknown-target": "The target that was asked for is not on the page.",
    "name-twice": "A store and a service have one name, so that a reference to it has two meanings.",
    "bad-name": "A service's name cannot be part of a host or of a folder.",
    "store-as-service": "An entry below `services:` is for something that is a store.",
    # Bindings.
    "unknown-reference": "A variable is bound to something that is neither a store nor a service.",
    "unknown-attribute": "A variable is bound to something that this kind of store or service does not have.",
    "static-secret": "A static service would carry a secret of a store into files that everybody can load.",
    "bucket-not-public": "The public URL of a bucket is bound, and the bucket is not public.",
    "unbound-address": (
        "A variable holds an address that only Compose's network knows, such as `db:5432`, and is not bound. "
        "The finding names the variable and never its value."
    ),
    "half-bound": "A host is bound, and the port, user or password beside it is not: it is still that of Compose.",
    "published-address": (
        "A variable holds `localhost` with a port that the Compose file publishes. Under Towline that service has "
        "another address."
    ),
    # Stores.
    "store-kind-missing": "Neither the page nor an image tells what kind of store this is.",
    "store-kind-differs": "The page and the image disagree on the kind of a store.",
    "store-twice": "Two stores of the page are one service of the Compose file.",
    "field-of-other-kind": "A field is for another kind of store: `use` for redis, `public` for a bucket.",
    "redis-two-uses": "One redis would be queue and cache at once. A cache drops keys, a queue must drop none.",
    "queue-evicts": "The Compose file lets a queue drop keys when memory is short.",
    "data-outside-volume": (
        "A service that keeps data has a volume, and not where its image keeps its data: the volume stays empty, and "
        "the data is gone with the container."
    ),
    "store-spread": "A store, or a service that keeps data of its own, is placed on several sites.",
    "sqs-on-local": "An sqs store is placed on a laptop, which has none.",
    # Services.
    "no-context": "The folder that a service is built from does not exist.",
    "no-folder": "The folder that `cwd` names does not exist in the build context, or is a link that leads out of it.",
    "no-dockerfile": "A service is built without a Dockerfile, and the page does not say how it runs.",
    "no-command": "Nothing says how a service starts: not the page, not the Compose file, not its Dockerfile.",
    "no-local-server": "A service is only an image, no known store, and is placed on a laptop without a `run:`.",
    "no-port": "A service takes requests, and nothing says on which port.",
    "no-output": "A service is static, and nothing says in which folder its files are.",
    "ready-without-port": "A worker or task is to be asked for a path.",
    "single-scaled": "A `single` service is to run more than once.",
    "hostname-twice": "Two services, or a service and a bucket, have one name under the front door.",
    "domain-twice": "Two services have one domain.",
    "circular-after": "Services wait for each other.",
    "secret-in-command": "Compose puts a secret into a command, where every plan and list of processes would show it.",
    "stop-signal": "The stop signal of a service is none of TERM, INT and QUIT; it gets TERM.",
    "release-in-static": "The release command would run in a static service, of which no code runs.",
    "job-not-web": "The job of `verify` would be sent to a service that takes no requests from outside.",
    "no-verify-file": "The file that `verify` would send does not exist.",
    "no-verify-token": "The variable that `verify` would send as a token is not one of the service, or is empty.",
    # What a service asks for, and mounts.
    "key-refused": "A service on a server asks for what reaches beyond its container, such as a device of the machine.",
    "key-left-out": "A key of the Compose file does nothing on a server; the guide about Compose files lists them.",
    "mount-socket": "A service on a server is given a socket or a device of the machine, such as Docker's own socket.",
    "mount-outside": "A service on a server mounts something that does not lie in the project, or a link out of it.",
    "mount-missing": "A service on a server mounts something that is not in the project.",
    "mount-volume": (
        "A folder that a service writes to, and that is not there, empty, or ignored by Git, is a volume on a server."
    ),
    "mount-read-only": "A folder of the project travels with each deploy, and a service can only read it on a server.",
    "mount-of-store": "The image of a store would run files at its first start; on a server nobody runs them.",
    # Places.
    "unplaced": "The target has no place for a service or store.",
    "laptop-site": "A laptop has a site that is not `local`, or more than one.",
    "container-only": "A service asks for something that only containers have; on a laptop it does nothing.",
    "volume-path": "A service mounts a folder that a laptop does not have at that path.",
    "container-path": "A variable or command names a path inside the image, which a laptop does not have.",
}
"""What each code means, by subject, in the order of reading."""

WARNINGS = frozenset(
    {
        "bucket-not-public",
        "compose-warning",
        "container-only",
        "container-path",
        "key-left-out",
        "mount-of-store",
        "mount-read-only",
        "mount-volume",
        "published-address",
        "stop-signal",
        "volume-path",
    }
)
"""The codes that never stop anything; `missing-variable` is a warning or an error."""

TO_RUN_HERE = frozenset(
    {
        "missing-env-file",
        "no-command",
        "no-context",
        "no-dockerfile",
        "no-folder",
        "no-local-server",
        "no-verify-file",
        "no-verify-token",
        "sqs-on-local",
    }
)
"""Codes about what an app lacks to run on a laptop: it can be priced and rendered for another place all the same."""
