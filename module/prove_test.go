// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"hardening.yama/module/internal/attach"
	"hardening.yama/module/internal/ptrace"
	"hardening.yama/schema"
)

// In the environment, inArena makes the test binary the first process of a PID namespace.
// asAttacker makes it end processes: with a user ID all that this user may end, with killByName the
// test processes of an attempt.
const (
	inArena    = "TEST_IN_ARENA"
	asAttacker = "TEST_AS_ATTACKER"
	killByName = "by name"
)

// kill ends processes until it is ended itself.
func kill(how string) {
	if user, err := strconv.Atoi(how); err == nil {
		if syscall.Setresgid(user, user, user) != nil || syscall.Setresuid(user, user, user) != nil {
			os.Exit(1)
		}
		os.Stdout.WriteString("ready\n")
		for {
			// All that it may, but for itself and the first process: kill(2). An attempt takes 5 ms
			// or more.
			_ = syscall.Kill(-1, syscall.SIGKILL)
			time.Sleep(100 * time.Microsecond)
		}
	}
	os.Stdout.WriteString("ready\n")
	for {
		found, _ := filepath.Glob("/proc/[0-9]*/cmdline")
		for _, file := range found {
			line, _ := os.ReadFile(file)
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
			if bytes.HasPrefix(line, []byte(attach.Name+"\x00")) && rand.N(4) == 0 {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		}
		time.Sleep(rand.N(10 * time.Millisecond)) // a whole attempt takes less than that
	}
}

// arena runs the test that calls it once more, as root of a PID and a mount namespace of its own.
// It is true there.
func arena(t *testing.T) bool {
	t.Helper()
	if os.Getenv(inArena) != "" {
		if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Mount("proc", "/proc", "proc", 0, ""); err != nil {
			t.Fatal(err)
		}
		return true
	}
	if os.Getuid() != 0 {
		t.Skip("only root can be attacked as root is")
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), inArena+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL,
	}
	output, err := cmd.CombinedOutput()
	if os.IsPermission(err) {
		t.Skip("this root may not make namespaces")
	}
	if t.Logf("%s", output); err != nil {
		t.Fail()
	}
	return false
}

// attacked starts an attacker for the rest of the test.
func attacked(t *testing.T, how string) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = []string{asAttacker + "=" + how}
	out, err := cmd.StdoutPipe()
	if err = errors.Join(err, cmd.Start()); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 8)); err != nil {
		t.Fatalf("the attacker %s: %v", how, err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		if err := cmd.Wait(); err == nil || err.Error() != "signal: killed" {
			t.Errorf("the attacker %s was not there to the end: %v", how, err)
		}
	})
}

// proveOnce runs the program on a new tree, with a change to make that this kernel's own scope
// bears out, and returns its report.
func proveOnce(t *testing.T) map[string]any {
	t.Helper()
	h := tree{t.TempDir()}
	from, arguments := "1\n", `{"state":"permissive","verify":"attach"}`
	if scope, err := os.ReadFile("/proc/sys/kernel/yama/ptrace_scope"); err == nil && scope[0] != '0' {
		from = "0\n"
		arguments = fmt.Sprintf(`{"state":"restricted","restricted_scope":%c,"verify":"attach"}`, scope[0])
	}
	if err := furnish(h.root); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(h.root, "proc/sys/kernel/yama/ptrace_scope"), []byte(from),
		0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], arguments)
	cmd.Env = h.environment()
	output, _ := cmd.Output()
	var report map[string]any
	if err := json.Unmarshal(output, &report); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	return report
}

// TestKilledByServices: what other users run ends no test process, so that the proof is
// the one of a quiet host.
func TestKilledByServices(t *testing.T) {
	if !arena(t) {
		return
	}
	quiet := proveOnce(t)
	attacked(t, "65534")
	attacked(t, strconv.Itoa([]int{100 + rand.N(900), 61184 + rand.N(4336)}[rand.N(2)])) // a service, or DynamicUser=
	failed, back := 0, 0
	for range 40 {
		report := proveOnce(t)
		if report["failed"] == true {
			failed++
		}
		if report["rolled_back"] != nil {
			back++
		}
		for _, key := range []string{"failed", "verified", "proof", "warnings", "actions", "runtime"} {
			if got, want := encode(report[key]), encode(quiet[key]); got != want {
				t.Errorf("%s is %s, on a quiet host %s: %s", key, got, want, report["msg"])
			}
		}
	}
	t.Logf("of 40 runs %d failed and %d were put back", failed, back)
}

// TestKilledAttemptLoosensNothing: where root itself ends the test processes, the change stays, and
// one warning says that it is not proven.
func TestKilledAttemptLoosensNothing(t *testing.T) {
	if !arena(t) {
		return
	}
	quiet := proveOnce(t)
	attacked(t, killByName)
	unproven := 0
	for range 40 {
		report := proveOnce(t)
		actions, back := encode(report["actions"]), encode(report["rolled_back"])
		if report["failed"] == true || back != "null" || actions != encode(quiet["actions"]) {
			t.Errorf("failed %v, actions %s, put back %s: %s", report["failed"], actions, back, report["msg"])
		}
		before, _ := quiet["warnings"].([]any)
		warnings, _ := report["warnings"].([]any)
		verified, proof := encode(report["verified"]), encode(report["proof"])
		if verified == encode(quiet["verified"]) && proof == encode(quiet["proof"]) {
			continue // they came through
		}
		unproven++
		if report["verified"] != nil || report["proof"] != nil || len(warnings) != len(before)+1 ||
			!strings.Contains(encode(warnings), "was not tested by an attempt, and stays as it is: ") {
			t.Errorf("verified %s, proof %s, warnings %s", verified, proof, encode(warnings))
		}
	}
	if t.Logf("of 40 attempts %d were ended", unproven); unproven == 0 {
		t.Error("no attempt was ended")
	}
}

// attempting is a host where an attempt ends as the test says.
type attempting struct {
	*fedora
	matrix attach.Matrix
	facts  attach.Facts
	err    error
}

func (m *attempting) Prove(context.Context) (attach.Matrix, attach.Facts, error) {
	return m.matrix, m.facts, m.err
}

func TestProof(t *testing.T) {
	denied := attach.Matrix{Sibling: syscall.EPERM, Child: syscall.EPERM, Named: syscall.EPERM, Traceme: syscall.EPERM}
	for _, c := range []struct {
		name             string
		m                attempting
		failed, verified any
		proof, warnings  string
		msg              string
	}{
		{
			"as it should be", attempting{matrix: attach.Matrix{Sibling: syscall.EPERM}}, false, true,
			`{"child":"allowed","named":"allowed","sibling":"denied","traceme":"allowed"}`, `null`, "state=restricted",
		},
		{
			"no attempt",
			attempting{err: errors.New("a test process ended without an answer (signal: killed): run the task again")},
			false, nil, `null`,
			`["kernel.yama.ptrace_scope was not tested by an attempt, and stays as it is: ` +
				`a test process ended without an answer (signal: killed): run the task again"]`, "state=restricted",
		},
		{
			"more than the scope lets", attempting{}, true, false,
			`{"child":"allowed","named":"allowed","sibling":"allowed","traceme":"allowed"}`, `null`,
			"verify by an attempt: an unprivileged process may attach to a process that it did not start, " +
				"whatever the scope says: check that nothing else sets kernel.yama.ptrace_scope, " +
				"and run the task again (the changes stay in place)",
		},
		{
			"less than the scope lets", attempting{matrix: denied, facts: attach.Facts{Seccomp: true}}, false, false,
			`{"child":"denied","named":"denied","sibling":"denied","traceme":"denied"}`,
			`["an unprivileged process may not attach to its own child (denied) nor ` +
				`attach to a process that named it with PR_SET_PTRACER (denied) nor be traced by its parent (denied), ` +
				`though the scope lets it: a seccomp filter is in force here"]`, "state=restricted",
		},
	} {
		f := newFedora(t)
		if err := f.install("yama-ptrace-enable"); err != nil {
			t.Fatal(err)
		}
		c.m.fedora = f
		report := f.askAs(t, &c.m, `{"state":"restricted","verify":"attach","_ansible_diff":true}`)
		warnings := encode(report["warnings"])
		if report["failed"] != c.failed || report["verified"] != c.verified || warnings != c.warnings ||
			!strings.Contains(report["msg"].(string), c.msg) {
			t.Errorf("%s: failed %v, verified %v, warnings %s, %s",
				c.name, report["failed"], report["verified"], warnings, report["msg"])
		}
		if proof, there := report["proof"]; !there || encode(proof) != c.proof {
			t.Errorf("%s: proof %s, want %s", c.name, encode(proof), c.proof)
		}
		if actions := report["actions"].([]any); report["changed"] != true || report["rolled_back"] != nil ||
			len(actions) != len(f.did) || len(f.did) < 4 || report["diff"] == nil {
			t.Errorf("%s: changed %v, actions %s, put back %s, did %v",
				c.name, report["changed"], encode(actions), encode(report["rolled_back"]), f.did)
		}
		if files := f.files(t); files[ptrace.DropIn] == "" || files[enablerMask] != "-> /dev/null" ||
			files["/proc/sys/kernel/yama/ptrace_scope"] != "1\n" || f.installed != "" {
			t.Errorf("%s: not restricted any more: %v", c.name, files)
		}
		keys, err := documented(schema.Scope)
		if found, problem := differences([]byte(encode(report)), keys); err != nil || problem != nil || len(found) > 0 {
			t.Errorf("%s: not as documented: %v %v %v", c.name, found, err, problem)
		}
		info := f.askAs(t, &c.m, `{"_ansible_module_name":"ptrace_scope_info","proof":true}`)
		if proof, there := info["proof"]; info["failed"] != c.failed || !there || encode(proof) != c.proof {
			t.Errorf("%s: ptrace_scope_info: failed %v, proof %s, %s", c.name, info["failed"], encode(proof),
				info["msg"])
		}
		if c.warnings != `null` && !strings.Contains(encode(info["warnings"]), strings.Trim(c.warnings, "[]")) {
			t.Errorf("%s: ptrace_scope_info warns %s", c.name, encode(info["warnings"]))
		}
	}
}

// TestFailedRunVerifiedNothing: what was not looked at again is not known.
func TestFailedRunVerifiedNothing(t *testing.T) {
	f := newFedora(t)
	f.fail = func(ptrace.Action) error { return errors.New("the disk is full") }
	if report := f.ask(t, `{"state":"restricted"}`); report["failed"] != true || report["verified"] != nil {
		t.Errorf("failed %v, verified %v", report["failed"], report["verified"])
	}
}
