from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import threading
import warnings
from typing import Any

import pytest
from conftest import LOOPBACK, PATIENCE, ids, service

from mdns_registry import Forked, Registry, Watcher


def calls(registry: Registry, watcher: Watcher) -> dict[str, Any]:
    """Every call there is, by name."""
    return {
        "open": lambda: Registry(addrs=LOOPBACK),
        "default": Registry.default,
        "register": lambda: registry.register(service("forked", "b")),
        "deregister": lambda: registry.deregister("forked"),
        "get_service": lambda: registry.get_service("forked"),
        "list_services": registry.list_services,
        "watch": registry.watch,
        "options": registry.options,
        "init": registry.init,
        "stats": registry.stats,
        "next": lambda: watcher.next(timeout=1),
        "fileno": watcher.fileno,
        "watcher.close": watcher.close,
        "close": registry.close,
    }


def in_child(registry: Registry, watcher: Watcher, answers: Any) -> None:
    said = {}
    for name, call in calls(registry, watcher).items():
        try:
            said[name] = repr(call())
        except Forked as error:
            said[name] = error.status
    answers.put(said)


def test_every_call_in_a_forked_child_says_so_and_the_parent_goes_on(registry: Registry) -> None:
    context = multiprocessing.get_context("fork")
    registration = registry.register(service("forked", "a"))
    with registry.watch("forked") as watcher, registration:
        answers = context.SimpleQueue()
        with warnings.catch_warnings():
            # From 3.12 on Python itself warns of fork with threads.
            warnings.simplefilter("ignore", DeprecationWarning)
            child = context.Process(target=in_child, args=(registry, watcher, answers))
            child.start()
        said = answers.get()
        child.join(PATIENCE)
        assert child.exitcode == 0
        assert said == dict.fromkeys(calls(registry, watcher), "FORKED")
        assert ids(registry.get_service("forked")) == ["a"]
        assert watcher.next(timeout=PATIENCE).node == registry.get_service("forked")[0].nodes[0]


def test_a_child_that_leaves_its_parents_with_statements_ends_in_peace(registry: Registry) -> None:
    def child() -> None:
        with registry, registry.register(service("peace", "b")):
            os._exit(3)

    with registry.register(service("peace", "a")) as registration:
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                registration.__exit__(None, None, None)
                registry.__exit__(None, None, None)
                with pytest.raises(Forked):
                    child()
                status = 0
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert ids(registry.get_service("peace")) == ["a"]


def test_a_fork_before_the_first_registry_is_none_of_its_business() -> None:
    """As in a program that imports the package, and opens registries in its workers only."""
    program = """
import multiprocessing, mdns_registry
def work():
    with mdns_registry.Registry(addrs=["127.0.0.1"]) as registry:
        registry.register({"name": "worker", "nodes": [{"id": "a", "port": 1}]})
        assert registry.get_service("worker")
workers = [multiprocessing.get_context("fork").Process(target=work) for _ in range(2)]
for worker in workers: worker.start()
for worker in workers: worker.join(10)
assert [worker.exitcode for worker in workers] == [0, 0]
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=3 * PATIENCE)


def test_forking_in_the_midst_of_work_hangs_no_child(registry: Registry) -> None:
    stop = threading.Event()

    def work() -> None:
        port = 1
        while not stop.is_set():
            port += 1
            registry.register(service("busy", "a", port=port))
            registry.get_service("busy")

    worker = threading.Thread(target=work)
    worker.start()
    try:
        for _ in range(30):
            pid = os.fork()
            if pid == 0:
                try:
                    registry.get_service("busy")
                except Forked:
                    os._exit(7)
                os._exit(1)
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
    finally:
        stop.set()
        worker.join(PATIENCE)


OPENING = """
import os, signal, sys, threading, mdns_registry as m
face, logs = sys.modules["mdns_registry.default"], sys.modules["mdns_registry.logs"]
opened, forked = threading.Event(), threading.Event()

class Opening(m.Registry):
    @classmethod
    def default(cls):
        with super().default() as registry:
            opened.set()
            assert forked.wait(10)
            return registry

face.Registry = Opening
opener = threading.Thread(target=m.default)
opener.start()
assert opened.wait(10)
verbs = [
    lambda: m.register({"name": "a", "nodes": [{"id": "a", "port": 1}]}), lambda: m.deregister("a"), m.watch,
    lambda: m.get_service("a"), m.list_services, m.options, lambda: m.init(timeout=1), m.stats, m.string, m.default,
]
with logs._lock:
    child = os.fork()
if child == 0:
    face.Registry = m.Registry
    signal.alarm(5)
    for verb in verbs:
        try:
            verb()
        except m.Forked:
            continue
        os._exit(1)
    sys.exit(7)
forked.set()
opener.join(10)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_a_fork_while_another_thread_opens_the_default_registry_hangs_no_verb(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MDNS_REGISTRY_OPTIONS", '{"addrs":["127.0.0.1"]}')
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", OPENING]
    run = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    assert (run.returncode, run.stderr) == (7, "")
