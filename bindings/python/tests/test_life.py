from __future__ import annotations

import gc
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import LOOPBACK, PATIENCE, eventually, our_threads, service

import mdns_registry
from mdns_registry import Registry
from mdns_registry import _mdns_registry as native

CYCLES = 1_000


def resident() -> int:
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def test_a_thousand_cycles_of_open_and_close_leave_nothing_behind() -> None:
    def cycle(number: int) -> None:
        with Registry(addrs=LOOPBACK) as registry:
            if number % 10 == 0:
                registry.register(service("cycle", "a"))
            with registry.watch() as watcher:
                assert watcher.fileno() > 0

    def measured() -> tuple[int, int]:
        eventually(our_threads, lambda names: not names)
        gc.collect()
        return len(os.listdir("/proc/self/fd")), resident()

    for number in range(CYCLES // 5):
        cycle(number)
    descriptors, memory = measured()
    for number in range(CYCLES):
        cycle(number)
    after = measured()
    assert after[0] == descriptors
    assert after[1] - memory < 4 << 20, f"{(after[1] - memory) >> 10} KiB more"


def test_the_extension_exports_its_init_function_only() -> None:
    assert native.__file__ is not None
    nm = shutil.which("nm")
    assert nm is not None, "nm (binutils) is missing"
    listed = subprocess.run([nm, "-D", "--defined-only", native.__file__], check=True, capture_output=True, text=True)
    assert [line.split()[-1] for line in listed.stdout.splitlines()] == ["PyInit__mdns_registry"]


def test_the_version_is_that_of_the_library() -> None:
    assert mdns_registry.__version__ == native.VERSION


@pytest.mark.parametrize(
    "end", ["pass", "sys.exit(0)", "os._exit(0)", "threading.Thread(target=list, args=(w,)).start(); os._exit(0)"]
)
def test_leaving_main_without_close_hangs_and_crashes_nothing(end: str) -> None:
    program = f"""
import os, sys, threading, warnings, mdns_registry, asyncio, logging
logging.basicConfig(level=logging.DEBUG)
r = mdns_registry.Registry(addrs=["127.0.0.1"])
a = mdns_registry.AsyncRegistry(addrs=["127.0.0.1"])
w = r.watch()
r.register({{"name": "unclosed", "nodes": [{{"id": "a", "port": 1}}]}})
daemon = threading.Thread(target=lambda: [w.next() for _ in range(1000)], daemon=True)
daemon.start()
{end}
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=PATIENCE)
    assert run.returncode == 0, run.stderr
    assert "Error" not in run.stderr
