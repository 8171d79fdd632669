"""On the path of every child that a test starts: whatever is not loopback cannot be reached."""

import socket

_LOCAL = ("127.", "::1", "localhost", "0.0.0.0")
_connect, _lookup = socket.socket.connect, socket.getaddrinfo


def _refuse(host: object) -> None:
    text = host.decode() if isinstance(host, bytes) else str(host)
    if not text.startswith(_LOCAL):
        raise OSError(f"a test reached for {text}: serve it from a fake instead")


def connect(self, address):
    """Connect, if the address is loopback or no internet address at all."""
    if self.family in (socket.AF_INET, socket.AF_INET6):
        _refuse(address[0])
    return _connect(self, address)


def getaddrinfo(host, *args, **kwargs):
    """Look up a name, if it is a local one."""
    if host is not None:
        _refuse(host)
    return _lookup(host, *args, **kwargs)


socket.socket.connect = connect
socket.getaddrinfo = getaddrinfo
