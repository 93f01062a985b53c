"""What Python pays: a warm lookup and the iteration of events, beside the nearest of python-zeroconf.

Run by `make bench-python` in a network namespace of its own. Exits with 1 where a figure is over its bound.
"""

from __future__ import annotations

import gc
import itertools
import os
import platform
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from typing import Any

import zeroconf

from mdns_registry import Node, Registry, Service, Watcher

LOOKUPS = 2_000
EVENTS = 10_000
NODES = 1_000
ROUNDS = 10
CHANGE_ROUNDS = 3
LOOKUP_BOUND = 15e-6
EVENTS_BOUND = 0.2
TYPE = "_greeter._tcp.local."


def median(call: Callable[[], Any]) -> float:
    """Seconds of one call, the median of many."""
    times = []
    for _ in range(LOOKUPS):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def lookup() -> float:
    with Registry(addrs=["127.0.0.1"]) as registry:
        registry.register(
            Service("greeter", "1", {"team": "a"}, nodes=[Node("greeter-1", port=1, metadata={"b": "c"})])
        )
        assert registry.get_service("greeter")[0].nodes[0].port == 1
        return median(lambda: registry.get_service("greeter"))


def iteration() -> float:
    """The present state of many nodes, told to several watchers: the library itself has little to do for it."""
    with Registry(addrs=["127.0.0.1"]) as registry:
        registry.register(many("greeter", 1))
        return statistics.median(round_of_events(registry) for _ in range(ROUNDS))


def many(name: str, port: int) -> Service:
    return Service(name, "1", nodes=[Node(f"{name}-{number}", port=port) for number in range(NODES)])


def round_of_events(registry: Registry) -> float:
    watchers = [registry.watch("greeter") for _ in range(EVENTS // NODES)]
    gc.collect()
    started = time.perf_counter()
    seen = 0
    for watcher in watchers:
        for event in watcher:
            seen += event.node is not None
            if seen % NODES == 0:
                break
    spent = time.perf_counter() - started
    assert seen == EVENTS
    for watcher in watchers:
        watcher.close()
    return spent


def changes() -> float:
    """Every node changes several times: registered, announced and told to a watcher of the same registry."""
    with Registry(addrs=["127.0.0.1"]) as registry, registry.watch("changing") as watcher:
        assert watcher.next().type == "synced"
        ports = iter(range(1, 65_536))
        return statistics.median(round_of_changes(registry, watcher, ports) for _ in range(CHANGE_ROUNDS))


def round_of_changes(registry: Registry, watcher: Watcher, ports: Iterator[int]) -> float:
    gc.collect()
    started = time.perf_counter()
    for port in itertools.islice(ports, EVENTS // NODES):
        registry.register(many("changing", port))
        told = [event.node for event in itertools.islice(watcher, NODES)]
        assert {node.port for node in told if node} == {port}
    return time.perf_counter() - started


def info(name: str, port: int) -> zeroconf.ServiceInfo:
    return zeroconf.ServiceInfo(
        TYPE, f"{name}.{TYPE}", addresses=[b"\x7f\0\0\1"], port=port, properties={"team": "a"}, server=f"{name}.local."
    )


def zeroconf_lookup() -> float:
    """A lookup that its cache answers."""
    with zeroconf.Zeroconf(interfaces=["127.0.0.1"]) as zc:
        zc.register_service(info("greeter-1", 1))
        name = f"greeter-1.{TYPE}"
        assert zc.get_service_info(TYPE, name, timeout=5_000) is not None

        def look_up() -> None:
            found = zeroconf.ServiceInfo(TYPE, name)
            assert found.load_from_cache(zc)

        deadline = time.monotonic() + 5
        while not zeroconf.ServiceInfo(TYPE, name).load_from_cache(zc):
            assert time.monotonic() < deadline, "python-zeroconf does not cache its own service"
            time.sleep(0.01)
        return median(look_up)


def zeroconf_browsing() -> float:
    """What its cache holds, told to several browsers. It tells names only."""
    with zeroconf.Zeroconf(interfaces=["127.0.0.1"]) as zc:
        names = [f"greeter-{number}.{TYPE}" for number in range(NODES)]
        pointers = [zeroconf.DNSPointer(TYPE, 12, 1, 4_500, name) for name in names]
        cached = threading.Event()
        assert zc.loop is not None
        zc.loop.call_soon_threadsafe(lambda: (zc.cache.async_add_records(pointers), cached.set()))
        assert cached.wait(5)
        return statistics.median(round_of_browsing(zc) for _ in range(ROUNDS))


def round_of_browsing(zc: zeroconf.Zeroconf) -> float:
    told = threading.Semaphore(0)

    def tell(**_: Any) -> None:
        told.release()

    gc.collect()
    started = time.perf_counter()
    browsers = [zeroconf.ServiceBrowser(zc, TYPE, handlers=[tell]) for _ in range(EVENTS // NODES)]
    for _ in range(EVENTS):
        assert told.acquire(timeout=5)
    spent = time.perf_counter() - started
    for browser in browsers:
        browser.cancel()
    return spent


def main() -> int:
    measured = [
        ("Python: warm `get_service`, 1 node, median", lookup(), LOOKUP_BOUND),
        (f"Python: {EVENTS:,} events iterated, median", iteration(), EVENTS_BOUND),
        (f"Python: {EVENTS:,} changes registered and iterated, median", changes(), None),
        ("python-zeroconf: `load_from_cache`, 1 service, median", zeroconf_lookup(), None),
        (f"python-zeroconf: {EVENTS:,} names told by `ServiceBrowser`, median", zeroconf_browsing(), None),
    ]
    print("# Benchmarks of the Python package\n")
    print(
        f"`make bench-python` on {time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores, "
        f"{platform.python_implementation()} {platform.python_version()}, python-zeroconf {version('zeroconf')}.\n"
    )
    print("| benchmark | time |\n|---|---|")
    for what, seconds, _ in measured:
        print(f"| {what} | {readable(seconds)} |")
    over = [(what, bound) for what, seconds, bound in measured if bound is not None and seconds > bound]
    for what, bound in over:
        print(f"{what}: over its bound of {readable(bound)}", file=sys.stderr)
    return int(bool(over))


def readable(seconds: float) -> str:
    scale, unit = next(((scale, unit) for scale, unit in ((1, "s"), (1e3, "ms")) if seconds * scale >= 1), (1e6, "µs"))
    return f"{seconds * scale:.3g} {unit}"


if __name__ == "__main__":
    sys.exit(main())
