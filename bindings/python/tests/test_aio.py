from __future__ import annotations

import asyncio
import gc
import logging
import os
import random
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from conftest import LOOPBACK, PATIENCE, ids, our_threads, service

from mdns_registry import (
    Action,
    AsyncRegistration,
    AsyncRegistry,
    AsyncWatcher,
    Cancelled,
    Closed,
    Event,
    Forked,
    NotFound,
    Timeout,
)

BLOCKED = 0.5
"""Seconds a callback of the loop may take on a busy machine; a call that waited in it would take longer."""


def run(main: Coroutine[Any, Any, None], caplog: pytest.LogCaptureFixture) -> None:
    """Runs to the end in a loop that says which callback kept it."""

    async def watched() -> None:
        asyncio.get_running_loop().slow_callback_duration = BLOCKED
        await asyncio.wait_for(main, 6 * PATIENCE)

    with caplog.at_level(logging.WARNING, "asyncio"):
        asyncio.run(watched(), debug=True)
    assert [record.getMessage() for record in caplog.records if record.name == "asyncio"] == []


async def next_change(watcher: AsyncWatcher) -> Event:
    while True:
        event = await watcher.next(timeout=PATIENCE)
        if event.type == "service":
            return event


@asynccontextmanager
async def opened() -> AsyncIterator[AsyncRegistry]:
    async with AsyncRegistry(addrs=LOOPBACK) as registry:
        yield registry


def bells() -> int:
    """Descriptors of the kind that wakes a loop; the library's sockets come and go."""
    kinds = []
    for fd in os.listdir("/proc/self/fd"):
        with suppress(OSError):
            kinds.append(os.readlink(f"/proc/self/fd/{fd}"))
    return sum("eventfd" in kind for kind in kinds)


def test_every_verb_can_be_awaited(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with opened() as registry, opened() as other:
            registration = await registry.register(service("awaited", "a", "b"), ttl=30)
            assert ids([registration.service]) == ["a", "b"]
            assert ids(await registry.get_service("awaited")) == ["a", "b"]
            assert ids(await other.get_service("awaited")) == ["a", "b"]
            assert "awaited" in [one.name for one in await other.list_services()]
            await registry.deregister(service("awaited", "a"))
            assert ids(await registry.get_service("awaited")) == ["b"]
            await registration.deregister()
            with pytest.raises(NotFound):
                await registry.get_service("awaited")
            registry.init(timeout=0.2)
            assert registry.options()["timeout"] == 0.2
            assert registry.stats()["registered"] == 0
            assert str(registry) == "mdns"
        await registry.close()
        with pytest.raises(Closed):
            await registry.get_service("awaited")

    run(main(), caplog)


class Heart:
    """A task that says how long the loop left it waiting, beyond the short sleep it asked for."""

    BEAT = 0.005
    longest = 0.0

    async def _beat(self) -> None:
        while True:
            started = time.monotonic()
            await asyncio.sleep(self.BEAT)
            self.longest = max(self.longest, time.monotonic() - started - self.BEAT)

    async def longest_pause(self, call: Awaitable[Any]) -> tuple[float, Any]:
        self.longest = 0.0
        beating = asyncio.create_task(self._beat())
        await asyncio.sleep(2 * self.BEAT)
        result: Any = (await asyncio.gather(call, return_exceptions=True))[0]
        await asyncio.sleep(2 * self.BEAT)
        beating.cancel()
        return self.longest, result


WAIT = 0.4
"""Seconds to wait for what does not come; a lookup settles after 0.15."""


async def reopened() -> None:
    async with opened():
        pass


VERBS: dict[str, tuple[Callable[[AsyncRegistry, AsyncWatcher], Awaitable[Any]], type]] = {
    "a lookup of nobody": (lambda registry, _: registry.get_service("nobody"), NotFound),
    "a listing": (lambda registry, _: registry.list_services(), list),
    "a wait for an event": (lambda _, watcher: watcher.next(timeout=WAIT), Timeout),
    "a registration": (lambda registry, _: registry.register(service("beats", "a", "b")), AsyncRegistration),
    "a withdrawal": (lambda registry, _: registry.deregister("stays"), type(None)),
    "an opening": (lambda *_: reopened(), type(None)),
    "a close": (lambda registry, _: registry.close(), type(None)),
}


@pytest.mark.parametrize("verb", VERBS)
def test_the_loop_is_never_blocked(verb: str, caplog: pytest.LogCaptureFixture) -> None:
    call, kind = VERBS[verb]

    async def pause() -> float:
        async with AsyncRegistry(addrs=LOOPBACK, timeout=WAIT) as registry, registry.watch("quiet") as watcher:
            assert (await watcher.next(timeout=PATIENCE)).type == "synced"
            await registry.register(service("stays", *map(str, range(100))))
            longest, result = await Heart().longest_pause(call(registry, watcher))
            assert type(result) is kind, result
            return longest

    async def main() -> None:
        # A busy machine pauses anybody now and then; a call that blocks does so each time.
        pauses = [await pause()]
        while pauses[-1] >= 0.1:
            assert len(pauses) < 3, pauses
            pauses.append(await pause())

    run(main(), caplog)


def test_a_registration_is_a_context_and_a_coroutine(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with opened() as registry:
            async with registry.register(service("entered", "a")) as registration:
                assert ids(await registry.get_service("entered")) == ["a"]
                assert ids([registration.service]) == ["a"]
            with pytest.raises(NotFound):
                await registry.get_service("entered")
            async with await registry.register(service("entered", "b")):
                assert ids(await registry.get_service("entered")) == ["b"]
            task = asyncio.create_task(registry.register(service("entered", "c")))
            assert ids([(await task).service]) == ["c"]

    run(main(), caplog)


def test_a_cancelled_registration_publishes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        cancelled = 0
        async with opened() as registry:
            await registry.register(service("cancelled", "stays"))
            for number in range(80):
                task = asyncio.create_task(registry.register(service("cancelled", f"n{number}")))
                # After a turn or more it can be registered before it is cancelled.
                for _ in range(number % 4):
                    await asyncio.sleep(0)
                if task.cancel():
                    with pytest.raises(asyncio.CancelledError):
                        await task
                    cancelled += 1
                    assert ids(await registry.get_service("cancelled")) == ["stays"]
                else:
                    await (await task).deregister()
        assert cancelled >= 20

    run(main(), caplog)


def test_a_watch_is_iterated_until_it_is_closed(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with opened() as registry, registry.watch("iterated") as watcher:
            told: list[str] = []

            async def read() -> None:
                async for event in watcher:
                    told.append(str(event.action or event.type))

            reader = asyncio.create_task(read())
            for port in (80, 81):
                await registry.register(service("iterated", "a", port=port))
                while not told or told[-1] not in ("create", "update"):
                    await asyncio.sleep(0)
                told.append("-")
            watcher.close()
            await reader
            assert [word for word in told if word not in ("-", "synced")] == ["create", "update"]

    run(main(), caplog)


def test_next_ends_at_its_timeout_and_at_the_end(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with opened() as registry:
            watcher = registry.watch("quiet")
            assert (await watcher.next(timeout=PATIENCE)).type == "synced"
            started = time.monotonic()
            with pytest.raises(Timeout, match=r"within 0\.2 s"):
                await watcher.next(timeout=0.2)
            assert 0.19 <= time.monotonic() - started < 0.4
            with pytest.raises(TimeoutError):
                await watcher.next(timeout=0)
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(watcher.next(), 0.05)
            waiting = asyncio.create_task(watcher.next())
            await asyncio.sleep(0)
            watcher.close()
            with pytest.raises(Closed):
                await waiting

    run(main(), caplog)


def test_no_event_is_lost_over_10_000_waits_of_which_a_third_are_cancelled(caplog: pytest.LogCaptureFixture) -> None:
    """In each round several waits begin while nothing is there, every node changes once, and some turns of the loop
    later most of the waits are cancelled: before their bell rang, after it, and after they took an event."""
    nodes = [f"n{number}" for number in range(8)]
    dice = random.Random(1)

    async def turns(most: int) -> None:
        for _ in range(dice.randrange(most)):
            await asyncio.sleep(0)

    async def main() -> None:
        waits = cancelled = port = 0
        async with opened() as registry, registry.watch("cancelled") as watcher:
            assert (await watcher.next(timeout=PATIENCE)).type == "synced"
            while waits < 10_000:
                port += 1
                waiting = [asyncio.create_task(watcher.next(timeout=PATIENCE)) for _ in range(6)]
                await turns(3)
                registering = asyncio.create_task(registry.register(service("cancelled", *nodes, port=port)))
                await turns(6)
                for task in waiting:
                    if dice.random() < 0.9:
                        task.cancel()
                results = await asyncio.gather(*waiting, return_exceptions=True)
                cancelled += sum(isinstance(result, asyncio.CancelledError) for result in results)
                told = [result for result in results if isinstance(result, Event)]
                left = len(nodes) - len(told)
                told += [await watcher.next(timeout=PATIENCE) for _ in range(left)]
                waits += len(waiting) + left
                assert sorted(event.node.id for event in told if event.node) == nodes
                assert {event.node.port for event in told if event.node} == {port}
                assert {event.action for event in told} == {Action.CREATE if port == 1 else Action.UPDATE}
                await registering
            with pytest.raises(Timeout):
                await watcher.next(timeout=0)
        assert cancelled * 3 >= waits, f"{cancelled} of {waits} were cancelled"

    run(main(), caplog)


def test_several_tasks_may_read_one_watcher_and_the_cancelled_take_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with opened() as registry, registry.watch("shared") as watcher:
            assert (await watcher.next()).type == "synced"
            tasks = [asyncio.create_task(watcher.next(timeout=PATIENCE)) for _ in range(30)]
            await asyncio.sleep(0)
            for task in tasks[::3]:
                task.cancel()
            await registry.register(service("shared", *(str(number) for number in range(20))))
            results = await asyncio.gather(*tasks, return_exceptions=True)
            seen = [result.node.id for result in results if isinstance(result, Event) and result.node]
            assert sorted(seen, key=int) == [str(number) for number in range(20)]

    run(main(), caplog)


@pytest.mark.parametrize("turns", range(6))
def test_a_cancelled_wait_leaves_its_event_to_the_next_reader(turns: int, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with opened() as registry, registry.watch("handed-on") as watcher:
            assert (await watcher.next()).type == "synced"
            first, second = (asyncio.create_task(watcher.next(timeout=PATIENCE)) for _ in range(2))
            await asyncio.sleep(0)
            registering = asyncio.create_task(registry.register(service("handed-on", "a")))
            for _ in range(turns):
                await asyncio.sleep(0)
            reader = second if first.cancel() else first
            node = (await reader).node
            assert node is not None
            assert node.id == "a"
            second.cancel()
            await registering

    run(main(), caplog)


def test_a_thousand_lookups_under_way_need_one_descriptor_and_no_thread() -> None:
    async def main() -> None:
        async with opened() as registry:
            with pytest.raises(NotFound):
                await registry.get_service("warm-up")
            before, threads = bells(), len(our_threads())
            lookups = [asyncio.create_task(registry.get_service(f"nobody-{number}")) for number in range(1_000)]
            await asyncio.sleep(0.01)
            assert bells() <= before + 1
            assert len(our_threads()) == threads
            for lookup in lookups[::3]:
                lookup.cancel()
            results = await asyncio.gather(*lookups, return_exceptions=True)
            kinds = {kind: sum(type(result) is kind for result in results) for kind in map(type, results)}
            assert set(kinds) <= {NotFound, asyncio.CancelledError}
            assert kinds[NotFound] >= 666
            # The last exceptions still hold their frames.
            assert bells() <= before + 1

    asyncio.run(main())


def test_two_thousand_lookups_one_after_the_other_leave_no_descriptor_to_the_cycle_collector() -> None:
    async def main() -> None:
        async with AsyncRegistry(addrs=LOOPBACK, timeout=0.001) as registry:
            before = bells()
            for number in range(2_000):
                with suppress(NotFound):
                    await registry.get_service(f"nobody-{number}")
            assert bells() == before

    gc.disable()
    try:
        asyncio.run(main())
    finally:
        gc.enable()


def test_close_cancels_the_lookups_of_every_task(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        registry = AsyncRegistry(addrs=LOOPBACK, timeout=30)
        lookups = [asyncio.create_task(registry.get_service(f"never-{number}")) for number in range(10)]
        await asyncio.sleep(0)
        await registry.close()
        results = await asyncio.gather(*lookups, return_exceptions=True)
        assert [type(result) for result in results] == [Cancelled] * 10

    run(main(), caplog)


def test_one_registry_serves_several_loops_one_after_the_other_and_at_once() -> None:
    async def look(registry: AsyncRegistry, watcher: AsyncWatcher, name: str) -> None:
        for number in range(20):
            with pytest.raises(NotFound):
                await registry.get_service(f"{name}-{number}")
        await registry.register(service("loops", name))
        while (event := await watcher.next(timeout=PATIENCE)).node is None:
            pass
        seen.append(event.node.id)

    seen: list[str] = []
    registry = AsyncRegistry(addrs=LOOPBACK, timeout=0.02)
    watcher = registry.watch("loops")
    asyncio.run(look(registry, watcher, "first"))
    threads = [
        threading.Thread(target=lambda n: asyncio.run(look(registry, watcher, n)), args=(name,)) for name in "abcd"
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert sorted(seen) == ["a", "b", "c", "d", "first"]
    asyncio.run(registry.close())


def test_a_loop_that_ends_in_the_middle_of_a_wait_leaves_nothing_behind() -> None:
    registry = AsyncRegistry(addrs=LOOPBACK)
    try:
        watcher = registry.watch("left")
        watcher.fileno()
        before = bells()
        for _ in range(20):
            loop = asyncio.new_event_loop()
            tasks = [loop.create_task(watcher.next()), loop.create_task(registry.get_service("nobody"))]
            loop.run_until_complete(asyncio.sleep(0))
            for task in tasks:
                task.cancel()
            loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
            loop.close()
        # The last exceptions still hold their frames.
        assert bells() <= before + 1
    finally:
        asyncio.run(registry.close())


def test_what_was_never_closed_warns_and_ends_when_it_is_dropped() -> None:
    registry = AsyncRegistry(addrs=LOOPBACK)
    watcher = registry.watch()
    before = bells()
    asyncio.run(watcher.next())
    with pytest.warns(ResourceWarning, match="unclosed <AsyncWatcher, open>"):
        del watcher
    assert bells() <= before
    with pytest.warns(ResourceWarning, match="unclosed <AsyncRegistry mdns, open>"):
        del registry


def test_the_default_registry_has_an_async_face(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("MDNS_REGISTRY_OPTIONS", '{"addrs":["127.0.0.1"],"timeout_ms":123}')

    async def main() -> None:
        async with AsyncRegistry.default() as registry:
            assert registry.options()["timeout"] == 0.123

    run(main(), caplog)


def test_a_forked_loop_is_told_so() -> None:
    async def child(registry: AsyncRegistry, watcher: AsyncWatcher) -> None:
        for call in (registry.get_service("a"), registry.list_services(), watcher.next(), registry.close()):
            with pytest.raises(Forked):
                await call

    registry = AsyncRegistry(addrs=LOOPBACK)
    watcher = registry.watch()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            asyncio.run(child(registry, watcher))
            status = 0
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    asyncio.run(registry.close())
