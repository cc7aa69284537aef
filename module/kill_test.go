// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// asProgram in the environment makes the test binary the program.
const asProgram = "TEST_AS_PTRACE_SCOPE"

// changing are the system calls by which the program changes anything.
var changing = []string{"write", "mkdirat", "fchown", "fchownat", "fchmod", "fchmodat", "fsync", "renameat", "renameat2", "symlinkat", "unlinkat"}

// whole is a drop-in that no kill has cut short.
var whole = regexp.MustCompile(`(?s)^(#[^\n]*\n)*kernel\.yama\.ptrace_scope = [0-3]\n$`)

// TestKilledAtEverySystemCall kills the program before each system call that changes something. No drop-in is ever half
// written, and the next run leads to the same host as one that was not killed.
func TestKilledAtEverySystemCall(t *testing.T) {
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("strace is not installed (make setup), so nobody can kill at a chosen system call")
	}
	for _, c := range []struct{ from, to string }{
		{"", "restricted"}, {"restricted", "permissive"}, {"restricted", "auto"}, {"permissive", "restricted"},
	} {
		t.Run(c.from+" to "+c.to, func(t *testing.T) {
			t.Parallel()
			kills := 0
			for _, call := range changing {
				for n := 1; killedAt(t, strace, call, n, c.from, c.to); n++ {
					kills++
				}
			}
			if kills < 6 {
				t.Fatalf("only %d calls were there to kill at", kills)
			}
			t.Logf("killed at %d system calls", kills)
		})
	}
}

// killedAt kills the program at the nth call of that name and checks what it left and what the next run makes of it. It
// is false where the program ended before that.
func killedAt(t *testing.T, strace, call string, n int, from, to string) bool {
	t.Helper()
	clean, killed := prepared(t, from), prepared(t, from)
	clean.mustRun(t, to)
	cmd := exec.Command(strace, "-f", "-qq", "-o", "/dev/null", "-e", "trace="+call,
		"-e", "inject="+call+":signal=SIGKILL:when="+strconv.Itoa(n), os.Args[0], killed.arguments(t, to))
	cmd.Env = killed.environment()
	output, err := cmd.CombinedOutput()
	if err == nil {
		return false
	}
	if text := string(output); strings.Contains(text, "strace:") {
		if strings.Contains(text, "PTRACE") && strings.Contains(text, "Operation not permitted") {
			t.Skipf("strace cannot trace here: %s", text)
		}
		t.Fatal(text)
	}
	for name, content := range (&fedora{root: killed.root}).files(t) {
		if strings.HasPrefix(name, "/etc/sysctl.d/") && strings.HasSuffix(name, ".conf") &&
			!whole.MatchString(content) && content != "-> /dev/null" && content != "-> ../sysctl.conf" {
			t.Fatalf("killed at %s %d: %s is half written: %q", call, n, name, content)
		}
	}
	if content := (&fedora{root: killed.root}).files(t)["/etc/sysctl.conf"]; content != siteConf && content != "#hardening.yama# "+siteConf {
		t.Fatalf("killed at %s %d: /etc/sysctl.conf is half written: %q", call, n, content)
	}
	killed.mustRun(t, to)
	if got, want := (&fedora{root: killed.root}).files(t), (&fedora{root: clean.root}).files(t); !same(got, want) {
		t.Fatalf("killed at %s %d: the next run leads to\n%v\nnot\n%v", call, n, got, want)
	}
	return true
}

// siteConf is an administrator's /etc/sysctl.conf that is in the way of restricted.
const siteConf = "kernel.yama.ptrace_scope=0 # ours, since 2019\n"

// tree is a host of files, with a vendor's drop-in and an administrator's that set 0.
type tree struct{ root string }

func prepared(t *testing.T, state string) tree {
	t.Helper()
	h := tree{t.TempDir()}
	if err := furnish(h.root); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(h.root, enablerFile), []byte("kernel.yama.ptrace_scope = 0\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(h.root, "/etc/sysctl.conf"), []byte(siteConf), 0o644); err != nil {
		t.Fatal(err)
	}
	if state != "" {
		h.mustRun(t, state)
	}
	return h
}

func (h tree) environment() []string { return append(os.Environ(), asProgram+"=1", "ROOT="+h.root) }

func (h tree) arguments(t *testing.T, state string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "args.json")
	if err := os.WriteFile(file, []byte(`{"state":"`+state+`"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func (h tree) mustRun(t *testing.T, state string) {
	t.Helper()
	cmd := exec.Command(os.Args[0], h.arguments(t, state))
	cmd.Env = h.environment()
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
}
