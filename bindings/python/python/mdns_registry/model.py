"""What a registry holds and tells: go-micro's data, frozen.

A field that takes several values takes any sequence and keeps a tuple; metadata is a mapping of str to str and is kept
as a dict, which freezing does not reach.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from enum import Enum
from typing import Any, Literal

from . import _mdns_registry, errors


class _Word(str, Enum):
    def __str__(self) -> str:
        return str(self.value)

    def __repr__(self) -> str:
        return f"{type(self).__name__}.{self.name}"


class Action(_Word):
    """What became of a node."""

    CREATE = "create"
    """A node that was not known."""
    UPDATE = "update"
    """A known node whose data differ."""
    DELETE = "delete"
    """A node that is gone."""


class Reason(_Word):
    """Why it became so. A closed set."""

    ANNOUNCED = "announced"
    """Heard of, or registered here, for the first time."""
    CHANGED = "changed"
    """Its data differ from what was known."""
    GOODBYE = "goodbye"
    """Its owner said goodbye."""
    EXPIRED = "expired"
    """Its lease ended in silence."""
    WITHDRAWN = "withdrawn"
    """Deregistered in this registry, or its lease here was not renewed."""
    DUPLICATE = "duplicate"
    """Another owner has the same service and id; both are listed."""
    LINK_DOWN = "link-down"
    """The interface it was heard on went away."""
    REFUSED = "refused"
    """It no longer passes a bound or a proof."""


@dataclass(frozen=True, slots=True)
class Node:
    """One place where a service runs."""

    id: str
    """1 to 255 bytes of UTF-8, unique within the service."""
    address: str = ""
    """An IPv4 or IPv6 address or a host name, without or with `:port`. "" means this host: each reader gets the
    address at which it can reach it."""
    port: int = 0
    """1 to 65535; left out where the address carries it."""
    metadata: Mapping[str, str] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        _keep(self, metadata=dict(self.metadata))


@dataclass(frozen=True, slots=True)
class Value:
    """The shape of a request or response."""

    name: str = ""
    type: str = ""
    values: Sequence[Value] = ()

    def __post_init__(self) -> None:
        _keep(self, values=tuple(self.values))


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One call that a service answers."""

    name: str
    request: Value | None = None
    response: Value | None = None
    metadata: Mapping[str, str] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        _keep(self, metadata=dict(self.metadata))


@dataclass(frozen=True, slots=True)
class Service:
    """A service: one name, one version, any number of nodes."""

    name: str
    """1 to 255 bytes of UTF-8 without control characters."""
    version: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict, hash=False)
    """Of the service, the same at each of its nodes."""
    endpoints: Sequence[Endpoint] = ()
    """At most 1,000."""
    nodes: Sequence[Node] = ()
    """At most 1,024 a call."""

    def __post_init__(self) -> None:
        _keep(self, metadata=dict(self.metadata), endpoints=tuple(self.endpoints), nodes=tuple(self.nodes))

    @staticmethod
    def from_json(text: str) -> Service:
        """Reads and checks a descriptor; an error names the field, the limit and the value."""
        return _mdns_registry.read_service(text)

    def to_json(self) -> str:
        """The descriptor as JSON, with go-micro's keys."""
        return to_json("service", self)


@dataclass(frozen=True, slots=True)
class Event:
    """What a watcher is told: one change of one node, or how far the telling has come."""

    action: Action | None = None
    """What became of the node; None unless the type is "service"."""
    service: Service | None = None
    """The service with exactly this node; for a delete, as last known."""
    key: str | None = None
    """Opaque and stable for the node: fold by it."""
    reason: Reason | None = None
    type: Literal["service", "synced", "resync"] = "service"
    """"synced": all that was present has been told. "resync": the watcher fell behind; forget what was told, the
    present state follows."""

    @property
    def node(self) -> Node | None:
        """The node that changed."""
        return self.service.nodes[0] if self.service else None


def _keep(instance: object, **values: object) -> None:
    """Replaces what came from the caller by a copy."""
    for name, value in values.items():
        object.__setattr__(instance, name, value)


def to_json(argument: str, value: object) -> str:
    """A dataclass or mapping as JSON, whatever mix of both it holds. The library checks what it says."""
    try:
        return json.dumps(_plain(argument, "", value), ensure_ascii=False)
    except RecursionError:
        limit = _mdns_registry.JSON_DEPTH
        message = f"{argument} is nested too deep, the limit is {limit} levels"
        raise errors.TooLarge(message, field=argument, limit=limit) from None


def _plain(argument: str, path: str, value: Any) -> Any:
    if value is None or isinstance(value, str | int | float):
        return value
    if is_dataclass(value) and not isinstance(value, type):
        said = ((member.name, getattr(value, member.name)) for member in fields(value))
        # A port of 0 is absent: the address carries it.
        return {key: _plain(argument, _below(path, key), item) for key, item in said if item is not None and item != 0}
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise _invalid(path or argument, "keys must be str", repr(key))
        return {key: _plain(argument, _below(path, key), item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray | memoryview):
        return [_plain(argument, f"{path}[{index}]", item) for index, item in enumerate(value)]
    expected = "must be a str, number, mapping, sequence or dataclass"
    raise _invalid(path or argument, expected, type(value).__name__)


def _below(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _invalid(path: str, problem: str, value: str) -> errors.Invalid:
    return errors.Invalid(f"{path}: {problem}, got {value}", field=path, value=value)
