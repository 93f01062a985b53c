// story [SERVICE [WATCHED [follow]]] registers SERVICE, changes it and withdraws it, while it watches WATCHED.
package main

import (
	"fmt"
	"log"
	"os"
	"time"

	mdns "story/mdnsregistry"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("story: ")
	service := argument(1, "greeter")
	watched := argument(2, service)
	follow := argument(3, "") != ""

	registry := must(mdns.Open(nil))
	watch := must(registry.Watch(watched))
	register := func(port int) error {
		node := mdns.Node{ID: service + "-1", Port: port, Metadata: map[string]string{"language": "go"}}
		return registry.Register(mdns.Service{Name: service, Version: "1.0.0", Nodes: []mdns.Node{node}}, 30*time.Second)
	}
	for _, step := range []struct {
		action string
		take   func() error
	}{
		{"create", func() error { return register(9090) }},
		{"update", func() error { return register(9091) }},
		{"delete", func() error { return registry.Deregister(mdns.Service{Name: service}) }},
	} {
		if !follow {
			check(step.take())
		}
		say(step.action, await(watch, step.action))
		var found []mdns.Service
		if step.action == "create" {
			found = must(registry.GetService(watched))
		}
		if follow {
			check(step.take())
		}
		for _, each := range found {
			fmt.Print("list")
			for _, listed := range must(registry.ListServices()) {
				fmt.Print(" ", listed.Name)
			}
			fmt.Println()
			say("get", each)
		}
	}
	watch.Close()
	registry.Close()
}

func await(watch *mdns.Watch, action string) mdns.Service {
	for {
		if event := must(watch.Next(10 * time.Second)); event.Action == action {
			return event.Service
		}
	}
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

func must[T any](value T, err error) T {
	check(err)
	return value
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
