// SPDX-License-Identifier: GPL-3.0-or-later

package packages

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"hardening.yama/module/internal/driver"
	"hardening.yama/module/internal/process"
	"hardening.yama/module/internal/ptrace"
)

// TestMain: with a file named, it is not the tests that run, but who holds a lock on it until its
// input ends.
func TestMain(m *testing.M) {
	if file := os.Getenv("LOCKED"); file != "" {
		hold(file, os.Getenv("LOCK_TYPE"))
		return
	}
	os.Exit(m.Run())
}

func hold(file, kind string) {
	f, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE, 0o600)
	lock := syscall.Flock_t{Type: syscall.F_WRLCK}
	if kind == "read" {
		lock.Type = syscall.F_RDLCK
	}
	if err == nil {
		err = syscall.FcntlFlock(f.Fd(), syscall.F_SETLK, &lock)
	}
	fmt.Println("held", err)
	_, _ = os.Stdin.Read(make([]byte, 1))
}

// locked has another process hold a lock, until release is called.
func locked(t *testing.T, file, kind string) (holder int, release func()) {
	t.Helper()
	check(t, os.MkdirAll(filepath.Dir(file), 0o700))
	c := exec.Command("/proc/self/exe")
	c.Env = []string{"LOCKED=" + file, "LOCK_TYPE=" + kind}
	in, err := c.StdinPipe()
	check(t, err)
	out, err := c.StdoutPipe()
	check(t, err)
	check(t, c.Start())
	release = func() {
		in.Close()
		_ = c.Wait()
	}
	if said, _ := bufio.NewReader(out).ReadString('\n'); said != "held <nil>\n" {
		release()
		t.Fatal(said)
	}
	return c.Process.Pid, release
}

// TestDNF5Locks: dnf5 is not started while another process has one of its locks, for as long as
// lock_timeout says.
func TestDNF5Locks(t *testing.T) {
	for _, file := range dnf5.locks {
		for _, kind := range []string{"read", "write"} {
			m := dnf5
			m.root, m.program, m.memory = t.TempDir(), "/bin/echo", &memory{}
			m.files = filesOf(t, m.root)
			m.parse = func(r process.Result) ([]string, error) {
				if !strings.HasSuffix(r.Stdout, " enabler\n") {
					t.Errorf("it ran as %q", r.Stdout)
				}
				return []string{"enabler"}, nil
			}
			offer := func(timeout time.Duration) ptrace.Offer {
				return driver.New(&m, driver.Config{LockTimeout: timeout}).Offer(t.Context(), []string{"enabler"})
			}
			if o := offer(300 * time.Millisecond); o.Package != "enabler" {
				t.Errorf("nobody has %s: %+v", file, o)
			}
			pid, release := locked(t, m.under(file), kind)
			want := fmt.Sprintf("wait for dnf5: another process has been using it for 300ms: wait for it to end, or raise lock_timeout: "+
				"dnf5 install enabler: process %d holds %s", pid, m.under(file))
			if o := offer(300 * time.Millisecond); o.Cause != want {
				t.Errorf("somebody has a %s lock:\n got %+v\nwant %s", kind, o, want)
			}
			time.AfterFunc(300*time.Millisecond, release)
			if o := offer(time.Minute); o.Package != "enabler" {
				t.Errorf("%+v", o)
			}
		}
	}
}

// TestDNF5Busy: what dnf5 says where somebody has taken a lock between our look and its own.
func TestDNF5Busy(t *testing.T) {
	for said, busy := range map[string]bool{
		"Transaction failed: Failed to obtain rpm transaction lock. Another transaction is in progress.":             true,
		"error: can't create transaction lock on /usr/lib/sysimage/rpm/.rpm.lock (Resource temporarily unavailable)": true,
		"Failed to resolve the transaction:\nNo match for argument: default-yama-scope":                              false,
	} {
		if got := dnf5.busy(process.Result{Stderr: said, Code: 1}); got != busy {
			t.Errorf("%q: %v", said, got)
		}
	}
	if dnf5.busy(process.Result{Stdout: "Running transaction lock test"}) {
		t.Error("a success is not busy")
	}
}
