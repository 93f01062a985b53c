"""Seconds, as callers give them."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import TypeAlias

from . import errors

Seconds: TypeAlias = float | timedelta


def seconds(argument: str, value: Seconds) -> float:
    """The number of seconds, which is not negative and may be infinite."""
    number = value.total_seconds() if isinstance(value, timedelta) else value
    if isinstance(number, bool) or not isinstance(number, int | float):
        raise TypeError(f"{argument} must be seconds or a timedelta, not {type(value).__name__}")
    if math.isnan(number) or number < 0:
        message = f"{argument}: must be at least 0 seconds, got {number}"
        raise errors.Invalid(message, field=argument, value=str(number))
    return float(number)


def milliseconds(argument: str, value: Seconds) -> int:
    """Whole milliseconds, rounded up."""
    number = seconds(argument, value)
    if math.isinf(number):
        message = f"{argument}: must be a finite number of seconds, got {number}"
        raise errors.OptionError(message, field=argument, value=str(number))
    return math.ceil(round(number * 1_000, 6))
