package cli

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
)

// TestInOrder: at most so many at once, each outcome in its place, whatever
// ends first.
func TestInOrder(t *testing.T) {
	const parallel, count = 3, 9
	var list []string
	for i := range count {
		list = append(list, fmt.Sprint(i))
	}
	var running, most atomic.Int64
	entered, release := make(chan string, count), make(chan struct{})
	odd := errors.New("odd")
	go func() {
		for range parallel {
			<-entered
		}
		for range count { // all slots are taken: one out, one in
			release <- struct{}{}
		}
	}()
	var got []string
	err := inOrder(list, parallel, func(name string) (string, error) {
		most.Store(max(most.Load(), running.Add(1)))
		defer running.Add(-1)
		entered <- name
		<-release
		if (name[0]-'0')%2 == 1 {
			return "", odd
		}
		return name, nil
	}, func(name string, result outcome[string]) error {
		if (result.err != nil) != ((name[0]-'0')%2 == 1) || result.err == nil && result.value != name {
			t.Errorf("%s: %+v", name, result)
		}
		got = append(got, name)
		return nil
	})
	if err != nil || !slices.Equal(got, list) || most.Load() != parallel {
		t.Errorf("%v, done in the order %v, %d at once", err, got, most.Load())
	}
	stop := errors.New("stop")
	seen := 0
	err = inOrder(list, 1, func(name string) (string, error) { return name, nil }, func(string, outcome[string]) error {
		seen++
		return stop
	})
	if !errors.Is(err, stop) || seen != 1 {
		t.Errorf("%v after %d", err, seen)
	}
}
