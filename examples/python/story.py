"""The story that every language tells: story.py [SERVICE [WATCHED [follow]]]

Registers a node of SERVICE, updates and withdraws it, and sees each of that happen to WATCHED, its own by default.
Two programs that watch each other tell it together: one leads, the other follows.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

from mdns_registry import Action, Event, Node, Registry, RegistryError, Service, Watcher


def seen(watch: Watcher, action: Action) -> tuple[str, str, int]:
    while True:
        match watch.next(timeout=10):
            case Event(action=told, service=Service(name=name, nodes=(node,))) if told is action:
                return name, node.id, node.port


def tell(service: str, watched: str, leads: bool) -> None:
    def greeter(port: int) -> Service:
        return Service(service, "1.0.0", {"language": "python"}, nodes=[Node(f"{service}-1", port=port)])

    with Registry() as registry, registry.watch(watched) as watch:
        steps: list[tuple[Action, Callable[[], object]]] = [
            (Action.CREATE, lambda: registry.register(greeter(9090), ttl=30)),
            (Action.UPDATE, lambda: registry.register(greeter(9091), ttl=30)),
            (Action.DELETE, lambda: registry.deregister(service)),
        ]
        for action, step in steps:
            if leads:
                step()
            print(action, *seen(watch, action))
            # Before a follower answers: its leader then goes on to the next step.
            found = registry.get_service(watched) if action is Action.CREATE else []
            if not leads:
                step()
            if action is Action.CREATE:
                names = {one.name for one in registry.list_services()}
                print("list", *sorted(names & {service, watched}))
                print("get", found[0].name, found[0].nodes[0].id, found[0].nodes[0].port)


if __name__ == "__main__":
    service = sys.argv[1] if len(sys.argv) > 1 else "greeter"
    watched = sys.argv[2] if len(sys.argv) > 2 else service
    try:
        tell(service, watched, leads="follow" not in sys.argv[3:])
    except RegistryError as error:
        sys.exit(f"story: {error}")
