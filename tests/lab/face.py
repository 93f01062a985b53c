"""The Python face as a program, as face.c is the C face: `get NAME`, `list`, `watch NAME`."""

import json
import sys

from mdns_registry import Event, Registry, Service


def told(event: Event) -> dict[str, object]:
    if event.service is None:
        return {"type": event.type}
    said = {"type": event.type, "action": event.action, "key": event.key, "reason": event.reason}
    return {**said, "service": json.loads(event.service.to_json())}


def main() -> None:
    with Registry.default() as registry:
        services: list[Service] = []
        match sys.argv[1:]:
            case ["get", name]:
                services = registry.get_service(name)
            case ["list"]:
                services = registry.list_services()
            case ["watch", name]:
                with registry.watch(name) as watch:
                    for event in watch:
                        print(json.dumps(told(event)), flush=True)
        for service in services:
            print(service.to_json(), flush=True)


if __name__ == "__main__":
    main()
