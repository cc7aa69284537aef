// SPDX-License-Identifier: GPL-3.0-or-later

package packages

import (
	"errors"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"

	"hardening.yama/module/internal/process"
	"hardening.yama/module/internal/view"
)

// shell runs a script as a manager is run that changes the tree.
func (m *Manager) shell(t *testing.T, script string) (process.Result, error) {
	t.Helper()
	c := &process.Command{Program: "/bin/sh", Args: []string{"-c", script, "sh", m.root}, Environment: environment,
		Starter: m.starter(false)}
	return c.Run(t.Context())
}

// TestReadOnlyProc: what runs in a tree cannot set what the kernel of this host holds.
func TestReadOnlyProc(t *testing.T) {
	for _, m := range managers {
		if m.rootOptions != nil && !m.runsScriptlets &&
			!slices.ContainsFunc(m.rootOptions,
				func(option string) bool { return strings.Contains(option, "script") }) {
			t.Errorf("%s runs scriptlets in a tree", m.Name)
		}
	}
	root := t.TempDir()
	check(t, os.Mkdir(root+"/proc", 0o755))
	m := Manager{Name: "zypper", program: "/bin/sh", files: filesOf(t, root), root: root, runsScriptlets: true,
		memory: &memory{}, readOnlyProc: view.ReadOnlyProc(root + "/proc")}
	t.Cleanup(m.readOnlyProc.Close)
	if err := m.readOnlyProc.Do(func() error { return nil }); errors.Is(err, view.ErrNoMounts) {
		t.Skip("mounts need root: ", err)
	}
	r, err := m.shell(t, `cat "$1/proc/self/comm"; echo x >"$1/proc/self/comm"; echo done >"$1/done"`)
	if err != nil || !strings.HasPrefix(r.Stdout, "cat\n") || !strings.Contains(r.Stderr, "ead-only file system") {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := os.Stat(root + "/done"); err != nil {
		t.Error("the tree cannot be written to")
	}
	if here, err := os.ReadDir(root + "/proc"); err != nil || len(here) > 0 {
		t.Errorf("the host sees %v, %v", here, err)
	}
}

// TestWithoutView: in a container, where the view cannot be had, nobody reads the database, and the
// manager itself is not asked.
func TestWithoutView(t *testing.T) {
	if os.Getenv("WITHOUT_VIEW") == "" {
		if os.Geteuid() != 0 {
			t.Skip("another user needs root")
		}
		setpriv, err := exec.LookPath("setpriv")
		if err != nil {
			t.Skip("setpriv is missing, which takes CAP_SYS_ADMIN away")
		}
		c := exec.Command(setpriv, "--bounding-set=-sys_admin", "--inh-caps=-sys_admin", "/proc/self/exe",
			"-test.run=^TestWithoutView$", "-test.v")
		program, err := os.Executable()
		check(t, err)
		c.Args[3] = program
		c.Env = append(os.Environ(), "WITHOUT_VIEW=1")
		out, err := c.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "PASS: TestWithoutView") {
			t.Errorf("%v: %s", err, out)
		}
		return
	}
	dir := t.TempDir()
	m := Manager{Name: "dnf5", CheckMode: true, files: filesOf(t, "/"), root: "/", program: "/bin/sh",
		database: &database{}, memory: &memory{}, throwaway: view.Throwaway("/", nil)}
	r, err := m.query(t.Context(), "/bin/sh", "-c", `id -u; id -g; id -G; echo x >"$1" && echo written`, "sh",
		dir+"/file")
	if err != nil || r.Stdout != "65534\n65534\n65534\n" {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := m.ask(t.Context(), []string{"-c"}, "true"); !errors.Is(err, syscall.EPERM) ||
		!strings.Contains(err.Error(), view.Hint) {
		t.Errorf("the manager was userInstalled: %v", err)
	}
	m.CheckMode = false
	if r, err := m.query(t.Context(), "/bin/sh", "-c", "id -u"); err != nil || r.Stdout != "0\n" {
		t.Errorf("%+v, %v", r, err)
	}
	// Nor can anybody keep a tree's scriptlets from a /proc that is there.
	m.root, m.files, m.runsScriptlets, m.readOnlyProc = dir, filesOf(t, dir), true, view.ReadOnlyProc(dir+"/proc")
	if r, err := m.shell(t, "echo ran"); err != nil || r.Stdout != "ran\n" {
		t.Errorf("%+v, %v", r, err)
	}
	check(t, os.MkdirAll(dir+"/proc/sys", 0o755))
	if _, err := m.shell(t, "echo ran"); err == nil || !strings.Contains(err.Error(), "unmount "+dir+"/proc first") {
		t.Errorf("it ran: %v", err)
	}
	// With the real one, where there is one.
	if m, err := Find(filesOf(t, "/"), "/", Want{Managers: []string{"apt"}}); err == nil && m.Name == "apt" {
		m.CheckMode = true
		owners, err := ownersOf(m, "/usr/lib/os-release")
		if err != nil || owners["/usr/lib/os-release"] != "base-files" {
			t.Errorf("%v, %v", owners, err)
		}
	}
}
