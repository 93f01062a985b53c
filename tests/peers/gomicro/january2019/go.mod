module mdns-registry/tests/peers/gomicro/january2019

go 1.19

require (
	github.com/micro/go-micro v1.0.0
	mdns-registry/tests/peers/gomicro/protocol v0.0.0
)

require (
	github.com/micro/mdns v0.1.0 // indirect
	github.com/miekg/dns v1.1.4 // indirect
	github.com/mitchellh/hashstructure v1.0.0 // indirect
	golang.org/x/crypto v0.0.0-20190222235706-ffb98f73852f // indirect
	golang.org/x/net v0.0.0-20190213061140-3a22650c66bd // indirect
	golang.org/x/sys v0.0.0-20190222171317-cd391775e71e // indirect
)

replace mdns-registry/tests/peers/gomicro/protocol => ../protocol
