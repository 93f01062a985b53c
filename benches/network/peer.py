"""python-zeroconf as a program: publishes, looks, watches and reads again, as `library.rs` does, in the same words."""

import asyncio
import json
import socket
import sys
import time
from collections.abc import Callable

from zeroconf import IPVersion, ServiceStateChange, Zeroconf
from zeroconf.asyncio import AsyncServiceBrowser, AsyncServiceInfo, AsyncZeroconf

TYPE = "_mreg._tcp.local."


def tell(said: dict[str, object]) -> None:
    print(json.dumps(said), flush=True)


async def lines() -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    return reader


def node(label: str, port: int, address: str, lease: int) -> AsyncServiceInfo:
    properties = {"id": label, "version": "1.0.0", "zone": "north", "rack": "r-07", "started": "2026-11-22T19:45:40Z"}
    info = AsyncServiceInfo(
        TYPE,
        f"{label}.{TYPE}",
        addresses=[socket.inet_aton(address)],
        port=port,
        properties=properties,
        server=f"{socket.gethostname()}-{address.replace('.', '-')}.local.",
    )
    if lease:
        info.host_ttl = info.other_ttl = lease
    return info


class Seen:
    """What a browser has resolved."""

    def __init__(self, zeroconf: Zeroconf, told: Callable[[str], None] = lambda _: None) -> None:
        self.names: set[str] = set()
        self.deletes = 0
        self.changed_at = 0
        self.changed = asyncio.Event()
        self._told = told
        self._tasks: set[asyncio.Task[None]] = set()
        self.browser = AsyncServiceBrowser(zeroconf, TYPE, handlers=[self._change])

    def _change(self, zeroconf: Zeroconf, service_type: str, name: str, state_change: ServiceStateChange) -> None:
        if state_change is ServiceStateChange.Removed:
            self.deletes += name in self.names
            self.names.discard(name)
            self._note()
        elif AsyncServiceInfo(service_type, name).load_from_cache(zeroconf):
            self._add(name)
        else:
            task = asyncio.ensure_future(self._ask(zeroconf, name))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _ask(self, zeroconf: Zeroconf, name: str) -> None:
        if await AsyncServiceInfo(TYPE, name).async_request(zeroconf, 3000):
            self._add(name)

    def _add(self, name: str) -> None:
        if name not in self.names:
            self.names.add(name)
            self._note()
            self._told(name.removesuffix("." + TYPE))

    def _note(self) -> None:
        self.changed_at = time.time_ns()
        self.changed.set()

    async def all(self, count: int, limit_s: float) -> None:
        try:
            async with asyncio.timeout(limit_s):
                while len(self.names) < count:
                    self.changed.clear()
                    await self.changed.wait()
        except TimeoutError:
            pass


async def publish(zeroconf: AsyncZeroconf, address: str, start: int, count: int, lease: int) -> None:
    def register(label: str, port: int) -> asyncio.Future[object]:
        info = node(label, port, address, lease)
        return asyncio.ensure_future(zeroconf.async_register_service(info, cooperating_responders=True))

    began = time.perf_counter()
    await asyncio.gather(*(register(f"n-{i:05}", 10_000 + i % 50_000) for i in range(start, start + count)))
    tell({"ms": (time.perf_counter() - began) * 1000})
    reader = await lines()
    while line := (await reader.readline()).decode().split():
        at = time.time_ns()
        await register(line[1], 9_000)
        tell({"at": at})


async def look(zeroconf: AsyncZeroconf, count: int, limit_ms: int) -> None:
    began = time.perf_counter()
    seen = Seen(zeroconf.zeroconf)
    await seen.all(count, limit_ms / 1000)
    ms = (time.perf_counter() - began) * 1000
    found = len(seen.names)
    tell({"ms": ms, "found": found, "all_ms": ms if found >= count else None})


async def watch(zeroconf: AsyncZeroconf) -> None:
    def told(label: str) -> None:
        if label.startswith("one-"):
            tell({"id": label, "at": time.time_ns()})

    seen = Seen(zeroconf.zeroconf, told)
    tell({"ms": 0})
    reader = await lines()
    while await reader.readline():
        tell({"visible": len(seen.names), "deletes": seen.deletes, "changed_at": seen.changed_at})


async def warm(zeroconf: AsyncZeroconf, count: int, rounds: int) -> None:
    seen = Seen(zeroconf.zeroconf)
    await seen.all(count, 10)
    names = sorted(seen.names)
    took = []
    for _ in range(rounds):
        began = time.perf_counter_ns()
        found = sum(AsyncServiceInfo(TYPE, name).load_from_cache(zeroconf.zeroconf) for name in names)
        took.append(time.perf_counter_ns() - began)
        assert found == count, f"{found} of {count}"
    tell({"us": [ns / 1000 for ns in took]})


async def main(verb: str, *words: str) -> None:
    zeroconf = AsyncZeroconf(ip_version=IPVersion.V4Only)
    await zeroconf.zeroconf.async_wait_for_start()
    match verb:
        case "publish":
            await publish(zeroconf, words[0], *map(int, words[1:]))
        case "look":
            await look(zeroconf, *map(int, words))
        case "watch":
            await watch(zeroconf)
        case "warm":
            await warm(zeroconf, *map(int, words))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
