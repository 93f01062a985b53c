"""A registry whose calls wait."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypedDict

from . import _mdns_registry, logs
from .errors import Closed, Forked, RegistryError, Timeout
from .model import Event, Service, to_json
from .times import Seconds, milliseconds, seconds

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

Description = Service | Mapping[str, Any]
"""A service to register: a dataclass, or a mapping with go-micro's keys."""


class Options(TypedDict, total=False):
    """How a registry speaks. What is left out has its default."""

    addrs: Sequence[str]
    """Interface names or local addresses to speak on; by default every interface that can."""
    timeout: Seconds
    """How long a lookup waits for an answer nobody has given yet: 1 ms to 60 s."""
    wire: Sequence[str] | None
    """Of "dns-sd" and "go-micro" those to speak, each of which must carry every node; None for each that can."""
    domain: str
    """go-micro's domain, "micro" or "local"; DNS-SD does not use it."""
    link: str
    """Which mDNS carries the records."""
    port: int
    """UDP port; other than 5353 only for tests."""
    secure: bool
    tls: Mapping[str, str] | None
    allow_unsigned: Sequence[str]
    user: str | None
    password: str | None


def options_json(options: Mapping[str, Any]) -> str:
    """Options as the library reads them, which counts milliseconds."""
    said = dict(options)
    if "timeout" in said:
        said["timeout_ms"] = milliseconds("timeout", said.pop("timeout"))
    return to_json("options", said)


def register_options_json(ttl: Seconds | None, auto_renew: bool) -> str:
    said: dict[str, Any] = {"auto_renew": auto_renew}
    if ttl is not None:
        said["ttl_ms"] = milliseconds("ttl", ttl)
    return to_json("register options", said)


def selection_json(service: str | Description) -> str:
    return to_json("service", {"name": service} if isinstance(service, str) else service)


class RegistryBase:
    """What both faces share: the calls that do not wait."""

    def __init__(self, **options: Unpack[Options]) -> None:
        self._open(options)

    def _open(self, options: Mapping[str, Any] | None) -> None:
        logs.prepare()
        open_default = _mdns_registry.Registry.default
        self._native = open_default() if options is None else _mdns_registry.Registry(options_json(options))
        self._closed = False
        logs.forward()

    @classmethod
    def default(cls) -> Self:
        """A reference of its own to the process's default registry, which has its options from the environment
        variable `MDNS_REGISTRY_OPTIONS` (JSON) and closes with its last reference."""
        registry = cls.__new__(cls)
        registry._open(None)
        return registry

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    def init(self, **options: Unpack[Options]) -> None:
        """Changes options in place; a refused change changes nothing. What decides how a registry is connected
        (`wire`, `domain`, `link`, `port`) cannot change while anything is registered or watched."""
        self._native.init(options_json(options))

    def options(self) -> dict[str, Any]:
        """Every option in force, under the names by which a registry is opened."""
        options: dict[str, Any] = json.loads(self._native.options())
        options["timeout"] = options.pop("timeout_ms") / 1_000
        return options

    def stats(self) -> dict[str, Any]:
        """What was heard, kept and refused, counted; `refused` by the reasons of docs/limits.md."""
        stats: dict[str, Any] = json.loads(self._native.stats())
        return stats

    def string(self) -> str:
        """The kind of registry, "mdns"."""
        return self._native.string()

    def _abandon(self, service: str, error: BaseException) -> None:
        """Withdraws the nodes of a registration that `error` ended, unless it says that there is none."""
        if not isinstance(error, RegistryError):
            with suppress(RegistryError):
                # As it was understood: a descriptor without nodes would mean all of the name.
                self._native.deregister(Service.from_json(service).to_json())

    def _watch(self, service: str | None, queue: int | None) -> _mdns_registry.Watcher:
        options = {"service": service, "queue": queue}
        return self._native.watch(to_json("watch options", {k: v for k, v in options.items() if v is not None}))

    __str__ = string

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.string()}, {'closed' if self._closed else 'open'}>"

    def __del__(self) -> None:
        # What never opened has no `_closed`.
        if not getattr(self, "_closed", True):
            warn_unclosed(self)


def warn_unclosed(what: object) -> None:
    """As Python does for files; the library ends it all the same."""
    if not _mdns_registry.forked():
        warnings.warn(f"unclosed {what!r}", ResourceWarning, source=what, stacklevel=3)


class Registry(RegistryBase):
    """An open registry. Close it, or use it in a `with` statement: that withdraws what it registered."""

    def register(self, service: Description, *, ttl: Seconds | None = None, auto_renew: bool = True) -> Registration:
        """Publishes every node, all or none; a node whose id is registered is replaced.

        `ttl` is the lease, 3 s to 24 h: so long after the death of this process a node is gone from every view.
        None is 120 s. The library renews the lease for as long as the process lives; without `auto_renew` the
        program registers again within `ttl`, or the node is withdrawn. Where the call is interrupted, as by Ctrl-C,
        the nodes are withdrawn.
        """
        said, options = to_json("service", service), register_options_json(ttl, auto_renew)
        try:
            return Registration(self, self._native.register(said, options).wait())
        except BaseException as error:
            self._abandon(said, error)
            raise

    def deregister(self, service: str | Description) -> None:
        """Withdraws nodes of this registry: all of a name; or the nodes, by id, of a dataclass or mapping (of a
        mapping without "nodes" all). Unknown ids are no error."""
        self._native.deregister(selection_json(service)).wait()

    def get_service(self, name: str) -> list[Service]:
        """One Service a version, nodes sorted by id; `NotFound` if there is none.

        At once for a name looked up in the last minute, or watched; otherwise the network is asked, for at most the
        option `timeout`.
        """
        services: list[Service] = self._native.get_service(name).wait()
        return services

    def list_services(self) -> list[Service]:
        """Services with a name only, sorted."""
        services: list[Service] = self._native.list_services().wait()
        return services

    def watch(self, service: str | None = None, *, queue: int | None = None) -> Watcher:
        """Watches one service, or all: first what is present, then "synced", then every change in order.

        `queue` bounds the changes kept for a reader that is behind (1,024 by default); over it, "resync" and the
        present state follow.
        """
        return Watcher(self, self._watch(service, queue))

    def close(self) -> None:
        """Withdraws what was registered and ends every watch and lookup; takes at most 250 ms. Closing again does
        nothing."""
        pending = self._native.close()
        self._closed = True
        pending.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(Forked):
            self.close()


class Registration:
    """Nodes that were registered together; leaving its `with` statement withdraws exactly these."""

    def __init__(self, registry: Registry, service: Service) -> None:
        self._registry = registry
        self.service = service
        """What was registered, as it was understood."""

    def deregister(self) -> None:
        """Withdraws the nodes. Doing so again does nothing."""
        self._registry.deregister(self.service)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.service!r}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # A registry that closed has withdrawn them, and a child of a fork never had them.
        with suppress(Closed, Forked):
            self.deregister()


class WatcherBase:
    """What both watchers share."""

    def __init__(self, registry: RegistryBase, native: _mdns_registry.Watcher) -> None:
        self._registry = registry
        self._native = native
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether `close` was called on it or its registry."""
        return self._closed or self._registry.closed

    def close(self) -> None:
        """Ends the watch: readers that wait, and all later ones, see its end. Never waits; closing again does
        nothing."""
        self._native.stop()
        self._closed = True

    def fileno(self) -> int:
        """A descriptor that is readable while events wait or the watch is over; only to be polled."""
        return self._native.fileno()

    def __repr__(self) -> str:
        return f"<{type(self).__name__}, {'closed' if self.closed else 'open'}>"

    def __del__(self) -> None:
        if not self.closed:
            warn_unclosed(self)


class Watcher(WatcherBase):
    """Events, by iteration or by `next`. Several threads may read one watcher: each event goes to one of them."""

    def next(self, timeout: Seconds | None = None) -> Event:
        """The next event; waits for it for at most `timeout` seconds, by default for ever.

        Raises `Timeout` if none came, `Closed` once the watch is over.
        """
        limit = None if timeout is None else seconds("timeout", timeout)
        event = self._native.next(limit)
        if event is None:
            raise Timeout(f"no event came within {limit:g} s")
        return event

    def __iter__(self) -> Iterator[Event]:
        return self

    def __next__(self) -> Event:
        try:
            return self.next()
        except Closed:
            raise StopIteration from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(Forked):
            self.close()
