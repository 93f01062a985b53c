from __future__ import annotations

from conftest import LOOPBACK, PATIENCE, eventually, ids, next_change, service

from mdns_registry import Action, Event, Node, Reason, Registry, Service, Watcher


def folded(watcher: Watcher, nodes: dict[str, Node]) -> dict[str, Node]:
    """Folds what waits into the nodes by key."""
    while True:
        try:
            event = watcher.next(timeout=0)
        except TimeoutError:
            return nodes
        if event.type == "resync":
            nodes.clear()
        elif event.type == "service":
            assert event.key is not None
            assert event.node is not None
            assert (event.action is Action.CREATE) == (event.key not in nodes)
            if event.action is Action.DELETE:
                del nodes[event.key]
            else:
                nodes[event.key] = event.node


def test_another_registry_sees_every_change_once(registry: Registry, other: Registry) -> None:
    with other.watch("changes") as watcher:
        assert watcher.next(timeout=PATIENCE) == Event(type="synced")
        registry.register(service("changes", "n", port=80))
        created = next_change(watcher, Action.CREATE)
        assert created.reason is Reason.ANNOUNCED
        assert created.service == Service("changes", "1", nodes=[Node("n", "127.0.0.1", 80)])
        registry.register(service("changes", "n", port=80))
        registry.register(service("changes", "n", port=81))
        assert next_change(watcher, Action.UPDATE).node == Node("n", "127.0.0.1", 81)
        registry.deregister("changes")
        gone = next_change(watcher, Action.DELETE)
        assert (gone.reason, gone.key) == (Reason.GOODBYE, created.key)


def test_events_folded_by_key_are_what_a_lookup_gives(registry: Registry, other: Registry) -> None:
    nodes: dict[str, Node] = {}
    with other.watch("folded", queue=4) as watcher:
        for turn in range(1, 10):
            registry.register(service("folded", *(str(number) for number in range(turn, turn + 12)), port=turn))
            registry.deregister(service("folded", str(turn)))
            if turn % 3 == 0:
                folded(watcher, nodes)
        registry.register(service("folded", "last"))
        eventually(lambda: "last" in [node.id for node in folded(watcher, nodes).values()])
        eventually(
            lambda: (
                sorted(node.id for node in folded(watcher, nodes).values()),
                sorted(ids(other.get_service("folded"))),
            ),
            lambda pair: pair[0] == pair[1],
        )
        assert {node.id: node for node in nodes.values()} == {
            node.id: node for found in other.get_service("folded") for node in found.nodes
        }


def test_a_watcher_that_falls_behind_is_told_the_present_state_anew(registry: Registry) -> None:
    with registry.watch("behind", queue=1) as watcher:
        assert watcher.next(timeout=PATIENCE).type == "synced"
        registry.register(service("behind", *(str(number) for number in range(10))))
        assert watcher.next(timeout=PATIENCE).type == "resync"
        assert sorted(ids([event.service for event in (watcher.next() for _ in range(10)) if event.service])) == [
            str(number) for number in range(10)
        ]
        assert watcher.next(timeout=PATIENCE).type == "synced"


def test_a_watch_of_everything_tells_every_service() -> None:
    with Registry(addrs=LOOPBACK) as registry:
        registry.register(service("one", "a"))
        registry.register(service("two", "b"))
        with registry.watch() as watcher:
            assert {next_change(watcher).service.name for _ in range(2)} == {"one", "two"}  # type: ignore[union-attr]
