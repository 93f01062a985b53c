from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest
from conftest import PATIENCE

# Who runs the tests in the background may be deaf to SIGINT, and so would be what it starts.
PROGRAM = """
import asyncio, signal, time
from mdns_registry import AsyncRegistry, Registry

signal.signal(signal.SIGINT, signal.default_int_handler)

async def wait_in_a_loop():
    async with AsyncRegistry(addrs=["127.0.0.1"]) as registry, registry.watch("other") as watcher:
        assert (await watcher.next()).type == "synced"
        print("waiting", flush=True)
        await watcher.next()

def look_up_for_ever():
    for number in range(1_000_000):
        try:
            registry.get_service(f"nobody-{number}")
        except LookupError:
            pass

with Registry(addrs=["127.0.0.1"]) as registry, registry.watch("quiet") as watcher:
    assert watcher.next().type == "synced"
    try:
        print("waiting", flush=True)
        CALL
    except KeyboardInterrupt:
        print(time.monotonic(), flush=True)
"""
WAITS = {
    "next": "watcher.next()",
    "next with a timeout": "watcher.next(timeout=60)",
    "iteration": "list(watcher)",
    "a lookup": "look_up_for_ever()",
    "asyncio": "asyncio.run(wait_in_a_loop())",
}


@pytest.mark.parametrize("wait", WAITS)
def test_ctrl_c_ends_a_wait_within_a_tenth_of_a_second(wait: str) -> None:
    program = PROGRAM.replace("CALL", WAITS[wait])
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for _ in range(2 if wait == "asyncio" else 1):
            assert process.stdout.readline() == "waiting\n"
        # Until it blocks: nothing tells when.
        time.sleep(0.3)
        sent = time.monotonic()
        process.send_signal(signal.SIGINT)
        latency = float(process.stdout.readline()) - sent
        assert process.wait(PATIENCE) == 0
    # Of asyncio's the closing of the registry is a part.
    assert latency < (0.4 if wait == "asyncio" else 0.1), f"{latency:.3f} s"


def test_a_handler_that_returns_lets_the_wait_go_on() -> None:
    program = """
import signal, mdns_registry
signal.signal(signal.SIGALRM, lambda *_: print("handled", flush=True))
with mdns_registry.Registry(addrs=["127.0.0.1"]) as registry, registry.watch("quiet") as watcher:
    watcher.next()
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    try:
        watcher.next(timeout=0.5)
    except TimeoutError:
        print("timed out", flush=True)
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=PATIENCE)
    assert run.stdout.split("\n") == ["handled", "timed out", ""], run.stderr


INTERRUPTED = """
import signal, mdns_registry
from mdns_registry import Node, Registry, Service

class Interrupted(Exception):
    pass

def interrupt(*_):
    raise Interrupted

signal.signal(signal.SIGALRM, interrupt)
interrupted = 0
with Registry(addrs=["127.0.0.1"]) as registry:
    registry.register(Service("interrupted", nodes=[Node("stays", port=1)]))
    for number in range(200):
        registration = None
        try:
            signal.setitimer(signal.ITIMER_REAL, 2e-6 * (1 + number))
            registration = registry.register(Service("interrupted", nodes=[Node("node", port=1)]))
            signal.setitimer(signal.ITIMER_REAL, 0)
        except Interrupted:
            pass
        if registration is None:
            interrupted += 1
            (found,) = registry.get_service("interrupted")
            assert [node.id for node in found.nodes] == ["stays"], (number, found)
        else:
            registration.deregister()
print(interrupted)
"""


def test_an_interrupted_registration_publishes_nothing() -> None:
    run = subprocess.run([sys.executable, "-c", INTERRUPTED], capture_output=True, text=True, timeout=3 * PATIENCE)
    assert run.returncode == 0, run.stderr
    assert 0 < int(run.stdout) <= 200
