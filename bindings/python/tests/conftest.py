"""Registries on loopback, and what must be true after every test."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mdns_registry import Action, Event, Node, Registry, Service, Watcher

PATIENCE = 10.0
"""Seconds after which a test gives up waiting for what must come."""
LOOPBACK = ["127.0.0.1"]
ROOT = Path(__file__).parents[3]


def pytest_sessionstart() -> None:
    if not (os.environ.get("MDNSREG_SANDBOX") == "1" and Path("/run/mdns-registry-sandbox").exists()):
        pytest.exit("run me in tests/lab/sandbox: no test sends a packet on this machine's interfaces", returncode=1)


def eventually(ask: Callable[[], Any], wanted: Callable[[Any], bool] = bool) -> Any:
    """Asks again until the answer is as wanted, or fails with what it was."""
    deadline = time.monotonic() + PATIENCE
    while not wanted(answer := ask()):
        assert time.monotonic() < deadline, f"still {answer!r}"
        time.sleep(0.005)
    return answer


def our_threads() -> list[str]:
    """The library's threads in this process, by name."""
    names = []
    for task in Path("/proc/self/task").iterdir():
        try:
            names.append((task / "comm").read_text().strip())
        except OSError:
            continue
    return [name for name in names if name.startswith(("mdnsreg", "mDNS"))]


@pytest.fixture(autouse=True)
def threads_ended() -> Iterator[None]:
    """No registry open = no thread of the library."""
    yield
    eventually(our_threads, lambda names: not names)


@pytest.fixture
def registry() -> Iterator[Registry]:
    with Registry(addrs=LOOPBACK) as registry:
        yield registry


@pytest.fixture
def other() -> Iterator[Registry]:
    with Registry(addrs=LOOPBACK) as registry:
        yield registry


def service(name: str, *ids: str, port: int = 80, version: str = "1") -> Service:
    return Service(name, version, nodes=[Node(one, port=port) for one in ids])


def ids(services: list[Service]) -> list[str]:
    return [node.id for found in services for node in found.nodes]


def next_change(watcher: Watcher, action: Action | None = None) -> Event:
    """The next event of a node."""
    while True:
        event = watcher.next(timeout=PATIENCE)
        if event.type == "service":
            assert action in (None, event.action), event
            return event
