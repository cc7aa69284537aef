// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/hashicorp/go-hclog"

	"hardening.yama/module/internal/ptrace"
)

// lost is a machine that can be looked at no more.
type lost struct {
	machine
	why error
}

func (l lost) Observe(context.Context) (ptrace.Observed, error) { return ptrace.Observed{}, l.why }
func (l lost) Do(context.Context, ptrace.Action) error          { return nil }

// TestRollBackSaysItOnce: why the host cannot be looked at afterwards is said, and once where it is
// why the run failed.
func TestRollBackSaysItOnce(t *testing.T) {
	gone := errors.New("the plugin is gone")
	for want, cause := range map[string]error{
		"observe: the plugin is gone; and could not look at the host afterwards for the same reason": fmt.Errorf("observe: %w", gone),
		"disk full; and could not look at the host afterwards: the plugin is gone":                   errors.New("disk full"),
	} {
		r := &Report{first: &ptrace.Observed{}}
		r.did(ptrace.Action{Kind: ptrace.File, Object: "/etc/x"})
		ctx := hclog.WithContext(context.Background(), hclog.NewNullLogger())
		if err := rollBack(ctx, lost{why: gone}, r, cause); err == nil || err.Error() != want ||
			!errors.Is(err, cause) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
