// SPDX-License-Identifier: GPL-3.0-or-later

package attach

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

// In the environment, they make the test binary try once and print the outcome: as it is, below a
// seccomp filter, with room for one process of each user, or without the capabilities to become
// another user. With held it starts the test processes, and waits to be killed.
const (
	once         = "TEST_ATTACH_ONCE"
	belowSeccomp = "seccomp"
	belowLimit   = "limit"
	powerless    = "powerless"
	held         = "held"
)

func TestMain(m *testing.M) {
	Serve(os.Args)
	if how := os.Getenv(once); how != "" {
		switch how {
		case held:
			_, all, err := trying(context.Background())
			fmt.Println(held, err)
			time.Sleep(time.Hour)
			runtime.KeepAlive(all) // their pipes end with the last that knows them
		case belowSeccomp:
			denyPtrace()
		case belowLimit:
			const rlimitNproc = 6
			if err := syscall.Setrlimit(rlimitNproc, &syscall.Rlimit{Cur: 1, Max: 1}); err != nil {
				fmt.Println("setrlimit:", err)
			}
		case powerless: // what is executed from here on has what is left of the bounding set: capabilities(7)
			runtime.LockOSThread()
			const prCapbsetDrop, capKill, capSetgid, capSetuid = 24, 5, 6, 7
			for _, capability := range []uintptr{capKill, capSetgid, capSetuid} {
				syscall.Syscall(syscall.SYS_PRCTL, prCapbsetDrop, capability, 0)
			}
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

// TestTry: the kernel says what its scope says, to root's processes, which become nobody, and to an
// ordinary user's. molecule/attach does the same at every scope of a real Yama kernel.
func TestTry(t *testing.T) {
	matrix, err := Try(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if loose, strict := matrix.Expect(scopeHere(t), Facts{Seccomp: Seccomp()}); loose+strict != "" {
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
	if output, err := cmd.CombinedOutput(); err != nil ||
		!strings.HasPrefix(string(output), fmt.Sprint(matrix)+" <nil>") {
		t.Errorf("from a file that only root can run: %v, %s", err, output)
	}
	open(t, filepath.Dir(copied))
	if err := os.Chmod(copied, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd = exec.Command(copied)
	cmd.Env = []string{once + "=1"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 4711, Gid: 4711}}
	if output, err := cmd.CombinedOutput(); err != nil ||
		!strings.HasPrefix(string(output), fmt.Sprint(matrix)+" <nil>") {
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

// ours returns the test processes that are alive, and not those of another test or program on this
// machine.
func ours(t *testing.T) []int {
	t.Helper()
	found, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Stat("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	var alive []int
	for _, file := range found {
		content, err := os.ReadFile(file)
		if err != nil || !bytes.HasPrefix(content, []byte(Name+"\x00")) {
			continue
		}
		if program, err := os.Stat(filepath.Join(filepath.Dir(file), "exe")); err == nil && os.SameFile(program, self) {
			pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
			if err != nil {
				t.Fatal(err)
			}
			alive = append(alive, pid)
		}
	}
	return alive
}

// TestNothingIsLeft: no process outlives the attempt, nor a program that was killed in the middle
// of one.
func TestNothingIsLeft(t *testing.T) {
	if _, err := Try(context.Background()); err != nil || len(ours(t)) > 0 {
		t.Fatalf("%v are left, %v", ours(t), err)
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
		waitForNone(t, fmt.Sprintf("of one that was killed after %d ms", delay))
	}
}

// TestStoppedProcessIsNotLeft: a stopped process does not notice that the program has ended.
func TestStoppedProcessIsNotLeft(t *testing.T) {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = []string{once + "=" + held}
	out, err := cmd.StdoutPipe()
	if err = errors.Join(err, cmd.Start()); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	if text, err := bufio.NewReader(out).ReadString('\n'); err != nil || text != held+" <nil>\n" {
		t.Fatalf("%q, %v", text, err)
	}
	for end := time.Now().Add(time.Minute); len(ours(t)) < 5; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("after a minute there are only %v", ours(t))
		}
	}
	waitUntilIdle(t)
	for _, pid := range ours(t) {
		if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
	}
	cmd.Process.Kill()
	waitForNone(t, "that were stopped")
}

// waitForNone returns when no test process is left, and ends those that are after a while.
func waitForNone(t *testing.T, which string) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); len(ours(t)) > 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			left := ours(t)
			for _, pid := range left {
				syscall.Kill(pid, syscall.SIGKILL)
			}
			t.Fatalf("%v are left %s", left, which)
		}
	}
}

// waitUntilIdle returns when each thread of the test processes sleeps, so that each of them waits
// for its next line.
func waitUntilIdle(t *testing.T) {
	t.Helper()
	end := time.Now().Add(time.Minute)
	for idle := 0; idle < 3; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the test processes do not become idle")
		}
		idle++
		for _, pid := range ours(t) {
			threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
			for _, thread := range threads {
				if stat, err := os.ReadFile(thread); err != nil || !bytes.Contains(stat, []byte(") S ")) {
					idle = 0
				}
			}
		}
	}
}

// isTheUser tells whether a process has become the user of the attempt.
func isTheUser(pid int) bool {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	return err == nil && !bytes.Contains(status, []byte("\nUid:\t0\t"))
}

// trying starts a tracer and its two targets, as Try does, and returns them when the targets are
// ready.
func trying(ctx context.Context) (user int, all [3]*process, err error) {
	user = os.Geteuid()
	if user == 0 {
		if user, err = unusedID("/", hasProcesses); err != nil {
			return user, all, err
		}
	}
	if all[0], err = start(ctx, "tracer", user); err != nil {
		return user, all, err
	}
	if all[1], err = ready(ctx, "target", user); err != nil {
		return user, all, err
	}
	all[2], err = ready(ctx, "named", user, strconv.Itoa(all[0].Pid))
	return user, all, err
}

// mustTry starts them for the rest of the test.
func mustTry(t *testing.T) (user int, tracer, target, named *process) {
	t.Helper()
	user, all, err := trying(context.Background())
	for _, p := range all {
		if p != nil {
			t.Cleanup(p.end)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return user, all[0], all[1], all[2]
}

// children returns the processes that a process started.
func children(t *testing.T, pid int) []int {
	t.Helper()
	var found []int
	for _, other := range ours(t) {
		if stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", other)); err == nil {
			_, after, _ := strings.Cut(string(stat), ") ")
			if strings.Fields(after)[1] == strconv.Itoa(pid) {
				found = append(found, other)
			}
		}
	}
	return found
}

// TestEndedProcessIsNoDenial: the kernel refuses to have a process traced that has ended, which
// says nothing about its scope.
func TestEndedProcessIsNoDenial(t *testing.T) {
	for i, name := range []string{"sibling", "named", "tracer"} {
		_, tracer, target, named := mustTry(t)
		if err := []*process{target, named, tracer}[i].Kill(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond) // it is a zombie then
		matrix, err := ask(tracer, target, named)
		if err == nil || err.Error() != "a test process ended without an answer (signal: killed): run the task again" {
			t.Errorf("the %s was ended: got %v, %v", name, matrix, err)
		}
	}
	for i := range 2 {
		_, tracer, target, named := mustTry(t)
		waitForTracer(t, tracer.Pid)
		if err := syscall.Kill(children(t, tracer.Pid)[i], syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond)
		matrix, err := ask(tracer, target, named)
		if err == nil || !strings.Contains(err.Error(), "a test process ended without an answer (") {
			t.Errorf("child %d was ended: got %v, %v", i, matrix, err)
		}
	}
}

// waitForTracer returns when a tracer waits for its siblings, and its children for it.
func waitForTracer(t *testing.T, pid int) {
	t.Helper()
	end := time.Now().Add(time.Minute)
	for len(children(t, pid)) < 2 || os.Geteuid() == 0 && !isTheUser(pid) {
		if time.Now().After(end) {
			t.Fatal("the tracer is not ready after a minute")
		}
		time.Sleep(time.Millisecond)
	}
	waitUntilIdle(t)
}

// TestOnlyTargetsCanBeTraced: as root, test processes have an ID that nothing else has, and no
// other process of it could trace those that are not there to be traced.
func TestOnlyTargetsCanBeTraced(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can become another user")
	}
	before, err := syscall.Getgroups()
	if err = errors.Join(err, syscall.Setgroups([]int{4711})); err != nil {
		t.Fatal(err)
	}
	defer syscall.Setgroups(before)
	user, tracer, target, named := mustTry(t)
	waitForTracer(t, tracer.Pid)
	if !hasProcesses(user) {
		t.Errorf("no process has user ID %d", user)
	}
	traceable := 0
	for _, pid := range append(children(t, tracer.Pid), tracer.Pid, target.Pid, named.Pid) {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			t.Fatal(err)
		}
		ids := fmt.Sprintf("%d\t%[1]d\t%[1]d\t%[1]d\n", user)
		for _, line := range []string{"Uid:\t" + ids, "Gid:\t" + ids, "Groups:\t \n", "CapEff:\t0000000000000000\n"} {
			if !bytes.Contains(status, []byte("\n"+line)) {
				t.Errorf("process %d has no line %q in\n%s", pid, line, status)
			}
		}
		info, err := os.Stat(fmt.Sprintf("/proc/%d/mem", pid))
		if err != nil {
			t.Fatal(err)
		}
		// The files of an undumpable process are root's: proc_pid(5).
		if stat, ok := info.Sys().(*syscall.Stat_t); ok && int(stat.Uid) == user {
			traceable++
		}
	}
	if traceable != 3 {
		t.Errorf("%d test processes can be traced, not the two siblings and the child", traceable)
	}
	if _, err := ask(tracer, target, named); err != nil {
		t.Error(err)
	}
}

// TestStopped: a run that was asked to stop says so.
func TestStopped(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := Try(ctx)
	if err == nil || err.Error() != "a signal asked the run to stop before the test was over: run the task again" {
		t.Errorf("got %v", err)
	}
}

// tryBelow has the test binary try once in an environment of its own, and returns what it prints.
func tryBelow(t *testing.T, how string, attr *syscall.SysProcAttr) string {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = []string{once + "=" + how}
	cmd.SysProcAttr = attr
	output, err := cmd.CombinedOutput()
	if os.IsPermission(err) {
		t.Skip("this root may not make namespaces")
	}
	if err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	return string(output)
}

// TestFewRights: root that has little makes its attempt, or says why it cannot and what to do.
func TestFewRights(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can become another user")
	}
	matrix, err := Try(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	made := fmt.Sprint(matrix) + " <nil>"
	namespace := func(ids ...syscall.SysProcIDMap) *syscall.SysProcAttr {
		return &syscall.SysProcAttr{
			Cloneflags: syscall.CLONE_NEWUSER, UidMappings: ids, GidMappings: ids, GidMappingsEnableSetgroups: true,
			Credential: &syscall.Credential{},
		}
	}
	for _, c := range []struct {
		name, how string
		attr      *syscall.SysProcAttr
		want      string
	}{
		{"one process for each user", belowLimit, nil, made},
		{"a container with 65536 IDs", "1", namespace(syscall.SysProcIDMap{HostID: 1 << 20, Size: 1 << 16}), made},
		{"a container with 1000 IDs", "1", namespace(syscall.SysProcIDMap{HostID: 1 << 20, Size: 1000}), made},
		{
			"a container with one ID", "1", namespace(syscall.SysProcIDMap{HostID: 1 << 20, Size: 1}),
			"this container has no user ID without processes for the test processes: run the task on its host",
		},
		{
			"no capabilities", powerless, nil,
			"operation not permitted: run the task where root has CAP_SETUID and CAP_SETGID",
		},
	} {
		if got := tryBelow(t, c.how, c.attr); !strings.Contains(got, c.want) {
			t.Errorf("%s: got %swant %s", c.name, got, c.want)
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
	if _, _, errno := syscall.Syscall(sysSeccomp, setModeFilter, allThreads,
		uintptr(unsafe.Pointer(&list))); errno != 0 {
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
		{"not restricted at all", Matrix{}, 1, Facts{},
			"an unprivileged process may attach to a process that it did not start, whatever the scope says", ""},
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
		if loose, strict := c.matrix.Expect(c.scope, c.facts); loose != c.loose || strict != c.strict {
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
