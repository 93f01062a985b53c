"""What people are shown is run as it is shown."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import PATIENCE, ROOT

from mdns_registry import RegistryError, errors

BUILT = ROOT / os.environ.get("CARGO_TARGET_DIR", "target") / "python"
EXAMPLES = ROOT / "examples" / "python"
TOLD = """create greeter greeter-1 9090
list greeter
get greeter greeter-1 9090
update greeter greeter-1 9091
delete greeter greeter-1 9091
"""


def blocks(document: str, language: str = "python") -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", (ROOT / document).read_text(), re.DOTALL | re.MULTILINE)


def run(*arguments: str | Path, python: str | Path = sys.executable) -> str:
    """Alone on its loopback, with every warning an error."""
    command: list[str | Path] = ["env", "-u", "MDNSREG_SANDBOX", ROOT / "tests/lab/sandbox", python]
    done = subprocess.run(
        [*command, "-X", "dev", "-W", "error", *arguments], capture_output=True, text=True, timeout=3 * PATIENCE
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize("page", ["docs/python.md", "bindings/python/README.md"])
def test_the_first_lines_of_the_page_work(page: str) -> None:
    first = blocks(page)[0]
    assert len([line for line in first.splitlines() if line]) <= 5
    assert run("-c", first) == "greeter greeter-1 127.0.0.1 9090\n"


def test_the_other_blocks_of_the_page_work() -> None:
    _, watch, asyncio = blocks("docs/python.md")
    follow = """
import threading, time, mdns_registry
with Registry() as registry:
    watching = threading.Thread(target=follow, args=(registry,))
    watching.start()
    with registry.watch("greeter") as other:
        other.next()
        with registry.register({"name": "greeter", "nodes": [{"id": "greeter-1", "port": 9090}]}):
            while other.next(timeout=10).action is not Action.CREATE: pass
        while other.next(timeout=10).action is not Action.DELETE: pass
        time.sleep(0.2)
watching.join(10)
"""
    assert run("-c", watch + follow) == "call it at 127.0.0.1 9090\ngone: withdrawn\n"
    assert "Node(id='greeter-1', address='127.0.0.1', port=9090, metadata={})" in run("-c", asyncio)


def test_the_python_of_the_readme_does_what_it_says() -> None:
    (shown,) = blocks("README.md")
    said = run("-c", shown).splitlines()
    assert len(said) == 2
    assert said[0].startswith("[Service(name='greeter'")
    assert said[1].startswith("Event(action=Action.CREATE, service=Service(name='greeter'")


@pytest.mark.parametrize("story", ["story.py", "story_async.py"])
def test_the_story_is_told(story: str) -> None:
    assert run(EXAMPLES / story) == TOLD


def test_two_stories_tell_it_to_each_other() -> None:
    both = f"""
import subprocess, sys
def start(script, *arguments):
    command = [sys.executable, {str(EXAMPLES)!r} + "/" + script, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
alice, bob = start("story.py", "alice", "bob"), start("story_async.py", "bob", "alice", "follow")
for one in (alice, bob):
    print(one.communicate(timeout=20)[0], one.returncode)
"""
    alice = TOLD.replace("greeter", "bob").replace("list bob", "list alice bob")
    bob = TOLD.replace("greeter", "alice").replace("list alice", "list alice bob")
    assert run("-c", both) == f"{alice} 0\n{bob} 0\n"


def test_what_the_page_says_of_installing_ends_with_a_greeter_that_is_found_and_greets() -> None:
    """Its first lines were run by `tests/python/setup.sh`, which downloads."""
    (shown,) = blocks("docs/python.md", "sh")
    *install, last = shown.splitlines()
    assert (BUILT / "page/install.sh").read_text().splitlines() == install
    python, example = last.split()
    said = run(ROOT / example, python=BUILT / "page" / python)
    assert re.fullmatch(
        r"service: greeter-1 listens on port (\d+)\nclient: found greeter-1 at 127\.0\.0\.1 port \1\n"
        r"client: Hello World\n",
        said,
    )


def test_the_exceptions_of_the_page_are_those_of_the_package() -> None:
    expected = []
    for name, error in errors.BY_STATUS.items():
        (base,) = (base for base in error.__bases__ if base is not RegistryError)
        (meaning, *_) = str(error.__doc__).splitlines()
        expected.append(f"| `{error.__name__}` | `{base.__name__}` | `{name}` | {meaning} |")
    rows = [line for line in (ROOT / "docs/python.md").read_text().splitlines() if line.startswith("| `")]
    assert rows == expected
