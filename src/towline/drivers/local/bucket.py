"""What is asked of a running S3 server: the app's bucket, who may read it, from where a browser may."""

from __future__ import annotations

import http.client
import json
import os
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from towline.core import s3
from towline.core.s3 import REGION

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mypy_boto3_s3 import S3Client

    from towline.drivers.local.blobs import Blobs

_PROBE = ".towline-ready"
"""The object that is put into the app's bucket, and taken out again, to see that it can be."""

_PATIENCE = 2.0
"""Seconds for one answer, which takes milliseconds."""

_SILENT = f"no answer within {_PATIENCE:g} s"


def why_not(port: int, settings: Mapping[str, str], blobs: Blobs) -> str | None:
    """Why it does not serve yet; None when an object goes in and comes back, or when there is no bucket for it yet.

    It answers before its own parts have found each other again: until then each object is an internal error.
    """
    keys = s3.Keys(settings["admin_access_key"], blobs.text(settings["admin_secret_key"]))
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE)
    try:
        return _why_no_object(partial(s3.ask, connection, keys, path=f"/{settings['bucket']}/{_PROBE}"))
    except TimeoutError:
        return _SILENT
    except (OSError, http.client.HTTPException) as error:
        return " ".join(str(error).split()) or type(error).__name__
    finally:
        connection.close()


def _why_no_object(ask: Callable[..., s3.Answer]) -> str | None:
    for method, body, wanted in (
        ("PUT", b"ready", HTTPStatus.OK),
        ("GET", b"", HTTPStatus.OK),
        ("DELETE", b"", HTTPStatus.NO_CONTENT),
    ):
        answer = ask(method=method, body=body, at=datetime.now(UTC))
        if answer.code == "NoSuchBucket":
            return None
        if answer.status != wanted:
            return f"{method} of an object answered {answer.status} {answer.code}".rstrip()
        if method == "GET" and answer.body != b"ready":
            return "an object came back as another one"
    return None


def is_stuck(reason: str, master_port: int) -> bool:
    """Whether a server that does not serve for this reason would serve sooner if it were started again.

    Its parts look for each other once, and again only seconds later. The volume server may ask the master before that
    has made itself leader: then the master knows of no volume for five seconds. And the master may be leader before
    it can tell: then an object waits for up to fifteen seconds.
    """
    if reason == _SILENT:
        return True
    connection = http.client.HTTPConnection("127.0.0.1", master_port, timeout=_PATIENCE)
    try:
        connection.request("GET", "/dir/status")
        topology = json.loads(connection.getresponse().read())["Topology"]
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
        return False
    finally:
        connection.close()
    return not topology.get("DataCenters")


def prepare(client: S3Client, name: str, *, public: str | None, external_url: str) -> list[str]:
    """Make the bucket, its policy and its rule for browsers; says what was changed.

    `external_url` is where a browser finds the server: its port is that of the pages of the app.
    """
    changed = []
    if name not in _names(client):
        client.create_bucket(Bucket=name)
        changed.append(f"bucket {name}")
    if public is not None:
        client.put_bucket_policy(Bucket=name, Policy=json.dumps(_public_read(name, public)))
    else:
        _make_private(client, name)
    client.put_bucket_cors(
        Bucket=name,
        CORSConfiguration={
            "CORSRules": [
                {
                    "AllowedOrigins": origins(external_url),
                    "AllowedMethods": ["GET", "HEAD", "PUT", "POST"],
                    "AllowedHeaders": ["*"],
                    "ExposeHeaders": ["ETag"],
                    "MaxAgeSeconds": 600,
                }
            ]
        },
    )
    return changed


def origins(external_url: str) -> list[str]:
    """The pages that may upload from a browser: all behind this door; no page of the internet can pose as one."""
    port = urlsplit(external_url).port
    return [f"http://*.localhost:{port}" if port else "http://*.localhost"]


def administrator(port: int, settings: Mapping[str, str], blobs: Blobs) -> S3Client:
    """A client with the rights to everything."""
    return client_of(port, settings["admin_access_key"], blobs.text(settings["admin_secret_key"]))


def client_of(port: int, access_key: str, secret_key: str) -> S3Client:
    """A client with these keys, which looks at nothing of the caller's own AWS configuration."""
    import boto3
    import botocore.session
    from botocore.config import Config

    # A profile of the caller that does not exist, or that names another endpoint, must not get in the way.
    nothing = {"profile": (None, None, None, None), "config_file": (None, None, os.devnull, None)}
    own = botocore.session.Session(session_vars=nothing)
    session = boto3.session.Session(
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
        region_name=REGION,
        botocore_session=own,
    )
    config = Config(
        signature_version="s3v4",
        s3={"addressing_style": "path"},
        connect_timeout=5,
        read_timeout=10,
        retries={"total_max_attempts": 1},
        proxies={},
    )
    client: S3Client = session.client("s3", endpoint_url=f"http://127.0.0.1:{port}", config=config)
    return client


def _names(client: S3Client) -> set[str]:
    return {bucket["Name"] for bucket in client.list_buckets().get("Buckets", []) if "Name" in bucket}


def _make_private(client: S3Client, name: str) -> None:
    try:
        client.delete_bucket_policy(Bucket=name)
    except client.exceptions.ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchBucketPolicy":
            raise


def _public_read(name: str, prefix: str) -> dict[str, object]:
    statement = {
        "Sid": "PublicRead",
        "Effect": "Allow",
        "Principal": "*",
        "Action": ["s3:GetObject"],
        "Resource": [f"arn:aws:s3:::{name}/{prefix}*"],
    }
    return {"Version": "2012-10-17", "Statement": [statement]}
