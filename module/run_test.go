// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hardening.yama/module/internal/host"
	"hardening.yama/module/internal/logs"
	"hardening.yama/module/internal/ptrace"
)

// fedora is a tree with an enabler: the real adapter for files and kernel, and a package manager
// that is a map.
type fedora struct {
	*host.Host
	root      string
	installed string
	offer     ptrace.Offer
	removal   ptrace.Removal
	// fail says which action fails, and how.
	fail func(ptrace.Action) error
	// did lists what was done, in order.
	did []string
}

const (
	enablerFile = "/usr/lib/sysctl.d/10-default-yama-scope.conf"
	enablerMask = "/etc/sysctl.d/10-default-yama-scope.conf"
)

// siteConf is an administrator's /etc/sysctl.conf that is in the way of restricted.
const siteConf = "kernel.yama.ptrace_scope=0 # ours, since 2019\n"

func newFedora(t *testing.T) *fedora {
	t.Helper()
	root := t.TempDir()
	if err := furnish(root); err != nil {
		t.Fatal(err)
	}
	return &fedora{root: root, offer: ptrace.Offer{Package: "yama-ptrace-enable"},
		fail: func(ptrace.Action) error { return nil }}
}

func (f *fedora) open(c host.Config) (machine, error) {
	var err error
	f.Host, err = host.New(f.root, c)
	return f, err
}

func (f *fedora) Observe(ctx context.Context) (ptrace.Observed, error) {
	o, err := f.Host.Observe(ctx)
	o.Enabler.Manager, o.Enabler.Installed = "dnf5", f.installed
	o.Enabler.Candidates = []string{"yama-ptrace-enable"}
	return o, err
}

func (f *fedora) Answer(_ context.Context, q ptrace.Question, o *ptrace.Observed) error {
	if q == ptrace.AskOffer {
		o.Enabler.Offer = &f.offer
	} else {
		o.Enabler.Removal = &f.removal
	}
	return nil
}

func (f *fedora) Do(ctx context.Context, a ptrace.Action) error {
	if err := f.fail(a); err != nil {
		return err
	}
	f.did = append(f.did, a.Verb()+" "+a.Object)
	if a.Kind != ptrace.Package {
		return f.Host.Do(ctx, a)
	}
	if a.After == nil {
		f.installed = ""
		return os.Remove(filepath.Join(f.root, enablerFile))
	}
	return f.install(a.Object)
}

// install does what the package does, scriptlet included.
func (f *fedora) install(name string) error {
	f.installed = name
	if err := os.WriteFile(filepath.Join(f.root, enablerFile), []byte("kernel.yama.ptrace_scope = 0\n"),
		0o644); err != nil {
		return err
	}
	if _, err := os.Lstat(filepath.Join(f.root, enablerMask)); err == nil {
		return nil // masked
	}
	return os.WriteFile(filepath.Join(f.root, "/proc/sys/kernel/yama/ptrace_scope"), []byte("0\n"), 0o644)
}

// ask runs the whole program and returns its report.
func (f *fedora) ask(t *testing.T, arguments string) map[string]any {
	t.Helper()
	return f.askAs(t, f, arguments)
}

// askAs is ask on a machine that is the tree's, but for something.
func (f *fedora) askAs(t *testing.T, m machine, arguments string) map[string]any {
	t.Helper()
	open := func(c host.Config) (machine, error) {
		_, err := f.open(c)
		return m, err
	}
	file := filepath.Join(t.TempDir(), "args.json")
	if err := os.WriteFile(file, []byte(arguments), 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	f.did = nil
	run(context.Background(), []string{"ptrace_scope", file}, world{open: open, logs: logs.Places{Root: f.root}}, &out)
	if lines := strings.Split(strings.Trim(out.String(), "\n"), "\n"); len(lines) != 1 || out.Bytes()[0] != '\n' {
		t.Fatalf("not a line break and one line: %q", out.String())
	}
	var report map[string]any
	if err := json.Unmarshal(out.Bytes(), &report); err != nil {
		t.Fatal(err)
	}
	return report
}

// files returns what lies in the tree, to compare.
func (f *fedora) files(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(f.root, func(name string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() || strings.HasSuffix(name, ".lock") {
			return err
		}
		name = strings.TrimPrefix(name, f.root)
		if target, err := os.Readlink(filepath.Join(f.root, name)); err == nil {
			found[name] = "-> " + target
			return nil
		}
		content, err := os.ReadFile(filepath.Join(f.root, name))
		found[name] = string(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func same(a, b map[string]string) bool {
	if len(a) != len(b) {
		return false
	}
	for k, v := range a {
		if b[k] != v {
			return false
		}
	}
	return true
}

func TestStatesFollowEachOther(t *testing.T) {
	states := []string{"restricted", "permissive", "auto"}
	for _, from := range states {
		for _, to := range states {
			t.Run(from+" to "+to, func(t *testing.T) {
				f := newFedora(t)
				f.ask(t, `{"state":"`+from+`"}`)
				checked := f.ask(t, `{"state":"`+to+`","_ansible_check_mode":true}`)
				report := f.ask(t, `{"state":"`+to+`"}`)
				if report["failed"] == true || report["verified"] != true {
					t.Fatalf("failed: %v", report["msg"])
				}
				for _, key := range []string{"changed", "actions", "runtime", "packages", "decision", "drop_in"} {
					if ours, theirs := encode(checked[key]), encode(report[key]); ours != theirs {
						t.Errorf("check mode says %s %s, the run %s", key, ours, theirs)
					}
				}
				before := f.files(t)
				if again := f.ask(t, `{"state":"`+to+`"}`); again["changed"] == true || !same(before, f.files(t)) {
					t.Errorf("the second run changes something: %v", f.did)
				}
			})
		}
	}
}

func encode(value any) string {
	text, _ := json.Marshal(value) //nolint:errchkjson // it was JSON before
	return string(text)
}

// TestEveryFailureIsRolledBack lets each action of each state fail in turn: the host is as before,
// and the report says so.
func TestEveryFailureIsRolledBack(t *testing.T) {
	broken := errors.New("the disk is full")
	for _, to := range []string{"restricted", "permissive"} {
		for n := 0; ; n++ {
			f := newFedora(t)
			if to == "restricted" {
				if err := f.install("yama-ptrace-enable"); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(f.root, "/etc/sysctl.conf"), []byte(siteConf), 0o640); err != nil {
					t.Fatal(err)
				}
			} else {
				f.ask(t, `{"state":"restricted"}`)
			}
			before, count := f.files(t), 0
			f.fail = func(ptrace.Action) error {
				if count++; count == n+1 {
					return broken
				}
				return nil
			}
			report := f.ask(t, `{"state":"`+to+`","packages":"manage"}`)
			if report["failed"] != true {
				if n < 3 {
					t.Fatalf("%s has only %d actions", to, n)
				}
				break
			}
			if !same(before, f.files(t)) {
				t.Errorf("%s, action %d failed: not as before:\n%v\n%v", to, n, before, f.files(t))
			}
			back, _ := report["rolled_back"].([]any)
			if report["changed"] != false || len(back) < n ||
				!strings.Contains(report["msg"].(string), broken.Error()) {
				t.Errorf("%s, action %d: changed %v, %d put back, %v", to, n, report["changed"], len(back),
					report["msg"])
			}
			if encode(report["runtime"].(map[string]any)["before"]) != encode(report["runtime"].(map[string]any)["after"]) {
				t.Errorf("%s, action %d: the report says the value changed", to, n)
			}
		}
	}
}

func TestPackageManagerFails(t *testing.T) {
	f := newFedora(t)
	f.fail = func(a ptrace.Action) error {
		if a.Kind == ptrace.Package {
			return errors.New("dnf5 install: exit code 1: no space left")
		}
		return nil
	}
	report := f.ask(t, `{"state":"permissive"}`)
	if report["failed"] == true || encode(report["warnings"]) !=
		`["cannot install yama-ptrace-enable (dnf5 install: exit code 1: no space left): a drop-in sets 0 instead"]` {
		t.Errorf("auto does not fall back with a warning: %v, %v", report["msg"], report["warnings"])
	}
	if !slices.Contains(f.did, "write "+ptrace.DropIn) {
		t.Errorf("no drop-in: %v", f.did)
	}
}

// TestInstallationFailsAgain checks that a second run on a host where each installation fails
// changes nothing and warns. With a full disk, an unsigned package or a missing file this goes on
// for weeks.
func TestInstallationFailsAgain(t *testing.T) {
	for _, state := range []string{"permissive", "auto"} {
		f := newFedora(t)
		gdb := filepath.Join(f.root, "/usr/local/bin/gdb")
		if err := errors.Join(os.MkdirAll(filepath.Dir(gdb), 0o755), os.WriteFile(gdb, nil, 0o755)); err != nil {
			t.Fatal(err)
		}
		f.fail = func(a ptrace.Action) error {
			if a.Kind == ptrace.Package {
				return errors.New("dnf5 install: exit code 1: package is not signed")
			}
			return nil
		}
		if report := f.ask(t, `{"state":"`+state+`"}`); report["changed"] != true || report["failed"] != false {
			t.Errorf("%s: %s", state, encode(report))
		}
		before := f.files(t)
		report := f.ask(t, `{"state":"`+state+`","_ansible_diff":true}`)
		if report["changed"] != false || report["verified"] != true || report["diff"] != nil ||
			encode(report["actions"]) != "[]" ||
			!strings.Contains(encode(report["warnings"]), "package is not signed") {
			t.Errorf("%s, again: %s", state, encode(report))
		}
		if len(f.did) > 0 || !maps.Equal(before, f.files(t)) {
			t.Errorf("%s, again: did %v", state, f.did)
		}
		// Once it succeeds, the drop-in goes, and the run after that has nothing to do.
		f.fail = func(ptrace.Action) error { return nil }
		if report := f.ask(t, `{"state":"`+state+`"}`); report["failed"] != false || f.files(t)[ptrace.DropIn] != "" ||
			f.installed == "" {
			t.Errorf("%s, now it succeeds: %s", state, encode(report))
		}
		if report := f.ask(t, `{"state":"`+state+`"}`); report["changed"] != false {
			t.Errorf("%s, after it succeeded: %s", state, encode(report))
		}
	}
}

// TestTheFileDecides: one distribution ships the enabler's name with 1 in its file.
func TestTheFileDecides(t *testing.T) {
	f := newFedora(t)
	if report := f.askAs(t, &azure{f}, `{"state":"permissive"}`); report["failed"] == true {
		t.Fatal(report["msg"])
	}
	if got := strings.Join(f.did, ", "); !strings.Contains(got, "install yama-ptrace-enable, set") &&
		!strings.HasSuffix(got, "write "+ptrace.DropIn+", set "+ptrace.Key) {
		t.Errorf("did %s", got)
	}
	if content := f.files(t)[ptrace.DropIn]; !strings.HasSuffix(content, "kernel.yama.ptrace_scope = 0\n") {
		t.Errorf("the drop-in says %q", content)
	}
}

type azure struct{ *fedora }

func (a *azure) Do(ctx context.Context, action ptrace.Action) error {
	err := a.fedora.Do(ctx, action)
	if action.Kind == ptrace.Package && err == nil {
		err = os.WriteFile(filepath.Join(a.root, enablerFile), []byte("kernel.yama.ptrace_scope = 1\n"), 0o644)
	}
	return err
}

// TestSomethingKeepsUndoing: a host that does not become as planned is a failure, put back.
func TestSomethingKeepsUndoing(t *testing.T) {
	f := newFedora(t)
	report := f.askAs(t, &stubborn{f}, `{"state":"restricted"}`)
	if report["failed"] != true || !strings.Contains(report["msg"].(string), "something keeps undoing them") {
		t.Errorf("got %v", report["msg"])
	}
}

type stubborn struct{ *fedora }

func (s *stubborn) Observe(ctx context.Context) (ptrace.Observed, error) {
	o, err := s.fedora.Observe(ctx)
	classic := ptrace.Classic
	o.Runtime = &classic
	return o, err
}

// TestEachEnablerIsAskedFor: an upgrade may leave the old enabler beside the new one, and what is
// true of one is not of the other.
func TestEachEnablerIsAskedFor(t *testing.T) {
	for _, state := range []string{"restricted", "auto"} {
		f := newFedora(t)
		if err := f.install("yama-ptrace-enable"); err != nil {
			t.Fatal(err)
		}
		report := f.askAs(t, &two{f}, `{"state":"`+state+`"}`)
		if got := encode(report["packages"].(map[string]any)["removed"]); got != `["yama-ptrace-enable"]` ||
			!slices.Contains(f.did, "mask "+enablerMask) {
			t.Errorf("%s removed %s, and did %v", state, got, f.did)
		}
		if want := `["old-enabler stays installed and its drop-in is masked: removing old-enabler would also remove elfutils-libs"]`; encode(report["warnings"]) != want {
			t.Errorf("%s warns %s, want %s", state, encode(report["warnings"]), want)
		}
	}
}

// two has another enabler, with the same drop-in, which others require.
type two struct{ *fedora }

func (m *two) Observe(ctx context.Context) (ptrace.Observed, error) {
	o, err := m.fedora.Observe(ctx)
	if o.Enabler.Candidates = append(o.Enabler.Candidates, "old-enabler"); o.Enabler.Installed == "" {
		o.Enabler.Installed = "old-enabler"
	}
	return o, err
}

func (m *two) Answer(ctx context.Context, q ptrace.Question, o *ptrace.Observed) error {
	if o.Enabler.Installed == "old-enabler" {
		o.Enabler.Removal = &ptrace.Removal{With: []string{"elfutils-libs"}}
		return nil
	}
	return m.fedora.Answer(ctx, q, o)
}

func (m *two) Do(ctx context.Context, a ptrace.Action) error {
	err := m.fedora.Do(ctx, a)
	if a.Kind == ptrace.Package && err == nil {
		err = os.WriteFile(filepath.Join(m.root, enablerFile), []byte("kernel.yama.ptrace_scope = 0\n"), 0o644)
	}
	return err
}

// TestPanicIsAReport: whatever breaks, ansible-core gets its one line.
func TestPanicIsAReport(t *testing.T) {
	f := newFedora(t)
	f.fail = func(ptrace.Action) error { panic("surprise") }
	report := f.ask(t, `{"state":"restricted"}`)
	if report["failed"] != true || !strings.Contains(report["msg"].(string), "internal error: surprise") {
		t.Errorf("got %v", report["msg"])
	}
}

// TestStopPutsBack: a run that is told to end, as by a timeout of ansible-core's, leaves the host
// as it was.
func TestStopPutsBack(t *testing.T) {
	f := newFedora(t)
	before := f.files(t)
	ctx, stop := context.WithCancel(context.Background())
	f.fail = func(ptrace.Action) error { stop(); return nil }
	file := filepath.Join(t.TempDir(), "args.json")
	if err := os.WriteFile(file, []byte(`{"state":"restricted"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if code := run(ctx, []string{"", file}, world{open: f.open, logs: logs.Places{Root: f.root}}, &out); code == 0 ||
		!strings.Contains(out.String(), "asked the run to stop") {
		t.Errorf("code %d, %s", code, out.String())
	}
	if !same(before, f.files(t)) {
		t.Errorf("not as before: %v", f.files(t))
	}
}

// TestOneRunAtATime: a second run waits for the first, and says what it waited for.
func TestOneRunAtATime(t *testing.T) {
	f := newFedora(t)
	m, err := f.open(host.Config{})
	if err != nil {
		t.Fatal(err)
	}
	release, err := m.Lock(context.Background(), 0)
	if err != nil {
		t.Fatal(err)
	}
	report := f.ask(t, `{"state":"restricted","lock_timeout":0}`)
	if report["failed"] != true || !strings.Contains(report["msg"].(string), "/run/hardening.yama.lock") {
		t.Errorf("got %v", report["msg"])
	}
	ctx, stop := context.WithCancel(context.Background())
	var out bytes.Buffer
	run(ctx, []string{"", `{"state":"restricted"}`}, world{open: f.open, listen: stop, logs: logs.Places{Root: f.root}},
		&out)
	if !strings.Contains(out.String(), "a signal asked the run to stop while another had /run/hardening.yama.lock") {
		t.Errorf("asked to stop: %s", out.String())
	}
	release()
	if report := f.ask(t, `{"state":"restricted","lock_timeout":0}`); report["failed"] == true {
		t.Errorf("got %v", report["msg"])
	}
}
