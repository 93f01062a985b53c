"""The story of story.py for asyncio: story_async.py [SERVICE [WATCHED [follow]]]"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable

from mdns_registry import Action, AsyncRegistry, AsyncWatcher, Event, Node, RegistryError, Service


async def seen(watch: AsyncWatcher, action: Action) -> tuple[str, str, int]:
    while True:
        match await watch.next(timeout=10):
            case Event(action=told, service=Service(name=name, nodes=(node,))) if told is action:
                return name, node.id, node.port


async def tell(service: str, watched: str, leads: bool) -> None:
    def greeter(port: int) -> Service:
        return Service(service, "1.0.0", {"language": "python"}, nodes=[Node(f"{service}-1", port=port)])

    async with AsyncRegistry() as registry, registry.watch(watched) as watch:
        steps: list[tuple[Action, Callable[[], Awaitable[object]]]] = [
            (Action.CREATE, lambda: registry.register(greeter(9090), ttl=30)),
            (Action.UPDATE, lambda: registry.register(greeter(9091), ttl=30)),
            (Action.DELETE, lambda: registry.deregister(service)),
        ]
        for action, step in steps:
            if leads:
                await step()
            print(action, *await seen(watch, action))
            # Before a follower answers: its leader then goes on to the next step.
            found = await registry.get_service(watched) if action is Action.CREATE else []
            if not leads:
                await step()
            if action is Action.CREATE:
                names = {one.name for one in await registry.list_services()}
                print("list", *sorted(names & {service, watched}))
                print("get", found[0].name, found[0].nodes[0].id, found[0].nodes[0].port)


if __name__ == "__main__":
    service = sys.argv[1] if len(sys.argv) > 1 else "greeter"
    watched = sys.argv[2] if len(sys.argv) > 2 else service
    try:
        asyncio.run(tell(service, watched, leads="follow" not in sys.argv[3:]))
    except RegistryError as error:
        sys.exit(f"story: {error}")
