"""A link that is slow, or cut: what tests of failures rely on."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from towline.lab.faults import SlowLink

if TYPE_CHECKING:
    from collections.abc import Iterator


def serve(listener: socket.socket) -> None:
    """Give back what comes, and end each connection when its other side does."""
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=echo, args=(connection,)).start()


def echo(connection: socket.socket) -> None:
    with connection:
        try:
            while chunk := connection.recv(65536):
                connection.sendall(chunk)
        except OSError:
            return


@contextmanager
def echoing() -> Iterator[tuple[str, int]]:
    listener = socket.socket()
    port = next(port for port in range(24400, 24800) if listener.connect_ex(("127.0.0.1", port)) != 0)
    listener.close()
    listener = socket.create_server(("127.0.0.1", port))
    thread = threading.Thread(target=serve, args=(listener,))
    thread.start()
    try:
        yield ("127.0.0.1", port)
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def joined(link: SlowLink) -> socket.socket:
    return socket.create_connection(("127.0.0.1", link.port), timeout=20)


def exactly(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count and (chunk := connection.recv(65536)):
        data += chunk
    return data


def broken(connection: socket.socket) -> bool:
    try:
        return connection.recv(1) == b""
    except ConnectionError:
        return True


@pytest.mark.parametrize("delay", [0.05, 0.15])
def test_a_round_trip_costs_twice_the_delay(delay: float) -> None:
    """Each way once, and each time anew."""
    with echoing() as there, SlowLink(there, delay) as link, joined(link) as connection:
        for word in (b"ping", b"pong"):
            began = time.monotonic()
            connection.sendall(word)
            assert exactly(connection, 4) == word
            assert time.monotonic() - began >= 2 * delay


def test_delay_is_no_limit_of_speed() -> None:
    """Much arrives whole and in order, and chunks travel side by side."""
    data = bytes(range(256)) * 16_384
    with echoing() as there, SlowLink(there, 0.02) as link, joined(link) as connection:
        sender = threading.Thread(target=connection.sendall, args=(data,))
        sender.start()
        assert exactly(connection, len(data)) == data
        sender.join()


def test_the_end_of_one_side_arrives_at_the_other() -> None:
    """After all that was sent before it, and what is under way back still comes."""
    with echoing() as there, SlowLink(there, 0.02) as link, joined(link) as connection:
        connection.sendall(b"last words")
        connection.shutdown(socket.SHUT_WR)
        assert exactly(connection, 100) == b"last words"


def test_a_cut_breaks_every_connection_and_new_ones_work() -> None:
    """As with a cable: those that stand are lost, whoever connects again gets through."""
    with echoing() as there, SlowLink(there, 0.01) as link:
        standing = [joined(link) for _ in range(3)]
        for one in standing:
            one.sendall(b"x")
            assert exactly(one, 1) == b"x"
        link.cut()
        assert [broken(one) for one in standing] == [True] * 3
        for one in standing:
            one.close()
        with joined(link) as again:
            again.sendall(b"again")
            assert exactly(again, 5) == b"again"


def test_what_is_under_way_is_lost_in_a_cut() -> None:
    """Nothing arrives after it."""
    with echoing() as there, SlowLink(there, 0.2) as link, joined(link) as connection:
        connection.sendall(b"before")
        assert exactly(connection, 6) == b"before"
        connection.sendall(b"never")
        link.cut()
        assert broken(connection)


def test_a_cut_overlooks_no_connection_that_was_just_made() -> None:
    """Also one that the link has not answered yet."""
    with echoing() as there, SlowLink(there, 0.01) as link:
        for _ in range(20):
            with joined(link) as connection:
                link.cut()
                assert broken(connection)


def test_nobody_at_the_far_end() -> None:
    """Whoever connects hears it, instead of waiting for ever."""
    with echoing() as there:
        pass
    with SlowLink(there, 0.01) as link, joined(link) as connection:
        assert broken(connection)


def test_no_thread_is_left_and_the_port_is_free() -> None:
    """Also with connections that stand when the block ends, and with one that is full to the brim."""
    before = threading.active_count()
    with echoing() as there:
        with SlowLink(there, 0.05) as link:
            idle, full = joined(link), joined(link)
            full.settimeout(0)
            try:
                while True:
                    full.send(b"x" * 65536)
            except BlockingIOError:
                pass
        port = link.port
        assert broken(idle)
        for one in (idle, full):
            one.close()
    deadline = time.monotonic() + 20
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() == before
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5)
