// SPDX-License-Identifier: GPL-3.0-or-later

package attach

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

// In the environment, they make the test binary try once and print the outcome, as it is or below a seccomp filter.
const (
	once         = "TEST_ATTACH_ONCE"
	belowSeccomp = "seccomp"
)

func TestMain(m *testing.M) {
	Serve(os.Args)
	if how := os.Getenv(once); how != "" {
		if how == belowSeccomp {
			denyPtrace()
		}
		matrix, err := Try(context.Background())
		fmt.Println(matrix, err, Seccomp())
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// scopeHere returns the scope of the kernel that runs the test, -1 without Yama.
func scopeHere(t *testing.T) int {
	t.Helper()
	content, err := os.ReadFile("/proc/sys/kernel/yama/ptrace_scope")
	if os.IsNotExist(err) {
		return -1
	}
	var scope int
	if _, err := fmt.Sscan(string(content), &scope); err != nil {
		t.Fatal(err)
	}
	return scope
}

// TestTry: the kernel says what its scope says, to root's processes, which become nobody, and to an ordinary user's.
// molecule/attach does the same at every scope of a real Yama kernel.
func TestTry(t *testing.T) {
	matrix, err := Try(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if loose, strict := matrix.Judge(scopeHere(t), Facts{Seccomp: Seccomp()}); loose+strict != "" {
		t.Errorf("as user %d: %s%s", os.Getuid(), loose, strict)
	}
	if os.Getuid() != 0 {
		t.Skip("only root can become another user")
	}
	copied := filepath.Join(t.TempDir(), "private")
	program, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(copied, program, 0o700); err != nil { // as ansible-core leaves it: only its owner can run it
		t.Fatal(err)
	}
	cmd := exec.Command(copied)
	cmd.Env = []string{once + "=1"}
	if output, err := cmd.CombinedOutput(); err != nil || !strings.HasPrefix(string(output), fmt.Sprint(matrix)+" <nil>") {
		t.Errorf("from a file that only root can run: %v, %s", err, output)
	}
	open(t, filepath.Dir(copied))
	if err := os.Chmod(copied, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd = exec.Command(copied)
	cmd.Env = []string{once + "=1"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 4711, Gid: 4711}}
	if output, err := cmd.CombinedOutput(); err != nil || !strings.HasPrefix(string(output), fmt.Sprint(matrix)+" <nil>") {
		t.Errorf("as an ordinary user: %v, %s", err, output)
	}
}

// open lets everybody into a directory of the test's.
func open(t *testing.T, dir string) {
	t.Helper()
	for ; dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

// ours counts the processes of ours that are alive, and not those of another test or program on this machine.
func ours(t *testing.T) int {
	t.Helper()
	found, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Stat("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	for _, file := range found {
		content, err := os.ReadFile(file)
		if err != nil || !bytes.HasPrefix(content, []byte(Name+"\x00")) {
			continue
		}
		if program, err := os.Stat(filepath.Join(filepath.Dir(file), "exe")); err == nil && os.SameFile(program, self) {
			count++
		}
	}
	return count
}

// TestNothingIsLeft: no process outlives the attempt, nor whoever was killed in the middle of one.
func TestNothingIsLeft(t *testing.T) {
	if _, err := Try(context.Background()); err != nil || ours(t) > 0 {
		t.Fatalf("%d processes are left, %v", ours(t), err)
	}
	for delay := range 12 {
		cmd := exec.Command("/proc/self/exe")
		cmd.Env = []string{once + "=1"}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(delay) * time.Millisecond)
		cmd.Process.Kill()
		cmd.Wait()
		for end := time.Now().Add(time.Minute); ours(t) > 0; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%d processes are left of one that was killed after %d ms", ours(t), delay)
			}
		}
	}
}

// denyPtrace puts a seccomp filter on this process that lets ptrace fail: seccomp(2).
func denyPtrace() {
	type filter struct {
		code   uint16
		jt, jf uint8
		k      uint32
	}
	const loadNumber, jumpEqual, ret = 0x20, 0x15, 0x06
	program := []filter{
		{loadNumber, 0, 0, 0},
		{jumpEqual, 0, 1, uint32(syscall.SYS_PTRACE)},
		{ret, 0, 0, 0x00050000 | uint32(syscall.EPERM)},
		{ret, 0, 0, 0x7fff0000},
	}
	list := struct {
		length uint16
		filter *filter
	}{uint16(len(program)), &program[0]}
	syscall.AllThreadsSyscall(syscall.SYS_PRCTL, 38, 1, 0) // PR_SET_NO_NEW_PRIVS
	const setModeFilter, allThreads = 1, 1
	const sysSeccomp = 317 // on x86_64
	if _, _, errno := syscall.Syscall(sysSeccomp, setModeFilter, allThreads, uintptr(unsafe.Pointer(&list))); errno != 0 {
		fmt.Println("seccomp:", errno)
		os.Exit(1)
	}
}

// TestSeccomp: a filter that denies ptrace is seen and named.
func TestSeccomp(t *testing.T) {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = []string{once + "=" + belowSeccomp}
	output, err := cmd.CombinedOutput()
	denied := Matrix{syscall.EPERM, syscall.EPERM, syscall.EPERM, syscall.EPERM}
	if want := fmt.Sprintln(denied, nil, true); err != nil || string(output) != want {
		t.Fatalf("%v: got %s, want %s", err, output, want)
	}
}

func TestJudge(t *testing.T) {
	const eperm = syscall.EPERM
	for _, c := range []struct {
		name          string
		matrix        Matrix
		scope         int
		facts         Facts
		loose, strict string
	}{
		{"no Yama", Matrix{}, -1, Facts{}, "", ""},
		{"classic", Matrix{}, 0, Facts{}, "", ""},
		{"restricted", Matrix{Sibling: eperm}, 1, Facts{}, "", ""},
		{"admin only", Matrix{eperm, eperm, eperm, eperm}, 2, Facts{}, "", ""},
		{"no attach", Matrix{eperm, eperm, eperm, eperm}, 3, Facts{}, "", ""},
		{"not restricted at all", Matrix{}, 1, Facts{}, "an unprivileged process may attach to a process that it did not start, whatever the scope says", ""},
		{
			"a filter", Matrix{eperm, eperm, eperm, eperm}, 1, Facts{Seccomp: true, Container: "podman"}, "",
			"an unprivileged process may not attach to its own child (denied) nor attach to a process that named it with PR_SET_PTRACER (denied) " +
				"nor be traced by its parent (denied), though the scope lets it: a seccomp filter is in force here, and this is a container (podman)",
		},
		{
			"SELinux", Matrix{Sibling: syscall.EACCES}, 0, Facts{DenyPtrace: true}, "",
			"an unprivileged process may not attach to a process that it did not start (denied), though the scope lets it: SELinux' deny_ptrace is on",
		},
		{
			"an emulator", Matrix{Traceme: syscall.ENOSYS}, 0, Facts{}, "",
			"an unprivileged process may not be traced by its parent (function not implemented), though the scope lets it: " +
				"something else than Yama denies it, such as another security module",
		},
	} {
		if loose, strict := c.matrix.Judge(c.scope, c.facts); loose != c.loose || strict != c.strict {
			t.Errorf("%s\n got: %s|%s\nwant: %s|%s", c.name, loose, strict, c.loose, c.strict)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("1 0 0 0")
	f.Add(strings.Repeat("1 ", 1<<19))
	f.Fuzz(func(t *testing.T, text string) {
		if m, err := parse(text); err == nil && len(strings.Fields(text)) != len(m.Ways()) {
			t.Errorf("%q is an answer", text)
		}
	})
}

// BenchmarkTry measures the whole attempt.
func BenchmarkTry(b *testing.B) {
	for b.Loop() {
		if _, err := Try(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
}
