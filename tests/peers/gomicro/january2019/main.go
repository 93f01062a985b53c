// The mDNS registry of January 2019's go-micro as a program; see the package protocol.
package main

import (
	"github.com/micro/go-micro/registry"

	"mdns-registry/tests/peers/gomicro/protocol"
)

func main() {
	r := registry.NewRegistry()
	protocol.Serve(protocol.Registry[registry.Service]{
		Read:       protocol.Unmarshal[registry.Service],
		Register:   func(s *registry.Service) error { return r.Register(s) },
		Deregister: func(s *registry.Service) error { return r.Deregister(s) },
		Get:        func(name string) ([]*registry.Service, error) { return r.GetService(name) },
		List:       func() ([]*registry.Service, error) { return r.ListServices() },
		Name:       func(s *registry.Service) string { return s.Name },
		Watch: func(name string) (protocol.Next[registry.Service], error) {
			watcher, err := r.Watch(registry.WatchService(name))
			return func() (string, *registry.Service, error) {
				result, err := watcher.Next()
				if err != nil {
					return "", nil, err
				}
				return result.Action, result.Service, nil
			}, err
		},
	})
}
