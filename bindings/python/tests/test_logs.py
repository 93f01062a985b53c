from __future__ import annotations

import logging
import subprocess
import sys
import threading

import pytest
from conftest import LOOPBACK, PATIENCE, eventually, service

from mdns_registry import Registry


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name.startswith("mdns_registry.")]


def test_the_librarys_log_reaches_logging_with_its_levels(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "mdns_registry"):
        with Registry(addrs=LOOPBACK) as registry:
            registry.register(service("logged", "a"))
        eventually(lambda: [line for line in said(caplog) if line.startswith("a registry closed")])
    lines = said(caplog)
    assert lines[0].startswith("a registry opened owner=")
    assert 'register service="logged" nodes=1' in lines
    levels = {record.getMessage().split(" owner")[0]: record.levelno for record in caplog.records}
    assert levels["a registry opened"] == logging.INFO


def test_what_the_level_forbids_is_not_said(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "mdns_registry"), Registry(addrs=LOOPBACK) as registry:
        registry.register(service("unlogged", "a"))
        eventually(lambda: said(caplog))
    assert not [line for line in said(caplog) if line.startswith("register")]


def test_a_level_set_later_takes_effect(caplog: pytest.LogCaptureFixture) -> None:
    with Registry(addrs=LOOPBACK) as registry, caplog.at_level(logging.DEBUG, "mdns_registry"):

        def registered() -> list[str]:
            registry.register(service("later", "a"))
            return said(caplog)

        eventually(registered)


class Caller(logging.Handler):
    """A handler that calls the registry it hears of."""

    def __init__(self, registry: Registry) -> None:
        super().__init__()
        self.registry = registry
        self.found = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.found += len(self.registry.get_service("called"))


def test_a_handler_may_call_the_library() -> None:
    logger = logging.getLogger("mdns_registry")
    logger.setLevel(logging.DEBUG)
    with Registry(addrs=LOOPBACK) as registry:
        handler = Caller(registry)
        registry.register(service("called", "a"))
        logger.addHandler(handler)
        try:
            for port in range(1, 200):
                registry.register(service("called", "a", port=port))
            eventually(lambda: handler.found > 0)
        finally:
            logger.removeHandler(handler)
            logger.setLevel(logging.NOTSET)


class Raiser(logging.Handler):
    """A handler with a defect."""

    said = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.said += 1
        raise ValueError(record.getMessage())


def test_a_handler_that_raises_is_told_of_and_ends_no_forwarding(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    raised: list[object] = []
    monkeypatch.setattr(threading, "excepthook", lambda told: raised.append(told.exc_value))
    logger = logging.getLogger("mdns_registry")
    handler = Raiser()
    with caplog.at_level(logging.DEBUG, "mdns_registry"), Registry(addrs=LOOPBACK) as registry:
        logger.addHandler(handler)
        try:
            for port in range(1, 20):
                registry.register(service("raises", "a", port=port))
            eventually(lambda: handler.said >= 19)
        finally:
            logger.removeHandler(handler)
        registry.register(service("heard-again", "a"))
        eventually(lambda: 'register service="heard-again" nodes=1' in said(caplog))
    assert {type(one) for one in raised} == {ValueError}
    assert len(raised) == handler.said


def test_nothing_is_said_where_nobody_listens() -> None:
    program = """
import mdns_registry
with mdns_registry.Registry(addrs=["127.0.0.1"]) as registry:
    registry.register({"name": "silent", "nodes": [{"id": "a", "port": 1}]})
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=PATIENCE)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
