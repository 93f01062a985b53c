"""A service registry with no server: processes on one network register services and find each other through
multicast DNS.

`Registry` waits, `AsyncRegistry` is awaited; the verbs of the module use the process's default registry.
"""

from . import errors
from ._mdns_registry import VERSION as __version__
from .aio import AsyncRegistration, AsyncRegistry, AsyncWatcher
from .default import (
    close,
    default,
    deregister,
    get_service,
    init,
    list_services,
    options,
    register,
    stats,
    string,
    watch,
)
from .errors import (
    Busy,
    Cancelled,
    Closed,
    Forked,
    InternalError,
    Invalid,
    JsonError,
    Network,
    NoMemory,
    NotFound,
    OptionError,
    RegistryError,
    Timeout,
    TooLarge,
    Unsupported,
    Utf8Error,
)
from .model import Action, Endpoint, Event, Node, Reason, Service, Value
from .registry import Options, Registration, Registry, Watcher

__all__ = [
    "Action",
    "AsyncRegistration",
    "AsyncRegistry",
    "AsyncWatcher",
    "Busy",
    "Cancelled",
    "Closed",
    "Endpoint",
    "Event",
    "Forked",
    "InternalError",
    "Invalid",
    "JsonError",
    "Network",
    "NoMemory",
    "Node",
    "NotFound",
    "OptionError",
    "Options",
    "Reason",
    "Registration",
    "Registry",
    "RegistryError",
    "Service",
    "Timeout",
    "TooLarge",
    "Unsupported",
    "Utf8Error",
    "Value",
    "Watcher",
    "__version__",
    "close",
    "default",
    "deregister",
    "errors",
    "get_service",
    "init",
    "list_services",
    "options",
    "register",
    "stats",
    "string",
    "watch",
]
