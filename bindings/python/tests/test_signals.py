from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest
from conftest import PATIENCE

PROGRAM = """
import asyncio, sys, time, mdns_registry
from mdns_registry import AsyncRegistry, Registry

def waiting():
    print("waiting", flush=True)

def told():
    print(f"{{time.monotonic():.6f}}", flush=True)

async def anext_():
    async with AsyncRegistry(addrs=["127.0.0.1"]) as registry, registry.watch("quiet") as watcher:
        assert (await watcher.next()).type == "synced"
        waiting()
        await watcher.next()

with Registry(addrs=["127.0.0.1"], timeout=60) as registry, registry.watch("quiet") as watcher:
    assert watcher.next(timeout=90).type == "synced" if "{wait}" == "watcher.next()" else True
    try:
        {before}
        {wait}
    except KeyboardInterrupt:
        told()
"""
WAITS = {
    "next": ("waiting()", "watcher.next()"),
    "next with a timeout": ("waiting()", "watcher.next(timeout=60)"),
    "iteration": ("waiting()", "list(watcher)"),
    "a lookup": ("waiting()", "registry.get_service('nobody')"),
    "asyncio": ("pass", "asyncio.run(anext_())"),
}


@pytest.mark.parametrize("wait", WAITS)
def test_ctrl_c_ends_a_wait_within_a_tenth_of_a_second(wait: str) -> None:
    before, call = WAITS[wait]
    program = PROGRAM.format(before=before, wait=call).replace("timeout=60", "timeout=0.5", int(wait == "next"))
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "waiting\n"
        latencies = []
        time.sleep(0.3)  # Until it blocks: nothing tells when.
        sent = time.monotonic()
        process.send_signal(signal.SIGINT)
        said = process.stdout.readline()
        latencies.append(float(said) - sent)
        assert process.wait(PATIENCE) == 0
    assert latencies[0] < 0.1, f"{latencies[0]:.3f} s"


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
