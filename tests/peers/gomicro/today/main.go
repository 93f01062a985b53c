// The mDNS registry of today's go-micro as a program; see the package protocol.
package main

import (
	"encoding/json"
	"net"
	"strconv"

	"go-micro.dev/v5/registry"

	"mdns-registry/tests/peers/gomicro/protocol"
)

// read joins address and port, as a go-micro server does before it registers.
func read(descriptor []byte) (*registry.Service, error) {
	var described struct {
		registry.Service
		Nodes []struct {
			registry.Node
			Port int `json:"port"`
		} `json:"nodes"`
	}
	if err := json.Unmarshal(descriptor, &described); err != nil {
		return nil, err
	}
	service := &described.Service
	for i := range described.Nodes {
		node := &described.Nodes[i]
		node.Address = net.JoinHostPort(node.Address, strconv.Itoa(node.Port))
		service.Nodes = append(service.Nodes, &node.Node)
	}
	return service, nil
}

func main() {
	r := registry.NewRegistry()
	protocol.Serve(protocol.Registry[registry.Service]{
		Read:       read,
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
