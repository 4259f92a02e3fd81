"""Addresses of doorbells: what is understood, and every finding at once for what is not."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

import pytest

from towline_runtime.doorbell import Pace, open_doorbell
from towline_runtime.doorbells.sqs_address import SqsAddress
from towline_runtime.errors import SettingsInvalid

if TYPE_CHECKING:
    from towline_runtime.database import Database

MAIN = "https://sqs.eu-central-1.amazonaws.com/123456789012/main"


def test_a_prefix_names_one_queue_for_each_of_the_app() -> None:
    """`sqs://REGION/PREFIX` puts the prefix before the queue's name, and `.fifo` behind it when asked for."""
    address = SqsAddress.read("sqs://eu-central-1/myapp-?endpoint=http://127.0.0.1:5000&fifo=true&dlq=letters", {})
    assert address == SqsAddress("eu-central-1", "http://127.0.0.1:5000", "myapp-", None, "letters", fifo=True)
    assert address.place("images") == "myapp-images.fifo"


def test_the_environment_names_a_main_queue_and_a_dead_letter_queue() -> None:
    """Without a prefix SQS_MAIN_QUEUE_URL carries every queue; the region may come from AWS_REGION."""
    environ = {"SQS_MAIN_QUEUE_URL": f"{MAIN}.fifo", "SQS_DLQ_QUEUE_URL": "dead", "AWS_REGION": "eu-central-1"}
    address = SqsAddress.read("sqs:", environ)
    assert address == SqsAddress("eu-central-1", None, "", f"{MAIN}.fifo", "dead", fifo=True)
    assert address.place("images") == address.place("mail") == f"{MAIN}.fifo"


def test_a_prefix_in_the_url_goes_before_the_environment() -> None:
    """An address left over in the environment does not turn a prefix off."""
    address = SqsAddress.read("sqs://eu-central-1/myapp-", {"SQS_MAIN_QUEUE_URL": MAIN})
    assert address.main is None


@pytest.mark.parametrize(
    ("url", "findings"),
    [
        ("sqs:", ["DOORBELL_URL names no region", "DOORBELL_URL names neither a prefix nor a main queue"]),
        ("sqs://eu-central-1/a-?main=b", ["DOORBELL_URL names both a prefix and a main queue"]),
        ("sqs://eu-central-1/a-?endpiont=x", ["DOORBELL_URL has the option `endpiont`, which is none"]),
    ],
)
def test_what_is_wrong_with_an_sqs_url(url: str, findings: list[str]) -> None:
    """All findings at once, each in words."""
    with pytest.raises(SettingsInvalid) as refused:
        SqsAddress.read(url, {})
    assert list(refused.value.findings) == findings


def test_a_scheme_that_is_no_doorbell() -> None:
    """The finding names the scheme and not the address, which may hold a password."""

    async def body() -> None:
        async with open_doorbell("amqp://user:secret@host", cast("Database", None), ["default"]):
            pass

    with pytest.raises(SettingsInvalid) as refused:
        asyncio.run(cast("Any", body()))
    assert "`amqp:`" in str(refused.value)
    assert "secret" not in str(refused.value)


def test_the_pace_says_what_an_idle_look_costs() -> None:
    """Ten looks a second are 26 million a month."""
    assert Pace(busy=0.01, idle=0.1).looks_per_month() == 25_920_000
