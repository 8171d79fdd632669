"""A server that breaks off, never ends, or says what no model says: bytes as a test gives them."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import chain, repeat

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\nTransfer-Encoding: chunked\r\n\r\n"


def chunk(data: bytes) -> bytes:
    """A piece of a chunked body."""
    return b"%x\r\n%s\r\n" % (len(data), data)


def endless(begin: bytes, piece: bytes) -> Iterator[bytes]:
    """A reply that goes on for ever."""
    return chain([HEAD % b"application/json", chunk(begin)], repeat(chunk(piece)))


def stream(*parts: bytes, kind: bytes = b"application/json") -> Iterator[bytes]:
    """A whole chunked reply."""
    return iter([HEAD % kind, *map(chunk, parts), chunk(b"")])


def breath(said: bytes) -> Iterator[bytes]:
    """The begin of a reply, and then nothing: the connection stays open."""
    return iter([HEAD % b"application/json", chunk(said)])


class Sick:
    """The server. `asked` counts requests, `sent` the bytes of all replies."""

    def __init__(self, url: str, replies: list[Iterator[bytes]]) -> None:
        self.url, self.replies, self.asked, self.sent = url, replies, 0, 0


@contextmanager
def sick(*replies: Iterator[bytes]) -> Iterator[Sick]:
    """A server that gives these replies, each to one request, then none to any."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listening:
        server = Sick(f"http://127.0.0.1:{listening.getsockname()[1]}/v1", list(replies))
        open_ones: list[socket.socket] = []

        def serve() -> None:
            with suppress(OSError):
                while True:
                    one, _ = listening.accept()
                    open_ones.append(one)
                    threading.Thread(target=_answer, args=(server, one), daemon=True).start()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server
        with suppress(OSError):
            listening.shutdown(socket.SHUT_RDWR)
        thread.join(5)
        for one in open_ones:
            one.close()


def _answer(server: Sick, one: socket.socket) -> None:
    with suppress(OSError):
        while one.recv(65536):
            server.asked += 1
            if not server.replies:
                continue
            for data in server.replies.pop(0):
                one.sendall(data)
                server.sent += len(data)
