// SPDX-License-Identifier: GPL-3.0-or-later

package plugin

import (
	"context"
	"strings"
	"testing"
	"time"

	"hardening.yama/module/plugin/internal/wire"
)

// slow is a manager that only knows what is installed, and takes its time to say so.
type slow struct {
	Manager
	asked chan struct{}
	takes time.Duration
}

func (s *slow) Describe() Description { return Description{Name: "slow"} }

func (s *slow) Installed(ctx context.Context, _ []string) ([]Package, error) {
	s.asked <- struct{}{}
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(s.takes):
		return nil, nil
	}
}

// serving returns a service that was opened.
func serving(t *testing.T, m Manager) *service {
	t.Helper()
	s, a := newService(t.Context(), func(Host) (Manager, error) { return m, nil }), wire.Answer{}
	if err := s.Open(wire.Question{Protocol: wire.Protocol, Patience: time.Minute}, &a); err != nil ||
		a.Code != wire.Done {
		t.Fatalf("%v, %+v", err, a)
	}
	return s
}

// TestCancel: the call that waits for an answer ends, and the next one is answered.
func TestCancel(t *testing.T) {
	m := &slow{asked: make(chan struct{}, 1), takes: time.Minute}
	s := serving(t, m)
	go func() {
		<-m.asked
		_ = s.Cancel(wire.Question{}, &wire.Answer{})
	}()
	question := wire.Question{Names: []string{"gdb"}, Patience: time.Minute}
	var a wire.Answer
	if err := s.Installed(question, &a); err != nil || a.Code != wire.Failed || !strings.Contains(a.Cause, "canceled") {
		t.Errorf("%v, %+v", err, a)
	}
	m.takes, a = 0, wire.Answer{}
	if err := s.Installed(question, &a); err != nil || a.Code != wire.Done {
		t.Errorf("afterwards: %v, %+v", err, a)
	}
}

// TestPatience: the time of a call begins when it is its turn.
func TestPatience(t *testing.T) {
	m := &slow{asked: make(chan struct{}, 3), takes: 600 * time.Millisecond}
	s := serving(t, m)
	answers := make(chan wire.Answer)
	for range cap(m.asked) {
		go func() {
			var a wire.Answer
			_ = s.Installed(wire.Question{Names: []string{"gdb"}, Patience: time.Second}, &a)
			answers <- a
		}()
	}
	for range cap(m.asked) {
		if a := <-answers; a.Code != wire.Done {
			t.Errorf("%+v", a)
		}
	}
}
