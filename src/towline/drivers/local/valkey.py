"""What is asked of a running Valkey, in its own protocol: two commands need no client library."""

from __future__ import annotations

import socket


def why_not(port: int, password: str) -> str | None:
    """Why it does not serve yet (it may still be loading its data); None when it does."""
    try:
        with (
            socket.create_connection(("127.0.0.1", port), timeout=5) as connection,
            connection.makefile("rb") as answers,
        ):
            for words, wanted in ((("AUTH", password), b"+OK"), (("PING",), b"+PONG")):
                connection.sendall(_command(*words))
                answer = answers.readline().strip()
                if answer != wanted:
                    return answer.removeprefix(b"-").decode("utf-8", "replace") or "it closed the connection"
    except OSError as error:
        return str(error)
    return None


def _command(*words: str) -> bytes:
    encoded = (word.encode() for word in words)
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in encoded)
