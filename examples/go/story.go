// story [SERVICE [WATCHED [follow]]] registers SERVICE, changes it and withdraws it, while it watches WATCHED.
package main

import (
	"fmt"
	"log"
	"os"
	"strings"
	"time"

	mdns "story/mdnsregistry"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("story: ")
	service := argument(1, "greeter")
	watched := argument(2, service)
	if err := tell(service, watched, argument(3, "") != ""); err != nil {
		log.Fatal(err)
	}
}

func tell(service, watched string, follow bool) error {
	registry, err := mdns.Open(nil)
	if err != nil {
		return err
	}
	defer registry.Close()
	watch, err := registry.Watch(watched)
	if err != nil {
		return err
	}
	defer watch.Close()
	register := func(port int) error {
		node := mdns.Node{ID: service + "-1", Port: port, Metadata: map[string]string{"language": "go"}}
		return registry.Register(mdns.Service{Name: service, Version: "1.0.0", Nodes: []mdns.Node{node}}, 30*time.Second)
	}
	take := map[string]func() error{
		"create": func() error { return register(9090) },
		"update": func() error { return register(9091) },
		"delete": func() error { return registry.Deregister(mdns.Service{Name: service}) },
	}
	for _, action := range []string{"create", "update", "delete"} {
		if !follow {
			if err := take[action](); err != nil {
				return err
			}
		}
		seen, err := await(watch, action)
		if err != nil {
			return fmt.Errorf("no %s of %s: %w", action, watched, err)
		}
		say(action, seen)
		var found []mdns.Service
		if action == "create" {
			if found, err = registry.GetService(watched); err != nil {
				return err
			}
		}
		if follow {
			if err := take[action](); err != nil {
				return err
			}
		}
		for _, each := range found {
			listed, err := registry.ListServices()
			if err != nil {
				return err
			}
			fmt.Println("list", strings.Join(names(listed), " "))
			say("get", each)
		}
	}
	return nil
}

func await(watch *mdns.Watch, action string) (mdns.Service, error) {
	for {
		event, err := watch.Next(10 * time.Second)
		if err != nil || event.Action == action {
			return event.Service, err
		}
	}
}

func names(services []mdns.Service) (names []string) {
	for _, each := range services {
		names = append(names, each.Name)
	}
	return names
}

func say(what string, service mdns.Service) {
	node := service.Nodes[0]
	fmt.Println(what, service.Name, node.ID, node.Port)
}

func argument(index int, otherwise string) string {
	if index < len(os.Args) {
		return os.Args[index]
	}
	return otherwise
}
