from __future__ import annotations

import gc
import select
import subprocess
import sys
import threading
import time
from datetime import timedelta

import pytest
from conftest import LOOPBACK, PATIENCE, eventually, ids, next_change, service

import mdns_registry
from mdns_registry import Action, Closed, Event, NotFound, Reason, Registry, Timeout


def test_what_is_registered_here_is_seen_here_at_once_and_elsewhere_soon(registry: Registry, other: Registry) -> None:
    registry.register(service("at-once", "b", "a"))
    found = registry.get_service("at-once")
    assert ids(found) == ["a", "b"]
    assert found[0].nodes[0].address == "127.0.0.1"
    assert "at-once" in [one.name for one in registry.list_services()]
    assert ids(other.get_service("at-once")) == ["a", "b"]


def test_leaving_a_registration_withdraws_exactly_its_nodes(registry: Registry) -> None:
    registry.register(service("partly", "stays"))
    with registry.register(service("partly", "goes"), ttl=30) as registration:
        assert ids([registration.service]) == ["goes"]
        assert ids(registry.get_service("partly")) == ["goes", "stays"]
    assert ids(registry.get_service("partly")) == ["stays"]
    registration.deregister()


def test_a_registration_may_outlive_its_registry(registry: Registry) -> None:
    with registry.register(service("outlives", "a")):
        registry.close()


def test_deregister_takes_a_name_a_dataclass_or_a_mapping(registry: Registry) -> None:
    registry.register(service("taken", "a", "b", "c", "d"))
    registry.deregister(service("taken", "a", "unknown"))
    assert ids(registry.get_service("taken")) == ["b", "c", "d"]
    registry.deregister({"name": "taken", "nodes": [{"id": "b"}]})
    assert ids(registry.get_service("taken")) == ["c", "d"]
    registry.deregister(service("taken"))
    assert ids(registry.get_service("taken")) == ["c", "d"]
    registry.deregister("taken")
    with pytest.raises(NotFound):
        registry.get_service("taken")


def test_a_lease_without_renewal_lapses(registry: Registry) -> None:
    with registry.watch("lapses") as watcher:
        registry.register(service("lapses", "a"), ttl=timedelta(seconds=3), auto_renew=False)
        next_change(watcher, Action.CREATE)
        assert next_change(watcher, Action.DELETE).reason is Reason.WITHDRAWN


def test_options_in_force_open_the_same_registry_again() -> None:
    with Registry(addrs=LOOPBACK, timeout=timedelta(milliseconds=250), domain="local", wire=["dns-sd"]) as registry:
        options = registry.options()
        assert options["timeout"] == 0.25
        assert (options["addrs"], options["domain"], options["wire"]) == (LOOPBACK, "local", ["dns-sd"])
    with Registry(**options) as again:
        assert again.options() == options


def test_init_changes_what_can_change_in_place(registry: Registry) -> None:
    registry.init(timeout=0.111)
    assert registry.options()["timeout"] == 0.111
    with registry.watch(), pytest.raises(mdns_registry.Busy, match="port"):
        registry.init(port=5454)


def test_a_registry_says_what_it_is_and_what_it_keeps(registry: Registry) -> None:
    registry.register(service("counted", "a"))
    assert registry.stats()["registered"] == 1
    assert registry.string() == str(registry) == "mdns"
    assert repr(registry) == "<Registry mdns, open>"


def test_close_ends_every_wait_at_once_and_can_be_repeated() -> None:
    registry = Registry(addrs=LOOPBACK)
    watcher = registry.watch()
    events: list[Event] = []
    reader = threading.Thread(target=lambda: events.extend(watcher))
    reader.start()
    started = time.monotonic()
    registry.close()
    assert time.monotonic() - started < 2
    reader.join(PATIENCE)
    assert not reader.is_alive()
    registry.close()
    watcher.close()
    assert registry.closed
    assert watcher.closed
    for call in (registry.list_services, registry.stats, registry.watch, watcher.next):
        with pytest.raises(Closed):
            call()


def test_a_lookup_under_way_is_cancelled_by_close() -> None:
    registry = Registry(addrs=LOOPBACK, timeout=30)
    raised: list[Exception] = []

    def look_up() -> None:
        try:
            registry.get_service("never")
        except mdns_registry.Cancelled as error:
            raised.append(error)

    looking = threading.Thread(target=look_up)
    looking.start()
    eventually(lambda: registry.stats()["interests"])
    registry.close()
    looking.join(PATIENCE)
    assert len(raised) == 1


def test_other_threads_run_while_one_waits() -> None:
    with Registry(addrs=LOOPBACK, timeout=0.5) as registry:

        def look_up() -> None:
            with pytest.raises(NotFound):
                registry.get_service("nobody")

        looking = threading.Thread(target=look_up)
        looking.start()
        turns = 0
        while looking.is_alive():
            time.sleep(0.01)
            turns += 1
        assert turns > 20


def test_next_ends_at_its_timeout(registry: Registry) -> None:
    with registry.watch("quiet") as watcher:
        assert watcher.next(timeout=PATIENCE) == Event(type="synced")
        started = time.monotonic()
        with pytest.raises(TimeoutError, match=r"within 0\.2 s"):
            watcher.next(timeout=0.2)
        assert 0.2 <= time.monotonic() - started < 0.4
        with pytest.raises(Timeout, match="within 0 s"):
            watcher.next(timeout=timedelta(0))
        with pytest.raises(ValueError, match="timeout: must be at least 0 seconds"):
            watcher.next(timeout=-1)


def test_a_descriptor_is_readable_while_events_wait(registry: Registry) -> None:
    with registry.watch("polled") as watcher:
        assert select.select([watcher], [], [], PATIENCE)[0]
        assert watcher.next().type == "synced"
        assert not select.select([watcher], [], [], 0)[0]
        registry.register(service("polled", "a"))
        assert select.select([watcher], [], [], PATIENCE)[0]
        next_change(watcher, Action.CREATE)


def test_several_threads_may_read_one_watcher(registry: Registry) -> None:
    watcher = registry.watch("shared")
    seen: list[str] = []

    def read() -> None:
        seen.extend(event.node.id for event in watcher if event.node)

    readers = [threading.Thread(target=read) for _ in range(4)]
    for reader in readers:
        reader.start()
    for number in range(20):
        registry.register(service("shared", *(f"{number}-{i}" for i in range(5))))
    eventually(lambda: len(seen), lambda length: length >= 100)
    watcher.close()
    for reader in readers:
        reader.join(PATIENCE)
    assert sorted(seen) == sorted(f"{number}-{i}" for number in range(20) for i in range(5))


def test_what_was_never_closed_warns_and_ends() -> None:
    registry = Registry(addrs=LOOPBACK)
    watcher = registry.watch()
    with pytest.warns(ResourceWarning, match="unclosed <Watcher, open>"):
        del watcher
    with pytest.warns(ResourceWarning, match="unclosed <Registry mdns, open>"):
        del registry


def test_a_registry_that_could_not_open_does_not_warn() -> None:
    with pytest.raises(mdns_registry.OptionError):
        Registry(addrs=["eth77"])
    gc.collect()


def test_what_was_closed_does_not_warn(recwarn: pytest.WarningsRecorder) -> None:
    with Registry(addrs=LOOPBACK) as registry:
        registry.watch()
        watcher = registry.watch()
        watcher.close()
    gc.collect()
    assert [str(warning.message) for warning in recwarn] == ["unclosed <Watcher, open>"]


DEFAULT = """
import mdns_registry as m
assert m.options()["timeout"] == 0.321, m.options()
own = m.Registry.default()
registration = m.register(m.Service("shared", nodes=[m.Node("a", port=1)]))
assert own.get_service("shared") == m.get_service("shared")
assert [s.name for s in m.list_services()] == ["shared"] and m.stats()["registered"] == 1 and m.string() == "mdns"
with m.watch("shared") as watch:
    assert watch.next(timeout=10).node.id == "a"
m.close()
m.close()
assert own.get_service("shared")[0].nodes[0].id == "a"
m.deregister("shared")
own.close()
assert m.stats()["registered"] == 0
m.init(timeout=0.2)
m.register({"name": "left-behind", "nodes": [{"id": "a", "port": 1}]})
print("registered", flush=True)
input()
"""


def test_the_verbs_of_the_module_use_the_default_registry_which_closes_with_the_process(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MDNS_REGISTRY_OPTIONS", '{"addrs":["127.0.0.1"],"timeout_ms":321}')
    with registry.watch("left-behind") as watcher:
        command = [sys.executable, "-W", "error", "-c", DEFAULT]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "registered\n"
            next_change(watcher, Action.CREATE)
            process.communicate("\n", timeout=PATIENCE)
            assert process.returncode == 0
        assert next_change(watcher, Action.DELETE).reason is Reason.GOODBYE
