"""The stores of a host as containers: their images' real data paths, and settings that follow from their memory."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from towline.artifacts.containers import Attached, HealthTest, HostContainer, Need
from towline.artifacts.front_door import S3_PORT
from towline.artifacts.host_references import REDIS_PORT, setting
from towline.artifacts.store_images import data_path, image_of, is_official, server_of

if TYPE_CHECKING:
    from towline.artifacts.containers import Text
    from towline.spec.model import Store

MEMORY = {"postgres": 512 * 2**20, "redis": 256 * 2**20, "bucket": 512 * 2**20}
"""Bytes that a store may use where the Compose file sets no limit."""

_MIB = 2**20


def containers_of(store: Store, memory: int | None) -> tuple[HostContainer, ...]:
    """The container of a store, and the one that makes its bucket and key; `memory` is its limit in bytes.

    Each is in a network of its own, which only those join that are told its address.
    """
    limit = memory or MEMORY[store.kind]
    if store.kind == "postgres":
        return (_postgres(store, limit),)
    if store.kind == "redis":
        return (_redis(store, limit),)
    return (_bucket(store, limit), _bucket_setup(store))


def network_of(name: str) -> str:
    """The network of a store, or of a service that keeps data of its own."""
    return f"to-{name}"


def setup_of(store: Store) -> str:
    """The name of the container that makes a bucket and its key."""
    return f"{store.name}-setup"


def volume_of(store: Store) -> str | None:
    """The volume that a store's data is in, None for a cache, which keeps nothing."""
    return None if store.kind == "redis" and store.use == "cache" else f"{store.name}-data"


def _postgres(store: Store, limit: int) -> HostContainer:
    environment: dict[str, Text] = {
        "POSTGRES_DB": (store.database,),
        "POSTGRES_PASSWORD": (setting(store.name, "password"),),
        "POSTGRES_USER": (store.user,),
    }
    official = is_official(store)
    # Over TCP: the server that runs during the first initialisation listens on its socket only.
    ready = ("pg_isready", "--host", "127.0.0.1", "--username", store.user, "--dbname", store.database)
    return HostContainer(
        name=store.name,
        role="store",
        image=(image_of(store),),
        why=f"PostgreSQL. Its settings follow from its memory, {limit // _MIB} MiB.",
        command=(("postgres",), *((word,) for word in _flags(limit))),
        environment=environment,
        user="postgres" if official else None,
        read_only=("true",) if official else ("false",),
        tmpfs=("/tmp", "/var/run/postgresql:mode=1777") if official else (),  # noqa: S108 - inside the container
        networks=(network_of(store.name),),
        attached=(Attached("volume", f"{store.name}-data", data_path(store)),),
        memory=(_megabytes(limit),),
        shared_memory=max(64 * _MIB, limit // 8),
        stop_signal="SIGINT",
        # A fast shutdown writes everything out first.
        stop_within=60.0,
        health=HealthTest(ready, interval=5.0),
    )


def _flags(limit: int) -> list[str]:
    """PostgreSQL's settings for a limit in bytes: a quarter shared, the rest for sorting, connections and the cache."""
    mib = limit // _MIB
    connections = 50 if mib < 1024 else 100 if mib < 4096 else 200
    settings = {
        "shared_buffers": f"{max(32, mib // 4)}MB",
        "effective_cache_size": f"{max(64, mib * 6 // 10)}MB",
        "maintenance_work_mem": f"{max(16, min(1024, mib // 16))}MB",
        "work_mem": f"{max(2, min(64, mib // 4 // connections * 2))}MB",
        "max_connections": str(connections),
        "max_wal_size": f"{max(256, min(4096, mib))}MB",
        "random_page_cost": "1.1",
        "log_min_duration_statement": "1s",
    }
    return [word for name, one in settings.items() for word in ("-c", f"{name}={one}")]


def _redis(store: Store, limit: int) -> HostContainer:
    server = server_of(store)
    volume = volume_of(store)
    purpose = (
        "a cache: what was not used for long is dropped when memory is short, and nothing is kept"
        if store.use == "cache"
        else "a queue: it never drops a key, and writes to disk"
    )
    plain = HostContainer(
        name=store.name,
        role="store",
        image=(image_of(store),),
        why=f"Redis as {purpose}.",
        user=server.partition("-")[0] if server else None,
        read_only=("true",) if server else ("false",),
        tmpfs=("/tmp",) if server else (),  # noqa: S108 - inside the container
        networks=(network_of(store.name),),
        attached=(Attached("volume", volume, "/data"),) if volume is not None else (),
        memory=(_megabytes(limit),),
        stop_within=30.0,
    )
    return _with_password(store, plain, server, limit) if server else plain


def _with_password(store: Store, plain: HostContainer, server: str, limit: int) -> HostContainer:
    """Its settings come over its standard input: in its command, every list of processes would show the password."""
    password = setting(store.name, "password")
    lines = _redis_settings(store, limit)
    script = "\n".join((f"exec {server} - <<END", *lines, f"requirepass ${password.name}", "END", ""))
    test = f"{server.partition('-')[0]}-cli"
    return replace(
        plain,
        entrypoint=("sh", "-c"),
        command=((script,),),
        environment={password.name: (password,), "REDISCLI_AUTH": (password,)},
        health=HealthTest((test, "-h", "127.0.0.1", "-p", str(REDIS_PORT), "ping"), interval=5.0),
    )


def _redis_settings(store: Store, limit: int) -> list[str]:
    # Rewriting the append-only file copies pages that change meanwhile: a queue leaves room for that.
    share = 8 if store.use == "cache" else 6
    lines = [f"maxmemory {limit * share // 10 // _MIB}mb", f"port {REDIS_PORT}", "protected-mode no"]
    if store.use == "cache":
        return [*lines, "maxmemory-policy allkeys-lru", "appendonly no", 'save ""']
    return [*lines, "maxmemory-policy noeviction", "appendonly yes", "appendfsync everysec", "dir /data"]


def _bucket(store: Store, limit: int) -> HostContainer:
    # Only S3 listens beyond the container: its other servers ask nobody for a password. Alone in its cluster, the
    # master need not wait ten seconds for other candidates. Without preallocation a new bucket takes no gigabytes. Of a
    # disk it makes as many volumes as fit at their limit, the first six for itself: they are small, so that a bucket
    # has some on a small disk too.
    words = (
        "server", "-dir=/data", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-s3.ip.bind=0.0.0.0",
        "-master.electionTimeout=1s", "-master.heartbeatInterval=100ms", "-master.volumePreallocate=false",
        "-master.volumeSizeLimitMB=128", "-master.telemetry=false", "-volume.max=0", "-volume.preStopSeconds=1",
        "-filer", "-s3", f"-s3.port={S3_PORT}", "-s3.port.iceberg=0", "-s3.port.lance=0", "-s3.iam=false",
        "-s3.autoCreateBucket=false", "-s3.allowDeleteBucketNotEmpty=false",
    )  # fmt: skip
    return HostContainer(
        name=store.name,
        role="store",
        image=(image_of(store),),
        why="SeaweedFS: an S3 server. Everything of it but S3 is bound to its own loopback.",
        command=tuple((word,) for word in words),
        environment={"GOMEMLIMIT": (f"{limit * 8 // 10 // _MIB}MiB",)},
        user="1000:1000",
        tmpfs=("/tmp",),  # noqa: S108 - inside the container
        networks=(network_of(store.name),),
        attached=(Attached("volume", f"{store.name}-data", "/data"),),
        memory=(_megabytes(limit),),
        stop_within=30.0,
        health=HealthTest(("wget", "-q", "-O", "/dev/null", f"http://127.0.0.1:{S3_PORT}/healthz"), interval=5.0),
    )


def _bucket_setup(store: Store) -> HostContainer:
    """What makes the bucket, and the one key that opens it: from inside the store's own network, and safe to repeat."""
    return HostContainer(
        name=setup_of(store),
        role="once",
        image=(image_of(store),),
        why=f"Makes the bucket {store.database} and its key; run again, it changes nothing.",
        entrypoint=("sh", "-euc"),
        command=((_bucket_script(store),),),
        environment={
            "ACCESS_KEY": (setting(store.name, "access_key"),),
            "SECRET_KEY": (setting(store.name, "secret_key"),),
        },
        user="1000:1000",
        tmpfs=("/tmp",),  # noqa: S108 - inside the container
        namespace=store.name,
        memory=("256m",),
        needs=(Need(store.name, "healthy"),),
    )


def _bucket_script(store: Store) -> str:
    bucket = store.database
    key = f"-user {bucket} -access_key $ACCESS_KEY -secret_key $SECRET_KEY"
    lines = [f"s3.configure {key} -buckets {bucket} -actions Read,Write,List,Tagging -apply"]
    if store.public is not None:
        below = f"{bucket}/{store.public}*" if store.public else bucket
        lines.append(f"s3.configure -user anonymous -buckets {below} -actions Read -apply")
    # What it answers shows the key again: it stays out of the log.
    parts = (
        "ask() { weed shell -master=127.0.0.1:9333 -filer=127.0.0.1:8888; }",
        f"echo s3.bucket.list | ask | grep -q '^ *{bucket}[[:space:]]' || echo s3.bucket.create -name {bucket} | ask",
        "ask >/dev/null <<END",
        *lines,
        "END",
        "",
    )
    return "\n".join(parts)


def _megabytes(limit: int) -> str:
    return f"{limit // _MIB}m"
