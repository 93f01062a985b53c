"""A registry for asyncio: no thread waits, and a cancelled wait takes no event."""

from __future__ import annotations

import asyncio
import itertools
import math
from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Iterable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from . import _mdns_registry
from .errors import Closed, Forked, Timeout
from .model import Event, Service, to_json
from .registry import (
    Description,
    RegistryBase,
    WatcherBase,
    register_options_json,
    selection_json,
)
from .times import Seconds, seconds

if TYPE_CHECKING:
    from typing_extensions import Self

_Waiting = dict[int, "asyncio.Future[None]"]


class _Bell:
    """What waits in one event loop for a descriptor; the loop watches it while anything waits."""

    _tokens = itertools.count()

    def __init__(self, fd: int, rung: Callable[[_Waiting], Iterable[int]]) -> None:
        self._loop = asyncio.get_running_loop()
        self._fd = fd
        self._rung = rung
        self._waiting: _Waiting = {}

    def token(self) -> int:
        return next(self._tokens)

    @property
    def idle(self) -> bool:
        return not self._waiting

    async def wait(self, token: int, deadline: float | None = None) -> None:
        """Ends when the bell rings for `token`, or at `deadline` by the loop's clock."""
        future = self._loop.create_future()
        if self.idle:
            self._loop.add_reader(self._fd, self._ring)
        self._waiting[token] = future
        timer = None if deadline is None else self._loop.call_at(deadline, _wake, future)
        try:
            await future
        finally:
            if timer is not None:
                timer.cancel()
            del self._waiting[token]
            if self.idle and not self._loop.is_closed():
                self._loop.remove_reader(self._fd)

    def _ring(self) -> None:
        for token in self._rung(self._waiting):
            _wake(self._waiting.get(token))


def _wake(future: asyncio.Future[None] | None) -> None:
    if future is not None and not future.done():
        future.set_result(None)


def _first(waiting: _Waiting) -> Iterable[int]:
    """One at a time: the descriptor stays readable for the next while events wait."""
    return itertools.islice((token for token, future in waiting.items() if not future.done()), 1)


_B = TypeVar("_B", bound=_Bell)


class _Bells(Generic[_B]):
    """One bell for each event loop in which something waits."""

    def __init__(self, make: Callable[[], _B]) -> None:
        self._make = make
        self._bells: dict[asyncio.AbstractEventLoop, _B] = {}

    async def until(self, ready: Callable[[_B, int], bool], deadline: float | None = None) -> bool:
        """Waits until `ready`, which is asked anew after each ring; false if `deadline` comes first."""
        loop = asyncio.get_running_loop()
        bell = self._bells.get(loop)
        if bell is None:
            bell = self._bells[loop] = self._make()
        token = bell.token()
        try:
            while not ready(bell, token):
                if deadline is not None and loop.time() >= deadline:
                    return False
                await bell.wait(token, deadline)
        finally:
            if bell.idle and self._bells.get(loop) is bell:
                del self._bells[loop]
        return True


class _VerbBell(_Bell):
    def __init__(self) -> None:
        wakeup = self.wakeup = _mdns_registry.Wakeup()
        super().__init__(wakeup.fileno(), lambda _: wakeup.take())


class AsyncRegistry(RegistryBase):
    """An open registry for asyncio. Close it, or use it in an `async with` statement: that withdraws what it
    registered. Calls that may wait are awaited, the others are not. It may be used from several event loops."""

    async def _answer(self, pending: _mdns_registry.Pending) -> Any:
        if not pending.poll():
            await self._bells.until(lambda bell, token: pending.poll(bell.wakeup, token))
        return pending.wait()

    def _open(self, options: Mapping[str, Any] | None) -> None:
        self._bells = _Bells(_VerbBell)
        super()._open(options)

    def register(self, service: Description, *, ttl: Seconds | None = None, auto_renew: bool = True) -> Registering:
        """Publishes every node, as `Registry.register` does. Await it for an `AsyncRegistration`, or enter it with
        `async with`. Where it is cancelled, the nodes are withdrawn."""
        return Registering(self._register(to_json("service", service), register_options_json(ttl, auto_renew)))

    async def _register(self, service: str, options: str) -> AsyncRegistration:
        try:
            return AsyncRegistration(self, await self._answer(self._native.register(service, options)))
        except BaseException as error:
            self._abandon(service, error)
            raise

    async def deregister(self, service: str | Description) -> None:
        """Withdraws nodes, as `Registry.deregister` does."""
        await self._answer(self._native.deregister(selection_json(service)))

    async def get_service(self, name: str) -> list[Service]:
        """One Service a version, nodes sorted by id; `NotFound` if there is none."""
        services: list[Service] = await self._answer(self._native.get_service(name))
        return services

    async def list_services(self) -> list[Service]:
        """Services with a name only, sorted."""
        services: list[Service] = await self._answer(self._native.list_services())
        return services

    def watch(self, service: str | None = None, *, queue: int | None = None) -> AsyncWatcher:
        """Watches one service, or all, as `Registry.watch` does."""
        return AsyncWatcher(self, self._watch(service, queue))

    async def close(self) -> None:
        """Withdraws what was registered and ends every watch and lookup; takes at most 250 ms. Closing again does
        nothing."""
        pending = self._native.close()
        self._closed = True
        await self._answer(pending)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(Forked):
            await self.close()


class AsyncRegistration:
    """Nodes that were registered together; leaving its `async with` statement withdraws exactly these."""

    def __init__(self, registry: AsyncRegistry, service: Service) -> None:
        self._registry = registry
        self.service = service
        """What was registered, as it was understood."""

    async def deregister(self) -> None:
        """Withdraws the nodes. Doing so again does nothing."""
        await self._registry.deregister(self.service)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.service!r}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # A registry that closed has withdrawn them, and a child of a fork never had them.
        with suppress(Closed, Forked):
            await self.deregister()


class Registering(Coroutine[Any, Any, AsyncRegistration]):
    """A registration under way: to be awaited, or entered with `async with`."""

    def __init__(self, coroutine: Coroutine[Any, Any, AsyncRegistration]) -> None:
        self._coroutine = coroutine

    def __await__(self) -> Generator[Any, Any, AsyncRegistration]:
        return self._coroutine.__await__()

    def send(self, value: Any) -> Any:
        return self._coroutine.send(value)

    def throw(self, *args: Any) -> Any:
        return self._coroutine.throw(*args)

    def close(self) -> None:
        self._coroutine.close()

    async def __aenter__(self) -> AsyncRegistration:
        self._registration = await self._coroutine
        return self._registration

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._registration.__aexit__(kind, error, trace)


class AsyncWatcher(WatcherBase):
    """Events, by asynchronous iteration or by `next`. Several tasks may read one watcher: each event goes to one of
    them. A wait that is cancelled takes no event."""

    def __init__(self, registry: AsyncRegistry, native: _mdns_registry.Watcher) -> None:
        super().__init__(registry, native)
        self._bells = _Bells(lambda: _Bell(native.fileno(), _first))

    async def next(self, timeout: Seconds | None = None) -> Event:
        """The next event; waits for it for at most `timeout` seconds, by default for ever.

        Raises `Timeout` if none came, `Closed` once the watch is over.
        """
        limit = math.inf if timeout is None else seconds("timeout", timeout)
        deadline = None if math.isinf(limit) else asyncio.get_running_loop().time() + limit
        event = self._native.next(0)
        if event is not None:
            return event

        def taken(_bell: _Bell, _token: int) -> bool:
            nonlocal event
            event = self._native.next(0)
            return event is not None

        await self._bells.until(taken, deadline)
        if event is None:
            raise Timeout(f"no event came within {limit:g} s")
        return event

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __anext__(self) -> Event:
        try:
            return await self.next()
        except Closed:
            raise StopAsyncIteration from None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(Forked):
            self.close()
