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

	"hardening.yama/module/internal/driver"
	"hardening.yama/module/internal/ptrace"
	"hardening.yama/module/plugin/port"
)

// TestRemoval: whether a person asked is one question, what a removal would take along another, and
// neither needs an answer to the other. Where there is nobody to ask, that is the cause.
func TestRemoval(t *testing.T) {
	const seal = "/usr is mounted read-only"
	by := func(user bool, err error) func(*Manager, context.Context, string) (bool, error) {
		return func(*Manager, context.Context, string) (bool, error) { return user, err }
	}
	removal := func(with []string, err error) func(*Manager, context.Context, string) ([]string, error) {
		return func(*Manager, context.Context, string) ([]string, error) { return with, err }
	}
	broken := errors.New("it is broken")
	for name, c := range map[string]struct {
		m    Manager
		want ptrace.Removal
	}{
		"no manager, as RHEL 7 for us": {Manager{Name: ptrace.None},
			ptrace.Removal{Cause: "no package manager of this host can be used"}},
		"an image without a manager": {Manager{Name: "bootc", readOnly: seal}, ptrace.Removal{Cause: seal}},
		"asked for": {Manager{userInstalled: by(true, nil), removal: removal(nil, nil)},
			ptrace.Removal{UserInstalled: true}},
		"asked for, and required": {
			Manager{userInstalled: by(true, nil), removal: removal([]string{"requirer"}, nil)},
			ptrace.Removal{UserInstalled: true, With: []string{"requirer"}},
		},
		"asked for, and no answer": {
			Manager{Name: "dnf5", userInstalled: by(true, nil), removal: removal(nil, broken)},
			ptrace.Removal{UserInstalled: true, Cause: "dnf5 remove enabler: it is broken"},
		},
		"asked for, and sealed": {Manager{readOnly: seal, userInstalled: by(true, nil)},
			ptrace.Removal{UserInstalled: true, Cause: seal}},
		"its record is unreadable": {Manager{userInstalled: by(false, broken)},
			ptrace.Removal{Unknown: true, Cause: "cannot find out why enabler is installed: it is broken"}},
		"nor where it is sealed": {Manager{readOnly: seal, userInstalled: by(false, broken)},
			ptrace.Removal{Unknown: true, Cause: "cannot find out why enabler is installed: it is broken; " + seal}},
		"a manager without a record, as apk": {Manager{removal: removal(nil, nil)}, ptrace.Removal{}},
	} {
		if c.m.userInstalled != nil || c.m.removal != nil {
			c.m.program = "/usr/bin/manager"
		}
		if got := driver.New(&c.m, driver.Config{}).Removal(t.Context(),
			"enabler"); got.UserInstalled != c.want.UserInstalled || got.Unknown != c.want.Unknown ||
			got.Cause != c.want.Cause ||
			len(got.With) != len(c.want.With) {
			t.Errorf("%s:\n got %+v\nwant %+v", name, got, c.want)
		}
	}
}

// TestNone: a host whose packages are left alone is asked nothing, and told nothing to do.
func TestNone(t *testing.T) {
	m, err := Find(filesOf(t, "/"), "/", Want{})
	if err != nil {
		t.Fatal(err)
	}
	d := driver.New(m, driver.Config{LockTimeout: time.Second})
	if got := d.Offer(t.Context(), []string{"enabler"}); got.Cause != "no package manager of this host can be used" {
		t.Errorf("%+v", got)
	}
	for _, err := range []error{d.Install(t.Context(), "enabler"), d.Remove(t.Context(), "enabler")} {
		if err == nil || err.Error() != "no package manager of this host can be used" {
			t.Errorf("%v", err)
		}
	}
}

// TestPutBack: what was removed and is installed again in the same run is noted as before, and not
// as ours where that is not known.
func TestPutBack(t *testing.T) {
	for name, c := range map[string]struct {
		user bool
		err  error
		want string
	}{
		"nobody asked":   {want: "remove enabler|--nobody install enabler|mark enabler|"},
		"a person asked": {user: true, want: "remove enabler|install enabler|"},
		"not known":      {err: errors.New("it is broken"), want: "remove enabler|install enabler|"},
	} {
		said := filepath.Join(t.TempDir(), "said")
		program := filepath.Join(t.TempDir(), "manager")
		check(t, os.WriteFile(program, []byte("#!/bin/sh\nprintf '%s|' \"$*\" >>"+said+"\n"), 0o700))
		m := Manager{
			Name: "manager", program: program, files: filesOf(t, "/"), root: "/", memory: &memory{},
			install: []string{"install"}, remove: []string{"remove"}, markDependency: []string{"mark"},
			asDependency:  []string{"--nobody"},
			userInstalled: func(*Manager, context.Context, string) (bool, error) { return c.user, c.err },
			database: &database{installed: reading(func(*Manager, []string) ([]port.Package, error) {
				if content, err := os.ReadFile(said); err != nil || !bytes.Contains(content, []byte("install")) {
					return nil, err
				}
				return []port.Package{{Name: "enabler", Version: "1"}}, nil
			})},
		}
		d := driver.New(&m, driver.Config{})
		if err := errors.Join(d.Remove(t.Context(), "enabler"), d.Install(t.Context(), "enabler")); err != nil {
			t.Error(err)
		}
		if content, err := os.ReadFile(said); err != nil || string(content) != c.want {
			t.Errorf("%s: %q, want %q, %v", name, content, c.want, err)
		}
	}
	for _, m := range []Manager{dnf5, dnf, zypper, apt, pacman} {
		if m.userInstalled == nil || m.markDependency == nil && m.asDependency == nil {
			t.Errorf("%s notes not that nobody asked", m.Name)
		}
	}
}
