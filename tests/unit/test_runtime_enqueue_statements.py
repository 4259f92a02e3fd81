"""Statements in each library's dialect."""

from __future__ import annotations

import re

import pytest
from tests.job_scenes import a_job

from towline_runtime.database import queries
from towline_runtime.outbox import Statement, enqueue_many

NAMES = {"kind", "version", "queue", "priority", "payload", "key", "lane", "correlation_id", "attempts", "delay"}


def test_numbers_for_asyncpg() -> None:
    """A mark that comes twice is one parameter; values stand in the order of the numbers."""
    assert Statement("select {b}, {a}, {b}", {"a": 1, "b": 2}).asyncpg() == ("select $1, $2, $1", 2, 1)


def test_marks_for_psycopg_and_sqlalchemy() -> None:
    """Names stay names."""
    statement = Statement("select {b}, {a}, {b}::text", {"a": 1, "b": 2})
    assert statement.psycopg() == ("select %(b)s, %(a)s, %(b)s::text", {"a": 1, "b": 2})
    text, values = statement.sqlalchemy()
    assert (str(text), values) == ("select :b, :a, :b::text", {"a": 1, "b": 2})


@pytest.mark.parametrize("statement", [a_job().statement, enqueue_many([a_job(), a_job(key="k")])])
def test_enqueue_in_each_dialect(statement: Statement) -> None:
    """No mark is left over, and each value has its place."""
    sql, *values = statement.asyncpg()
    assert "{" not in sql
    assert len(values) == len(NAMES) == max(int(number) for number in re.findall(r"\$(\d+)", sql))
    assert set(re.findall(r"%\((\w+)\)s", statement.psycopg()[0])) == NAMES
    assert set(statement.sqlalchemy()[0]._bindparams) == NAMES
    assert "%" not in re.sub(r"%\(\w+\)s", "", statement.psycopg()[0])


def test_no_notification_in_the_callers_transaction() -> None:
    """A NOTIFY there takes a lock that all commits of the server share."""
    for statement in (a_job().statement, enqueue_many([a_job()])):
        assert "notify" not in statement.template.lower()


def test_every_named_query_is_one_statement() -> None:
    """Each has words before it, and no second statement hides in it."""
    assert {"claim", "finish", "heartbeat", "view", "outbox_rows"} <= set(queries())
    for name, sql in queries().items():
        code = re.sub(r"--[^\n]*", "", sql)
        assert re.search(r"\b(select|insert|update|delete)\b", code), name
        assert ";" not in code, name
