// Go-micro's own registry as a program: publishes, looks, watches and reads again, as library.rs does, in the same words.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"go-micro.dev/v5/registry"
)

const name = "fleet"

var output sync.Mutex

func tell(said map[string]any) {
	output.Lock()
	defer output.Unlock()
	if err := json.NewEncoder(os.Stdout).Encode(said); err != nil {
		os.Exit(1)
	}
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func number(word string) int {
	value, err := strconv.Atoi(word)
	must(err)
	return value
}

func ms(since time.Time) float64 { return float64(time.Since(since).Nanoseconds()) / 1e6 }

func node(id, address string, port int) *registry.Node {
	return &registry.Node{
		Id:       id,
		Address:  fmt.Sprintf("%s:%d", address, port),
		Metadata: map[string]string{"zone": "north", "rack": "r-07", "started": "2026-11-22T19:45:40Z"},
	}
}

func register(r registry.Registry, lease int, nodes ...*registry.Node) {
	service := &registry.Service{Name: name, Version: "1.0.0", Nodes: nodes}
	must(r.Register(service, registry.RegisterTTL(time.Duration(lease)*time.Second)))
}

func publish(r registry.Registry, address string, start, count, lease int) {
	var nodes []*registry.Node
	for i := start; i < start+count; i++ {
		nodes = append(nodes, node(fmt.Sprintf("n-%05d", i), address, 10_000+i%50_000))
	}
	began := time.Now()
	register(r, lease, nodes...)
	tell(map[string]any{"ms": ms(began)})
	for input := bufio.NewScanner(os.Stdin); input.Scan(); {
		at := time.Now().UnixNano()
		register(r, lease, node(strings.Fields(input.Text())[1], address, 9_000))
		tell(map[string]any{"at": at})
	}
}

func get(r registry.Registry) int {
	services, err := r.GetService(name)
	if !errors.Is(err, registry.ErrNotFound) {
		must(err)
	}
	found := 0
	for _, service := range services {
		found += len(service.Nodes)
	}
	return found
}

func look(r registry.Registry, count, limit int) {
	began := time.Now()
	found := get(r)
	first := ms(began)
	whole := found >= count
	for !whole && ms(began) < float64(limit) {
		whole = get(r) >= count
	}
	said := map[string]any{"ms": first, "found": found, "all_ms": nil}
	if whole {
		said["all_ms"] = ms(began)
	}
	tell(said)
}

func watch(r registry.Registry) {
	watcher, err := r.Watch(registry.WatchService(name))
	must(err)
	var held sync.Mutex
	seen, deletes, changed := map[string]bool{}, 0, int64(0)
	go func() {
		for {
			result, err := watcher.Next()
			must(err)
			held.Lock()
			for _, node := range result.Service.Nodes {
				now := time.Now().UnixNano()
				if result.Action == "delete" && seen[node.Id] {
					delete(seen, node.Id)
					deletes, changed = deletes+1, now
				} else if result.Action == "create" && !seen[node.Id] {
					seen[node.Id], changed = true, now
					if strings.HasPrefix(node.Id, "one-") {
						tell(map[string]any{"id": node.Id, "at": now})
					}
				}
			}
			held.Unlock()
		}
	}()
	tell(map[string]any{"ms": 0})
	for input := bufio.NewScanner(os.Stdin); input.Scan(); {
		held.Lock()
		tell(map[string]any{"visible": len(seen), "deletes": deletes, "changed_at": changed})
		held.Unlock()
	}
}

func warm(r registry.Registry, rounds int) {
	took := []float64{}
	get(r)
	for range rounds {
		began := time.Now()
		get(r)
		took = append(took, ms(began)*1000)
	}
	tell(map[string]any{"us": took})
}

func main() {
	r, words := registry.NewRegistry(), os.Args[1:]
	switch words[0] {
	case "publish":
		publish(r, words[1], number(words[2]), number(words[3]), number(words[4]))
	case "look":
		look(r, number(words[1]), number(words[2]))
	case "watch":
		watch(r)
	case "warm":
		warm(r, number(words[2]))
	}
}
