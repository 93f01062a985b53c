"""A service and a client of it, which find each other without knowing where they are. Ends by itself."""

from __future__ import annotations

import socket
import threading

from mdns_registry import Action, Node, Registry, Service


def serve(listener: socket.socket) -> None:
    """Registers the port the system gave us, and greets one caller."""
    port = listener.getsockname()[1]
    greeter = Service("greeter", version="1.0.0", nodes=[Node("greeter-1", port=port)])
    print(f"service: greeter-1 listens on port {port}", flush=True)
    with Registry() as registry, registry.register(greeter, ttl=10):
        connection, _ = listener.accept()
        with connection:
            connection.sendall(b"Hello " + connection.recv(100))


def call(name: str) -> None:
    """Waits until a greeter is there, and calls it."""
    with Registry() as registry, registry.watch("greeter") as watch:
        for event in watch:
            if event.action is Action.CREATE and event.node:
                node = event.node
                break
    print(f"client: found {node.id} at {node.address} port {node.port}", flush=True)
    with socket.create_connection((node.address, node.port), timeout=10) as connection:
        connection.sendall(name.encode())
        print(f"client: {connection.recv(100).decode()}")


if __name__ == "__main__":
    with socket.create_server(("", 0)) as listener:
        listener.settimeout(30)
        service = threading.Thread(target=serve, args=(listener,))
        service.start()
        call("World")
        service.join()
