"""One wheel for every Python: `tests/python/setup.sh` installed it for those that are here."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
from test_docs import BUILT, EXAMPLES, TOLD, run

OLDEST = 10


def minor(version: str) -> int:
    return int(version.split(".")[1])


PYTHONS = {minor(python.parents[1].name): python for python in BUILT.glob("3.*/bin/python")}


def here() -> list[int]:
    """The minor versions of the Pythons on the path and of pyenv's that start."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    places = [Path(place) for place in os.get_exec_path()] + list(pyenv.glob("versions/*/bin"))
    named = {path for place in places for path in place.glob("python3.*") if re.fullmatch(r"python3\.\d+", path.name)}
    ours = [path for path in named if minor(path.name) >= OLDEST]
    # A shim of pyenv may stand for a version that is not in use.
    return sorted(
        {minor(path.name) for path in ours if subprocess.run([path, "-c", ""], capture_output=True).returncode == 0}
    )


def test_the_oldest_and_the_newest_python_that_are_here_were_tried() -> None:
    oldest, newest = here()[0], here()[-1]
    assert {oldest, newest} <= PYTHONS.keys(), f"3.{oldest} to 3.{newest} are here, tried were 3.{sorted(PYTHONS)}"


@pytest.mark.parametrize("story", ["story.py", "story_async.py"])
@pytest.mark.parametrize("python", [PYTHONS[minor] for minor in sorted(PYTHONS)], ids=lambda path: path.parents[1].name)
def test_the_wheel_tells_the_story_on(python: Path, story: str) -> None:
    assert run(EXAMPLES / story, python=python) == TOLD
