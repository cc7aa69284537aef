// SPDX-License-Identifier: GPL-3.0-or-later

package packages

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"hardening.yama/module/internal/ptrace"
)

// TestRemoval: whether a person asked is one question, what a removal would take along another, and neither needs an answer to the
// other. Where there is nobody to ask, that is the cause.
func TestRemoval(t *testing.T) {
	const seal = "/usr is mounted read-only"
	asked := func(asked bool, err error) func(Manager, context.Context, string) (bool, error) {
		return func(Manager, context.Context, string) (bool, error) { return asked, err }
	}
	removal := func(with []string, err error) func(Manager, context.Context, string) ([]string, error) {
		return func(Manager, context.Context, string) ([]string, error) { return with, err }
	}
	broken := errors.New("it is broken")
	for name, c := range map[string]struct {
		m    Manager
		want ptrace.Removal
	}{
		"no manager, as RHEL 7 for us": {Manager{Name: ptrace.None}, ptrace.Removal{Cause: noManager}},
		"an image without a manager":   {Manager{Name: "bootc", sealed: seal}, ptrace.Removal{Cause: seal}},
		"asked for":                    {Manager{asked: asked(true, nil), removal: removal(nil, nil)}, ptrace.Removal{Asked: true}},
		"asked for, and required": {
			Manager{asked: asked(true, nil), removal: removal([]string{"requirer"}, nil)}, ptrace.Removal{Asked: true, With: []string{"requirer"}},
		},
		"asked for, and no answer": {
			Manager{Name: "dnf5", asked: asked(true, nil), removal: removal(nil, broken)},
			ptrace.Removal{Asked: true, Cause: "dnf5 remove enabler: it is broken"},
		},
		"asked for, and sealed":                {Manager{sealed: seal, asked: asked(true, nil)}, ptrace.Removal{Asked: true, Cause: seal}},
		"notes cannot be read":                 {Manager{asked: asked(false, broken)}, ptrace.Removal{Unknown: true, Cause: "ask why enabler is installed: it is broken"}},
		"nor where it is sealed":               {Manager{sealed: seal, asked: asked(false, broken)}, ptrace.Removal{Unknown: true, Cause: "ask why enabler is installed: it is broken; " + seal}},
		"a manager without such notes, as apk": {Manager{removal: removal(nil, nil)}, ptrace.Removal{}},
	} {
		if c.m.asked != nil || c.m.removal != nil {
			c.m.program = "/usr/bin/manager"
		}
		if got := c.m.Removal(t.Context(), "enabler"); got.Asked != c.want.Asked || got.Unknown != c.want.Unknown || got.Cause != c.want.Cause ||
			len(got.With) != len(c.want.With) {
			t.Errorf("%s:\n got %+v\nwant %+v", name, got, c.want)
		}
	}
}

// TestNone: a host whose packages are left alone is asked nothing, and told nothing to do.
func TestNone(t *testing.T) {
	m, err := Find(filesOf(t, "/"), "/", nil, false)
	if err != nil {
		t.Fatal(err)
	}
	m.LockTimeout = time.Second
	if got := m.Offer(t.Context(), []string{"enabler"}); got.Cause != noManager {
		t.Errorf("%+v", got)
	}
	for _, err := range []error{m.Install(t.Context(), "enabler"), m.Remove(t.Context(), "enabler")} {
		if err == nil || err.Error() != noManager {
			t.Errorf("%v", err)
		}
	}
}

// TestPutBack: what was removed and is installed again in the same run is noted as before, and not as ours where that is not known.
func TestPutBack(t *testing.T) {
	for name, c := range map[string]struct {
		asked bool
		err   error
		want  string
	}{
		"nobody asked":   {want: "remove enabler|--nobody install enabler|mark enabler|"},
		"a person asked": {asked: true, want: "remove enabler|install enabler|"},
		"not known":      {err: errors.New("it is broken"), want: "remove enabler|install enabler|"},
	} {
		said := filepath.Join(t.TempDir(), "said")
		program := filepath.Join(t.TempDir(), "manager")
		check(t, os.WriteFile(program, []byte("#!/bin/sh\nprintf '%s|' \"$*\" >>"+said+"\n"), 0o700))
		m := Manager{
			Name: "manager", program: program, files: filesOf(t, "/"), root: "/", memory: &memory{},
			install: []string{"install"}, remove: []string{"remove"}, mark: []string{"mark"}, unasked: []string{"--nobody"},
			asked: func(Manager, context.Context, string) (bool, error) { return c.asked, c.err },
			database: &database{installed: reading(func(Manager, context.Context, []string) ([]Installed, error) {
				if content, err := os.ReadFile(said); err != nil || !bytes.Contains(content, []byte("install")) {
					return nil, err
				}
				return []Installed{{"enabler", "1"}}, nil
			})},
		}
		if err := errors.Join(m.Remove(t.Context(), "enabler"), m.Install(t.Context(), "enabler")); err != nil {
			t.Error(err)
		}
		if content, err := os.ReadFile(said); err != nil || string(content) != c.want {
			t.Errorf("%s: %q, want %q, %v", name, content, c.want, err)
		}
	}
	for _, m := range []Manager{dnf5, dnf, zypper, apt, pacman} {
		if m.asked == nil || m.mark == nil && m.unasked == nil {
			t.Errorf("%s notes not that nobody asked", m.Name)
		}
	}
}
