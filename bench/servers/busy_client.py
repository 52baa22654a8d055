"""A client that keeps some connections to a server busy, one request at a time on each."""

from __future__ import annotations

import selectors
import socket
import time

REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
END = b"hello\n"
"""The end of each response."""


def keep_busy(
    port: int, connections: int, *, seconds: float = 60.0, requests: int | None = None
) -> int:
    """Ask for so long, or for so many requests. Returns the number of answers.

    Where the server closes a connection after its response, a new one is made. Raises RuntimeError
    for any answer but the expected one.
    """
    answered = 0
    deadline = time.perf_counter() + seconds
    with selectors.DefaultSelector() as selector:
        for _ in range(connections):
            _open(selector, port)
        try:
            while time.perf_counter() < deadline and (requests is None or answered < requests):
                for key, _ in selector.select(1):
                    client = key.fileobj
                    assert isinstance(client, socket.socket)
                    received = key.data + client.recv(65536)
                    if not received.endswith(END):
                        if not received.startswith(b"HTTP/1.1"[: len(received)]) or not received:
                            raise RuntimeError(f"the server answered {received!r}")
                        selector.modify(client, selectors.EVENT_READ, received)
                        continue
                    if not received.startswith(b"HTTP/1.1 200"):
                        raise RuntimeError(f"the server answered {received!r}")
                    answered += 1
                    if b"onnection: close" in received:
                        selector.unregister(client)
                        client.close()
                        _open(selector, port)
                    else:
                        client.sendall(REQUEST)
                        if key.data:
                            selector.modify(client, selectors.EVENT_READ, b"")
        finally:
            for key in list(selector.get_map().values()):
                assert isinstance(key.fileobj, socket.socket)
                key.fileobj.close()
    return answered


def _open(selector: selectors.BaseSelector, port: int) -> None:
    client = socket.create_connection(("127.0.0.1", port), timeout=60)
    client.sendall(REQUEST)
    selector.register(client, selectors.EVENT_READ, b"")
