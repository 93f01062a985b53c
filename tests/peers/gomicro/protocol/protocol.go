// Package protocol makes a program of a go-micro registry of either age: commands on standard input, one a line, and
// JSON on standard output, one object a line: {"ready":true} first, then an answer to each command. It ends with
// standard input.
//
//	register DESCRIPTOR    {"ok":true}
//	deregister DESCRIPTOR  {"ok":true}
//	get NAME               {"services":[...]}
//	list                   {"names":[...]}, sorted
//	watch [NAME]           {"watching":true}, then {"event":"create","service":{...}} for whatever its watcher says
//
// What a registry refuses is {"error":"..."}. A program watches once. A descriptor has a node's address and port apart,
// at either age.
package protocol

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"time"
)

const (
	// A watcher listens by IPv4 and by IPv6.
	families = 2
	patience = 5 * time.Second
)

// A Registry is the library's own, for its own type of a service.
type Registry[Service any] struct {
	Read       func(descriptor []byte) (*Service, error)
	Register   func(*Service) error
	Deregister func(*Service) error
	Get        func(name string) ([]*Service, error)
	List       func() ([]*Service, error)
	Name       func(*Service) string
	// Watch watches all services where the name is empty.
	Watch func(name string) (Next[Service], error)
}

// A Next waits for an event of a watcher.
type Next[Service any] func() (action string, service *Service, err error)

// Unmarshal reads a descriptor where the library's own type is one.
func Unmarshal[Service any](descriptor []byte) (*Service, error) {
	service := new(Service)
	return service, json.Unmarshal(descriptor, service)
}

type object map[string]any

type program[Service any] struct {
	registry Registry[Service]
	watching bool

	output sync.Mutex
	stdout *json.Encoder
}

// Serve obeys until standard input ends. What libraries print goes to standard error.
func Serve[Service any](registry Registry[Service]) {
	p := &program[Service]{registry: registry, stdout: json.NewEncoder(os.Stdout)}
	os.Stdout = os.Stderr
	p.tell(object{"ready": true})
	input := bufio.NewReader(os.Stdin)
	for {
		line, err := input.ReadString('\n')
		if err != nil {
			return
		}
		verb, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		if err := p.obey(verb, rest); err != nil {
			p.tell(object{"error": err.Error()})
		}
	}
}

func (p *program[Service]) obey(verb, rest string) error {
	switch verb {
	case "register":
		return p.change(p.registry.Register, rest)
	case "deregister":
		return p.change(p.registry.Deregister, rest)
	case "get":
		services, err := p.registry.Get(rest)
		return p.answer(object{"services": services}, err)
	case "list":
		services, err := p.registry.List()
		names := make([]string, len(services))
		for i, service := range services {
			names[i] = p.registry.Name(service)
		}
		sort.Strings(names)
		return p.answer(object{"names": names}, err)
	case "watch":
		return p.watch(rest)
	}
	return fmt.Errorf("not a command: %q", verb)
}

func (p *program[Service]) change(by func(*Service) error, descriptor string) error {
	service, err := p.registry.Read([]byte(descriptor))
	if err != nil {
		return err
	}
	return p.answer(object{"ok": true}, by(service))
}

func (p *program[Service]) watch(name string) error {
	if p.watching {
		return errors.New("watches already")
	}
	p.watching = true
	before := listening()
	next, err := p.registry.Watch(name)
	if err != nil {
		return err
	}
	// The library listens some time after Watch has returned.
	for end := time.Now().Add(patience); listening() < before+families; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			return fmt.Errorf("does not listen %v after Watch", patience)
		}
	}
	p.tell(object{"watching": true})
	go p.follow(next)
	return nil
}

func (p *program[Service]) follow(next Next[Service]) {
	for {
		action, service, err := next()
		if err != nil {
			p.tell(object{"error": err.Error()})
			return
		}
		p.tell(object{"event": action, "service": service})
	}
}

func (p *program[Service]) answer(said object, err error) error {
	if err == nil {
		p.tell(said)
	}
	return err
}

func (p *program[Service]) tell(said object) {
	p.output.Lock()
	defer p.output.Unlock()
	if err := p.stdout.Encode(said); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// listening counts this process's sockets on port 5353.
func listening() int {
	held := map[string]bool{}
	files, _ := filepath.Glob("/proc/self/fd/*")
	for _, file := range files {
		if target, err := os.Readlink(file); err == nil {
			held[target] = true
		}
	}
	count := 0
	for _, table := range []string{"/proc/self/net/udp", "/proc/self/net/udp6"} {
		sockets, _ := os.ReadFile(table)
		for _, socket := range strings.Split(string(sockets), "\n") {
			words := strings.Fields(socket)
			if len(words) > 9 && strings.HasSuffix(words[1], ":14E9") && held["socket:["+words[9]+"]"] {
				count++
			}
		}
	}
	return count
}
