"""One wheel for every Python: `tests/python/setup.sh` installed it for those that are here."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from conftest import ROOT
from test_docs import EXAMPLES, TOLD, run

PYTHONS = sorted((ROOT / os.environ.get("CARGO_TARGET_DIR", "target") / "python").glob("3.*/bin/python"))


def test_there_is_a_python_to_try() -> None:
    assert PYTHONS


@pytest.mark.parametrize("story", ["story.py", "story_async.py"])
@pytest.mark.parametrize("python", PYTHONS, ids=lambda python: python.parents[1].name)
def test_the_wheel_tells_the_story_on(python: Path, story: str) -> None:
    assert run(EXAMPLES / story, python=python) == TOLD
