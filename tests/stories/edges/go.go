package main

import (
	"fmt"
	"io"
	"os"
	"time"

	mdns "story/mdnsregistry"
)

func main() {
	registry, _ := mdns.Open(nil)
	_, err := registry.GetService("a\x00b")
	refused(err)
	_, err = registry.Watch("a\x00b")
	refused(err)
	watch, _ := registry.Watch("nobody")
	if event, err := watch.Next(-1); event.Type != "synced" {
		fmt.Println(event, err)
	}
	say(watch.Next(10 * time.Millisecond))
	time.AfterFunc(50*time.Millisecond, registry.Close)
	say(watch.Next(-1))
	say(watch.Next(-1))
	watch.Close()
	say(watch.Next(-1))
}

func refused(err error) {
	failure, _ := err.(*mdns.Error)
	fmt.Println(failure.Code, failure.Message)
}

func say(event mdns.Event, err error) {
	switch err {
	case os.ErrDeadlineExceeded:
		fmt.Println("timeout")
	case io.EOF:
		fmt.Println("ended")
	default:
		fmt.Println(event.Type, err)
	}
}
