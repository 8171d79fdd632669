"""Machines that port and push, for the tests of pushing."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.e2e.publishing import ported, source
from tests.e2e.scenario import Machine
from tests.fakes.chat import ChatServer
from tests.fakes.hub import HubServer


@pytest.fixture
def porter(tmp_path: Path, hub: HubServer, chat: ChatServer) -> Machine:
    """A machine that ports."""
    source(hub)
    return Machine(tmp_path / "first", hub, chat)


@pytest.fixture(scope="session")
def finished_port(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The disk of a machine on which the port is done, and was never pushed."""
    where = tmp_path_factory.mktemp("finished")
    with HubServer() as hub, ChatServer() as chat:
        source(hub)
        ported(Machine(where, hub, chat))
    return where


@pytest.fixture
def pusher(finished_port: Path, tmp_path: Path, hub: HubServer) -> Machine:
    """That machine, with a Hub that has nothing, and no model to ask."""
    where = tmp_path / "machine"
    shutil.copytree(finished_port, where)
    return Machine(where, hub)
