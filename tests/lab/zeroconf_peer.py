"""python-zeroconf as a peer: prints what it finds of our type, and publishes a printer when told to.

Lines out: `ready`, `found JSON`, `gone LABEL`. Lines in: `publish LABEL PORT`, `withdraw`.
"""

import json
import socket
import sys

from zeroconf import IPVersion, ServiceBrowser, ServiceInfo, ServiceListener, Zeroconf

TYPE = "_mdns-registry._tcp.local."


def tell(line: str) -> None:
    print(line, flush=True)


class Teller(ServiceListener):
    def add_service(self, zc: Zeroconf, type_: str, name: str) -> None:
        info = zc.get_service_info(type_, name)
        if info is None:
            return tell(f"unresolved {name}")
        text = {key.decode(): (value or b"").decode(errors="replace") for key, value in info.properties.items()}
        label = name.removesuffix("." + TYPE)
        found = {"label": label, "port": info.port, "addresses": info.parsed_addresses(IPVersion.V4Only), "text": text}
        return tell("found " + json.dumps(found))

    def update_service(self, zc: Zeroconf, type_: str, name: str) -> None:
        pass

    def remove_service(self, zc: Zeroconf, type_: str, name: str) -> None:
        tell("gone " + name.removesuffix("." + TYPE))


def main() -> None:
    address = sys.argv[1]
    zeroconf = Zeroconf(interfaces=[address], ip_version=IPVersion.V4Only)
    ServiceBrowser(zeroconf, TYPE, Teller())
    printer = None
    tell("ready")
    for line in sys.stdin:
        verb, *words = line.split()
        if verb == "publish":
            label, port = words
            printer = ServiceInfo(
                TYPE,
                f"{label}.{TYPE}",
                port=int(port),
                addresses=[socket.inet_aton(address)],
                properties={"service": "printer"},
                server=f"{label}.local.",
            )
            zeroconf.register_service(printer)
        elif verb == "withdraw" and printer is not None:
            zeroconf.unregister_service(printer)
    zeroconf.close()


if __name__ == "__main__":
    main()
