"""The address of a bucket: it carries all that apps send, holds what comes too early, and is not slow without need."""

from __future__ import annotations

import hashlib
import io
import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import boto3
import httpx
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from tests.lab.local_lab import MEDIA, PASSWORDS, Lab, make_lab

from towline.drivers.local.binaries import WEED, Programs
from towline.steps.kinds import PrepareStore, StartInstance, WaitReady

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mypy_boto3_s3 import S3Client

SETTINGS = {**MEDIA, "external_url": "http://media.lab.localhost:7080"}

ONCE_OTHERWISE = """#!/bin/sh
if [ "$1" = version ] || [ -e '{once}' ]; then exec '{weed}' "$@"; fi
touch '{once}'
for flag in "$@"; do
  case "$flag" in
    -s3.port=*) port="${{flag#*=}}"; kept="$kept $flag" ;;
    -dir=*|-ip=*|-ip.bind=*|-master.port*|-filer.port*|-s3.port*|-s3.config=*) kept="$kept $flag" ;;
  esac
done
{first}
"""
"""A SeaweedFS whose first start is another one."""

NO_VOLUMES = "exec '{weed}' -logtostderr server -volume=false -filer -s3 -master.telemetry=false -s3.iam=false $kept"
SILENT = "exec python3 -c 'import socket,time; s = socket.create_server((\"127.0.0.1\", '$port')); time.sleep(600)'"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A bucket."""
    lab = make_lab(tmp_path_factory.mktemp("bucket"))
    try:
        lab.store("media", "bucket", SETTINGS)
        yield lab
    finally:
        lab.close()


def bucket(lab: Lab) -> S3Client:
    """The bucket, as the app is told of it."""
    return boto3.client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{lab.port('media')}",
        aws_access_key_id=MEDIA["access_key"],
        aws_secret_access_key=PASSWORDS["media.secret_key"],
        region_name="us-east-1",
        config=Config(s3={"addressing_style": "path"}, signature_version="s3v4", retries={"total_max_attempts": 1}),
    )


def test_the_address_of_the_bucket_carries_all_that_apps_send(lab: Lab) -> None:
    """Parts of a large object, streams with checksums in their trailer, ranges, conditions, metadata, odd names."""
    client, body = bucket(lab), os.urandom(12_000_000)
    client.upload_fileobj(io.BytesIO(body), "lab-media", "große datei+1.bin", ExtraArgs={"Metadata": {"made": "by-us"}})
    head = client.head_object(Bucket="lab-media", Key="große datei+1.bin")
    assert (head["ContentLength"], head["Metadata"]) == (len(body), {"made": "by-us"})
    assert head["ETag"].endswith('-2"')
    got = client.get_object(Bucket="lab-media", Key="große datei+1.bin")
    assert hashlib.sha256(got["Body"].read()).digest() == hashlib.sha256(body).digest()
    part = client.get_object(Bucket="lab-media", Key="große datei+1.bin", Range="bytes=5-9")
    assert (part["Body"].read(), part["ContentRange"]) == (body[5:10], f"bytes 5-9/{len(body)}")
    whole = client.put_object(Bucket="lab-media", Key="small", Body=io.BytesIO(b"small"), ChecksumAlgorithm="SHA256")
    with pytest.raises(ClientError) as caught:
        client.get_object(Bucket="lab-media", Key="small", IfNoneMatch=whole["ETag"])
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 304
    assert httpx.get(
        client.generate_presigned_url("get_object", Params={"Bucket": "lab-media", "Key": "small"})
    ).is_success


def test_requests_wait_until_the_bucket_can_take_them(lab: Lab) -> None:
    """One that is sent while its server starts is answered when it can, and not before."""
    client, server = bucket(lab), lab.store("media", "bucket", SETTINGS, start=False)
    lab.stop("media")
    lab.carry(StartInstance(server))
    with ThreadPoolExecutor(1) as pool:
        put = pool.submit(client.put_object, Bucket="lab-media", Key="early", Body=b"early")
        lab.site.status()
        assert not put.done()
        assert [line.already for line in lab.carry(WaitReady("media", 30), WaitReady("media", 30))] == [False, True]
        assert put.result(20)["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert client.get_object(Bucket="lab-media", Key="early")["Body"].read() == b"early"


@pytest.mark.parametrize("first", [NO_VOLUMES, SILENT], ids=["no volumes", "silent"])
def test_a_stuck_server_is_started_again_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: str) -> None:
    """One whose master never heard of its volumes, and one that takes an object and does not answer; nobody else had
    written to it."""
    weed, program = tmp_path / "weed", Programs({}).weed()
    weed.write_text(ONCE_OTHERWISE.format(weed=program, once=tmp_path / "once", first=first.format(weed=program)))
    weed.chmod(0o700)
    monkeypatch.setenv(WEED, str(weed))
    lab = make_lab(tmp_path)
    try:
        lab.store("media", "bucket", SETTINGS)
        bucket(lab).put_object(Bucket="lab-media", Key="k", Body=b"v")
        assert [(one.name, one.restarts) for one in lab.site.status()] == [("media", 1)]
    finally:
        lab.close()


def test_a_bucket_that_is_not_public_stays_so(tmp_path: Path) -> None:
    """It never had a policy that could be taken away; public for a while, it is closed again."""
    lab = make_lab(tmp_path)
    try:
        private = {name: value for name, value in SETTINGS.items() if name != "public"}
        lab.store("media", "bucket", private)
        bucket(lab).put_object(Bucket="lab-media", Key="seen", Body=b"x")
        for settings, status in ((private, 403), (SETTINGS, 200), (private, 403)):
            lab.carry(PrepareStore("media", "bucket", lab.port("media"), settings))
            assert httpx.get(f"http://127.0.0.1:{lab.port('media')}/lab-media/seen").status_code == status
    finally:
        lab.close()
