"""Why a call was refused or failed: one exception for each negative status of the library.

Each is a `RegistryError`, and also the built-in exception it resembles.
"""

from __future__ import annotations

import json
from typing import Any, ClassVar

from . import _mdns_registry


class RegistryError(Exception):
    """Nothing of the refused call took effect."""

    status: ClassVar[str]
    """The name of the status, as in `"NOT_FOUND"`."""
    field: str | None
    """The path of the field or the name of the argument, where one is at fault."""
    limit: int | None
    """The limit that was passed, where there is one."""
    value: str | int | None
    """What the field held, shortened, or its size."""

    def __init__(
        self,
        message: str,
        *,
        field: str | None = None,
        limit: int | None = None,
        value: str | int | None = None,
    ) -> None:
        super().__init__(message)
        self.field = field
        self.limit = limit
        self.value = value

    @property
    def code(self) -> int:
        """Its number, which is negative and the same in every language."""
        return CODES[self.status]

    def __str__(self) -> str:
        return str(self.args[0])

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self.args, self.__dict__


class Null(RegistryError, TypeError):
    """A required argument was missing."""

    status = "NULL"


class Handle(RegistryError, TypeError):
    """Not a handle of this library."""

    status = "HANDLE"


class Closed(RegistryError, ValueError):
    """The registry or watch was closed: open another. A `ValueError`, as for a closed file."""

    status = "CLOSED"


class Type(RegistryError, TypeError):
    """A handle of another type."""

    status = "TYPE"


class Utf8(RegistryError, ValueError):
    """A string that UTF-8 cannot say: half of a surrogate pair."""

    status = "UTF8"


class Json(RegistryError, ValueError):
    """Not JSON."""

    status = "JSON"


class Option(RegistryError, ValueError):
    """An option is unknown or has a value it cannot take."""

    status = "OPTION"


class Invalid(RegistryError, ValueError):
    """A field has a value it cannot take."""

    status = "INVALID"


class TooLarge(RegistryError, ValueError):
    """A field is over its limit."""

    status = "TOO_LARGE"


class NotFound(RegistryError, LookupError):
    """No node of that name is known; it may come later: watch for it."""

    status = "NOT_FOUND"


class Timeout(RegistryError, TimeoutError):
    """Nothing came in time."""

    status = "TIMEOUT"


class Cancelled(RegistryError, RuntimeError):
    """The registry was closed while the call waited."""

    status = "CANCELLED"


class Network(RegistryError, OSError):
    """The system refused a network operation."""

    status = "NETWORK"


class Busy(RegistryError, RuntimeError):
    """Another use excludes this one: end that first."""

    status = "BUSY"


class Forked(RegistryError, RuntimeError):
    """This process was forked from one that uses the library: it must exec before it can."""

    status = "FORKED"


class NoMemory(RegistryError, MemoryError):
    """No memory, or no handle, is left."""

    status = "NOMEM"


class Unsupported(RegistryError, NotImplementedError):
    """Known, but not supported here: leave it out."""

    status = "UNSUPPORTED"


class Version(RegistryError, ImportError):
    """The caller was built for another version of the library."""

    status = "VERSION"


class Panic(RegistryError, RuntimeError):
    """A defect in the library; the process is unharmed."""

    status = "PANIC"


BY_STATUS: dict[str, type[RegistryError]] = {error.status: error for error in RegistryError.__subclasses__()}

CODES: dict[str, int] = {name: code for code, name, _ in _mdns_registry.STATUSES}


def from_json(text: str) -> RegistryError:
    """The exception for an error as the library says it."""
    said = json.loads(text)
    details = {key: said.get(key) for key in ("field", "limit", "value")}
    return BY_STATUS[said["name"]](said["message"], **details)
