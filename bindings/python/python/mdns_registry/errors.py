"""Why a call was refused or failed: an exception for each negative status of the library that a caller can provoke,
and one for those that only a defect can.

Each is a `RegistryError`, and also the built-in exception it resembles.
"""

from __future__ import annotations

import json
from typing import Any

from . import _mdns_registry


class RegistryError(Exception):
    """Nothing of the refused call took effect."""

    status: str
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


class Closed(RegistryError, ValueError):
    """The registry or watch was closed: open another. A `ValueError`, as for a closed file."""

    status = "CLOSED"


class Utf8Error(RegistryError, ValueError):
    """A string that UTF-8 cannot say: half of a surrogate pair."""

    status = "UTF8"


class JsonError(RegistryError, ValueError):
    """A text that should be JSON is not."""

    status = "JSON"


class OptionError(RegistryError, ValueError):
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
    """No memory is left."""

    status = "NOMEM"


class Unsupported(RegistryError, NotImplementedError):
    """Known, but not supported here: leave it out."""

    status = "UNSUPPORTED"


class InternalError(RegistryError, RuntimeError):
    """A defect in this library; the process is unharmed."""

    status = "PANIC"


BY_STATUS: dict[str, type[RegistryError]] = {error.status: error for error in RegistryError.__subclasses__()}
"""`InternalError` stands for the rest, which say that this package misused the library."""

CODES: dict[str, int] = {name: code for code, name, _ in _mdns_registry.STATUSES}


def from_json(text: str) -> RegistryError:
    """The exception for an error as the library says it."""
    said = json.loads(text)
    details = {key: said.get(key) for key in ("field", "limit", "value")}
    error = BY_STATUS.get(said["name"], InternalError)(said["message"], **details)
    error.status = said["name"]
    return error
