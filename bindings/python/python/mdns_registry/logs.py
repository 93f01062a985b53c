"""The library's log, on the logger "mdns_registry" and those below it.

The library's threads only append to a bounded queue; one thread of ours, alive while a registry is open, empties it.
"""

from __future__ import annotations

import logging
import threading

from . import _mdns_registry

logger = logging.getLogger("mdns_registry")
logger.addHandler(logging.NullHandler())

LEVELS = {1: logging.ERROR, 2: logging.WARNING, 3: logging.INFO, 4: logging.DEBUG, 5: 5}
"""By how talkative a line is."""
CHECKED_EVERY = 1.0
"""Seconds within which a change of the logger's level takes effect."""

_lock = threading.Lock()
_thread: threading.Thread | None = None


def _talk() -> int:
    level = logger.getEffectiveLevel()
    return max((talk for talk, least in LEVELS.items() if least >= level), default=0)


def prepare() -> None:
    """Before a registry opens, so that the first line is not missed."""
    _mdns_registry.log_limit(_talk())


def forward() -> None:
    """Forwards lines while a registry is open."""
    global _thread
    with _lock:
        if _thread is None:
            _thread = threading.Thread(target=_forward, name="mdnsreg-log", daemon=True)
            _thread.start()


def _forward() -> None:
    global _thread
    while True:
        prepare()
        line = _mdns_registry.log_next(CHECKED_EVERY)
        if line is not None:
            _say(*line)
            continue
        with _lock:
            if _mdns_registry.log_over():
                _thread = None
                return


def _say(talk: int, module: str, text: str) -> None:
    try:
        logging.getLogger(module.replace("::", ".")).log(LEVELS[talk], "%s", text)
    except BaseException as error:
        # Of a handler or filter of the program: the lines after this one are to be heard all the same.
        told = type(error), error, error.__traceback__, threading.current_thread()
        threading.excepthook(threading.ExceptHookArgs(told))


def end() -> None:
    """No line after this one: the interpreter is about to end."""
    _mdns_registry.log_end()
    thread = _thread
    if thread is not None:
        thread.join(CHECKED_EVERY)
