module mdns-registry/tests/peers/gomicro/protocol

go 1.19
