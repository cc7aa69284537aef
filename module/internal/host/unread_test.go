// SPDX-License-Identifier: GPL-3.0-or-later

package host

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"hardening.yama/module/internal/ptrace"
	"hardening.yama/schema"
)

// unreadRoot names the variable with the root of the host that an ordinary user asks.
const unreadRoot = "TEST_UNREAD_ROOT"

// TestUnread checks that an ordinary user gets an answer on a host where a directory or a file is
// root's alone, and a caution that names it.
func TestUnread(t *testing.T) {
	if root := os.Getenv(unreadRoot); root != "" {
		h, err := New(root, Config{Catalog: schema.Known(), ReadOnly: true, Explain: true})
		if err != nil {
			t.Fatal(err)
		}
		defer h.Close()
		o, err := h.Observe(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		e, err := h.Explain(o)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("cautions: %q", ptrace.Cautions(o, e))
		return
	}
	if os.Geteuid() != 0 {
		t.Skip("no ordinary user can be tested: this test does not run as root")
	}
	for _, name := range []string{
		"etc/sysctl.d", "run/sysctl.d", "usr/local/lib/sysctl.d", "usr/lib/sysctl.d", "usr/local/bin",
		"etc/credstore", "etc/ufw", "etc/default", "etc/tmpfiles.d", "etc/sysctl.conf", "etc/sysctl.d/50-site.conf",
	} {
		for _, mode := range []os.FileMode{0, 0o444} { // root's alone; names can be read, and nothing behind them
			root := t.TempDir()
			for _, file := range []string{
				"etc/os-release", "etc/sysctl.conf", "etc/sysctl.d/50-site.conf", "run/sysctl.d/a.conf",
				"usr/local/lib/sysctl.d/a.conf",
				"usr/lib/sysctl.d/a.conf", "usr/local/bin/gdb", "var/lib/hardening.yama/originals/a",
				"etc/credstore/a", "etc/ufw/ufw.conf", "etc/default/ufw", "etc/tmpfiles.d/a.conf",
				"proc/sys/kernel/yama/ptrace_scope",
			} {
				file = filepath.Join(root, file)
				must(t, os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte("1\n"), 0o644))
			}
			must(t, os.Chmod(filepath.Join(root, "var/lib/hardening.yama/originals"), 0o700))
			file := filepath.Join(root, name)
			info, err := os.Stat(file)
			must(t, err)
			if !info.IsDir() && mode != 0 {
				continue
			}
			must(t, os.Chmod(file, mode), os.Chmod(root, 0o755), os.Chmod(filepath.Dir(root), 0o755))
			ask := exec.Command("/proc/self/exe", "-test.v", "-test.run=^TestUnread$")
			ask.Dir, ask.Env = "/", append(os.Environ(), unreadRoot+"="+root)
			ask.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
			output, err := ask.CombinedOutput()
			if err != nil || !strings.Contains(string(output), "this user may not read /"+name) ||
				strings.Contains(string(output), "originals") {
				t.Errorf("%s with mode %o: %v\n%s", name, mode, err, output)
			}
		}
	}
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}
