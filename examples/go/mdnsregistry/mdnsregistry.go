// Package mdnsregistry is mdns_registry in Go, by cgo and pkg-config. Its types have the JSON of go-micro's registry.
package mdnsregistry

// #cgo pkg-config: mdns_registry
// #include <stdlib.h>
// #include <mdns_registry.h>
import "C"

import (
	"encoding/json"
	"io"
	"os"
	"strings"
	"time"
	"unsafe"
)

type Service struct {
	Name      string            `json:"name"`
	Version   string            `json:"version,omitempty"`
	Metadata  map[string]string `json:"metadata"`
	Endpoints []Endpoint        `json:"endpoints"`
	Nodes     []Node            `json:"nodes"`
}

type Node struct {
	ID       string            `json:"id"`
	Address  string            `json:"address"`
	Port     int               `json:"port"`
	Metadata map[string]string `json:"metadata"`
}

type Endpoint struct {
	Name     string            `json:"name"`
	Request  *Value            `json:"request"`
	Response *Value            `json:"response"`
	Metadata map[string]string `json:"metadata"`
}

type Value struct {
	Name   string  `json:"name"`
	Type   string  `json:"type"`
	Values []Value `json:"values"`
}

// Event is one change of one node ("service"), or "synced", or "resync".
type Event struct {
	Type    string  `json:"type"`
	Action  string  `json:"action"`
	Key     string  `json:"key"`
	Reason  string  `json:"reason"`
	Service Service `json:"service"`
}

type Error struct {
	Code    int
	Message string
}

func (e *Error) Error() string { return e.Message }

// Registry and Watch may be used by any number of goroutines at once.
type Registry struct{ handle *C.mdnsreg_registry }

type Watch struct{ handle *C.mdnsreg_watch }

// Options has the keys of the JSON; nil means the defaults.
type Options map[string]any

func Open(options Options) (*Registry, error) {
	if options == nil {
		options = Options{}
	}
	text, free := document(options)
	defer free()
	r := new(Registry)
	var err *C.mdnsreg_error
	return r, check(C.mdnsreg_open(text, &r.handle, &err), err)
}

// Register announces every node of the service; they live as long as this process renews the lease of ttl, which is at
// least 3 s.
func (r *Registry) Register(service Service, ttl time.Duration) error {
	text, free := document(service)
	defer free()
	options, freeOptions := document(Options{"ttl_ms": ttl.Milliseconds()})
	defer freeOptions()
	var err *C.mdnsreg_error
	return check(C.mdnsreg_register(r.handle, text, options, &err), err)
}

// Deregister withdraws the service's nodes; all of its name where Nodes is nil.
func (r *Registry) Deregister(service Service) error {
	text, free := document(service)
	defer free()
	var err *C.mdnsreg_error
	return check(C.mdnsreg_deregister(r.handle, text, &err), err)
}

func (r *Registry) GetService(name string) ([]Service, error) {
	if strings.ContainsRune(name, 0) {
		return nil, &Error{C.MDNSREG_ERR_INVALID, "name: must have no control characters, got U+0000"}
	}
	text := C.CString(name)
	defer C.free(unsafe.Pointer(text))
	var out *C.char
	var failure *C.mdnsreg_error
	status := C.mdnsreg_get_service(r.handle, text, &out, &failure)
	return read(status, out, failure)
}

func (r *Registry) ListServices() ([]Service, error) {
	var out *C.char
	var failure *C.mdnsreg_error
	status := C.mdnsreg_list_services(r.handle, &out, &failure)
	return read(status, out, failure)
}

// Watch watches the services of a name; all where it is "".
func (r *Registry) Watch(name string) (*Watch, error) {
	options := Options{}
	if name != "" {
		options["service"] = name
	}
	text, free := document(options)
	defer free()
	w := new(Watch)
	var err *C.mdnsreg_error
	return w, check(C.mdnsreg_watch_open(r.handle, text, &w.handle, &err), err)
}

func (r *Registry) Close() { C.mdnsreg_close(r.handle) }

// Next waits for the next event, without limit if timeout is negative. The error is os.ErrDeadlineExceeded when none
// came in time, io.EOF when the watch or its registry was closed.
func (w *Watch) Next(timeout time.Duration) (event Event, err error) {
	limit := C.int64_t(-1)
	if timeout >= 0 {
		limit = C.int64_t(timeout.Milliseconds())
	}
	var out *C.mdnsreg_event
	var failure *C.mdnsreg_error
	switch status := C.mdnsreg_watch_next(w.handle, limit, &out, &failure); status {
	case C.MDNSREG_OK:
		defer C.mdnsreg_event_free(out)
		err = json.Unmarshal([]byte(C.GoString(C.mdnsreg_event_json(out))), &event)
		return event, err
	case C.MDNSREG_EMPTY:
		return event, os.ErrDeadlineExceeded
	case C.MDNSREG_END:
		return event, io.EOF
	case C.MDNSREG_ERR_CLOSED:
		C.mdnsreg_error_free(failure)
		return event, io.EOF
	default:
		return event, check(status, failure)
	}
}

// Close wakes whoever waits in Next.
func (w *Watch) Close() { C.mdnsreg_watch_close(w.handle) }

// document gives a value's JSON to C, with what frees it.
func document(value any) (*C.char, func()) {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	copied := C.CString(string(text))
	return copied, func() { C.free(unsafe.Pointer(copied)) }
}

func read(status C.mdnsreg_status, out *C.char, failure *C.mdnsreg_error) (services []Service, err error) {
	if err = check(status, failure); err != nil {
		return nil, err
	}
	defer C.mdnsreg_string_free(out)
	err = json.Unmarshal([]byte(C.GoString(out)), &services)
	return services, err
}

func check(status C.mdnsreg_status, failure *C.mdnsreg_error) error {
	if status >= C.MDNSREG_OK {
		return nil
	}
	defer C.mdnsreg_error_free(failure)
	return &Error{int(status), C.GoString(C.mdnsreg_error_message(failure))}
}
