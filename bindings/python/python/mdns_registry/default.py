"""The verbs on the process's default registry, which opens at first use and closes with the process."""

from __future__ import annotations

import atexit
import os
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from . import logs
from .errors import Forked
from .model import Service
from .registry import Description, Options, Registration, Registry, Watcher
from .times import Seconds

if TYPE_CHECKING:
    from typing_extensions import Unpack

_lock = threading.Lock()
_held: Registry | None = None


def default() -> Registry:
    """The registry that the module's verbs use. `Registry.default()` gives a reference of your own to the same."""
    global _held
    with _lock:
        if _held is None or _held.closed:
            _held = Registry.default()
        return _held


def register(service: Description, *, ttl: Seconds | None = None, auto_renew: bool = True) -> Registration:
    """`Registry.register` on the default registry."""
    return default().register(service, ttl=ttl, auto_renew=auto_renew)


def deregister(service: str | Description) -> None:
    """`Registry.deregister` on the default registry."""
    default().deregister(service)


def get_service(name: str) -> list[Service]:
    """`Registry.get_service` on the default registry."""
    return default().get_service(name)


def list_services() -> list[Service]:
    """`Registry.list_services` on the default registry."""
    return default().list_services()


def watch(service: str | None = None, *, queue: int | None = None) -> Watcher:
    """`Registry.watch` on the default registry."""
    return default().watch(service, queue=queue)


def init(**options: Unpack[Options]) -> None:
    """`Registry.init` on the default registry."""
    default().init(**options)


def options() -> dict[str, Any]:
    """`Registry.options` of the default registry."""
    return default().options()


def stats() -> dict[str, Any]:
    """`Registry.stats` of the default registry."""
    return default().stats()


def string() -> str:
    """`Registry.string` of the default registry."""
    return default().string()


def close() -> None:
    """Closes the default registry, if it is open; the next verb opens it anew."""
    if _held is not None:
        _held.close()


def _unlock() -> None:
    """In a forked child the thread that held the lock is not there."""
    global _lock
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_unlock)


@atexit.register
def _end() -> None:
    with suppress(Forked):
        close()
    logs.end()
