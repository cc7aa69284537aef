// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"hardening.yama/module/internal/host"
	"hardening.yama/module/internal/logs"
	"hardening.yama/module/internal/ptrace"
)

// journal is the socket of a tree's journal.
func (f *fedora) journal(t *testing.T) *net.UnixConn { return listenBelow(t, f.root) }

func listenBelow(t *testing.T, root string) *net.UnixConn {
	t.Helper()
	path := filepath.Join(root, "/run/systemd/journal/socket")
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// logged returns what the journal was sent, a line each, with only the message and the priority.
func logged(t *testing.T, journal *net.UnixConn) (lines []string, all string) {
	t.Helper()
	datagram := make([]byte, 1<<18)
	for {
		if err := journal.SetReadDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		n, err := journal.Read(datagram)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return lines, all
		}
		if err != nil {
			t.Fatal(err)
		}
		text := string(datagram[:n])
		all += text + "\n"
		message, _, _ := strings.Cut(strings.TrimPrefix(text, "MESSAGE="), "\n")
		_, priority, _ := strings.Cut(text, "\nPRIORITY=")
		lines = append(lines, priority[:1]+" "+message)
	}
}

const invoked = "6 Invoked with state=restricted restricted_scope=1 exact=false packages=auto conflicts=resolve persistent=true " +
	"runtime=true verify=value yama_missing=fail lock_timeout=60 root=/"

// TestLogOfARun: the system's log has what was asked, each action with its reason, and the outcome,
// and no free text of the user's.
func TestLogOfARun(t *testing.T) {
	f := newFedora(t)
	if err := f.install("yama-ptrace-enable"); err != nil {
		t.Fatal(err)
	}
	journal := f.journal(t)
	const arguments = `"state":"restricted","reason":"hunter2","debuggers":["hunter2"],"_ansible_module_name":"ptrace_scope"`
	report := f.ask(t, `{`+arguments+`}`)
	lines, all := logged(t, journal)
	actions := report["actions"].([]any)
	if len(lines) != len(actions)+2 || lines[0] != invoked {
		t.Fatalf("got %s", all)
	}
	for i, a := range actions {
		action := a.(map[string]any)
		for _, part := range []string{fmt.Sprintf("6 %s kind=", action["action"]),
			fmt.Sprintf(" object=%s ", action["object"])} {
			if !strings.Contains(lines[i+1], part) {
				t.Errorf("action %d is %q, without %q", i, lines[i+1], part)
			}
		}
		if !strings.Contains(all, fmt.Sprintf("\nPTRACE_SCOPE_BECAUSE=%s\n", action["because"])) {
			t.Errorf("no field for %s", action["because"])
		}
	}
	want := `6 done changed=true state=restricted scope=1 because="state=restricted, restricted_scope=1" ` +
		`runtime_before=0 runtime_after=1 boot_before=0 boot_after=1 verified=true`
	if last := lines[len(lines)-1]; last != want {
		t.Errorf("the end is\n%s, not\n%s", last, want)
	}
	for _, field := range []string{"SYSLOG_IDENTIFIER=ansible-ptrace_scope", "SYSLOG_FACILITY=1",
		"PTRACE_SCOPE_KIND=package",
		"PTRACE_SCOPE_OBJECT=yama-ptrace-enable", "PTRACE_SCOPE_CHANGED=true", "PTRACE_SCOPE_RUNTIME_BEFORE=0",
		"PTRACE_SCOPE_STATE=restricted"} {
		if !strings.Contains(all, "\n"+field+"\n") {
			t.Errorf("no field %s", field)
		}
	}
	if _, there := report["log"]; there || strings.Contains(all, "hunter2") {
		t.Errorf("the report has a log, or the log a secret: %v, %s", report["log"], all)
	}

	f.ask(t, `{`+arguments+`}`)
	if lines, all := logged(t, journal); len(lines) != 2 || !strings.HasPrefix(lines[1], "6 done changed=false ") {
		t.Errorf("the second run logs %s", all)
	}
}

// TestLogOfCheckMode: as with Ansible's own modules the system's log has a line, too, which says
// that nothing was done.
func TestLogOfCheckMode(t *testing.T) {
	f := newFedora(t)
	journal := f.journal(t)
	f.ask(t, `{"state":"permissive","packages":"ignore","_ansible_check_mode":true}`)
	lines, all := logged(t, journal)
	if len(lines) != 4 ||
		!strings.HasPrefix(lines[1], "6 would write check_mode=true kind=file object="+ptrace.DropIn+" ") ||
		!strings.HasPrefix(lines[3], "6 done check_mode=true changed=true ") {
		t.Errorf("got %s", all)
	}
}

func TestLogOfFailures(t *testing.T) {
	f := newFedora(t)
	journal := f.journal(t)
	f.fail = func(a ptrace.Action) error {
		if a.Kind == ptrace.Value && *a.After == "0" {
			return errors.New("surprise")
		}
		return nil
	}
	report := f.ask(t, `{"state":"permissive","packages":"ignore"}`)
	lines, all := logged(t, journal)
	if len(lines) != 5 ||
		!strings.HasPrefix(lines[3],
			"6 put back: remove kind=file object="+ptrace.DropIn+` because="the run failed"`) ||
		!strings.HasPrefix(lines[4], "3 failed changed=false state=permissive ") ||
		!strings.Contains(all, fmt.Sprintf("\nPTRACE_SCOPE_FAILURE=%s\n", report["msg"])) {
		t.Errorf("got %s", all)
	}
	// Arguments that are refused may be secrets that stand in the wrong place.
	for _, arguments := range []string{`{"state":"hunter2"}`, `{"state":"auto","debuggers":["hunter2 "," hunter 2"]}`,
		`{"state":"auto","hunter2":1}`,
		`{"_ansible_module_name":"ptrace_scope_info","debuggers":["hunter 2"]}`} {
		report := f.ask(t, arguments)
		lines, all := logged(t, journal)
		if report["failed"] != true || len(lines) != 1 || strings.Contains(all, "hunter") ||
			!strings.HasPrefix(lines[0], "3 failed ") {
			t.Errorf("%s: got %s", arguments, all)
		}
	}
}

func TestLogOfInfo(t *testing.T) {
	f := newFedora(t)
	journal := f.journal(t)
	f.ask(t, `{"_ansible_module_name":"hardening.yama.ptrace_scope_info","_ansible_syslog_facility":"LOG_AUTH"}`)
	lines, all := logged(t, journal)
	if len(lines) != 1 || lines[0] != "6 Invoked with proof=false" ||
		!strings.Contains(all, "\nSYSLOG_FACILITY=4\nSYSLOG_IDENTIFIER=ansible-hardening.yama.ptrace_scope_info\n") {
		t.Errorf("got %s", all)
	}
}

// TestNoLog: with no_log nothing is logged anywhere, however much is asked for.
func TestNoLog(t *testing.T) {
	f := newFedora(t)
	journal := f.journal(t)
	for _, arguments := range []string{`"state":"restricted"`, `"state":"hunter2"`,
		`"_ansible_module_name":"ptrace_scope_info"`} {
		var terminal, out bytes.Buffer
		run(context.Background(),
			[]string{"", `{` + arguments + `,"_ansible_no_log":true,"_ansible_verbosity":5,"_ansible_debug":true}`},
			world{open: f.open, logs: logs.Places{Root: f.root, Terminal: &terminal}}, &out)
		if lines, all := logged(t, journal); len(lines) > 0 || terminal.Len() > 0 ||
			strings.Contains(out.String(), `"log":`) {
			t.Errorf("%s: logged %s%s%s", arguments, all, terminal.String(), out.String())
		}
	}
}

// TestLogInTheReport: from -vvv on the report says what was looked at, asked, decided, done and
// verified.
func TestLogInTheReport(t *testing.T) {
	f := newFedora(t)
	if err := f.install("yama-ptrace-enable"); err != nil {
		t.Fatal(err)
	}
	if report := f.ask(t, `{"state":"auto","_ansible_verbosity":2,"_ansible_check_mode":true}`); report["log"] != nil {
		t.Errorf("with -vv: %v", report["log"])
	}
	report := f.ask(t, `{"state":"restricted","_ansible_verbosity":3}`)
	log, _ := report["log"].([]any)
	want := []string{"[INFO]  Invoked with: state=restricted ", "[DEBUG] observe: runtime=0 boot_source=",
		"[DEBUG] ask for a removal: package=yama-ptrace-enable ",
		"[DEBUG] decide: scope=1 ", "[INFO]  ", "[DEBUG] observe: runtime=1 ", "[DEBUG] verify: scope=1 ",
		"[INFO]  done: changed=true "}
	for _, line := range log {
		if len(want) > 0 && strings.HasPrefix(line.(string), want[0]) {
			want = want[1:]
		}
	}
	if len(want) > 0 {
		t.Errorf("no line %q in %s", want[0], encode(log))
	}
	report = f.ask(t, `{"_ansible_module_name":"ptrace_scope_info","_ansible_verbosity":4}`)
	if log, _ := report["log"].([]any); len(log) != 2 {
		t.Errorf("the other module: %s", encode(log))
	}
}

// TestStdoutHasTheReportAlone: Ansible's runs print one line and nothing else, by hand the log is
// on the terminal. A journal that does not read costs a run a fraction of a second.
func TestStdoutHasTheReportAlone(t *testing.T) {
	h := prepared(t)
	journal := listenBelow(t, h.root)
	for sent := 0; ; sent++ {
		client, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: journal.LocalAddr().String(), Net: "unixgram"})
		if err != nil {
			t.Fatal(err)
		}
		_ = client.SetWriteDeadline(time.Now().Add(10 * time.Millisecond))
		_, err = client.Write([]byte("MESSAGE=x\n"))
		client.Close()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			break
		}
		if err != nil || sent > 1<<16 {
			t.Fatal(sent, err)
		}
	}
	for _, ansible := range []string{`,"_ansible_version":"2.20.1"`, ""} {
		var stdout, stderr bytes.Buffer
		cmd := exec.Command(os.Args[0],
			`{"state":"restricted","_ansible_verbosity":4,"_ansible_debug":true`+ansible+`}`)
		cmd.Env, cmd.Stdout, cmd.Stderr = h.environment(), &stdout, &stderr
		start := time.Now()
		if err := cmd.Run(); err != nil {
			t.Fatal(err, stderr.String())
		}
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("it took %s", took)
		}
		if out := stdout.String(); strings.Count(out, "\n") != 2 || !strings.HasPrefix(out, "\n{\"changed\":") ||
			stderr.Len() > 0 {
			t.Errorf("stdout %q, stderr %q", out, stderr.String())
		}
	}
	for ansible, want := range map[string]bool{`,"_ansible_version":"2.20.1"`: false, "": true} {
		var terminal, out bytes.Buffer
		run(context.Background(), []string{"", `{"state":"restricted"` + ansible + `}`},
			world{open: (&fedora{root: h.root}).open, logs: logs.Places{Root: h.root, Terminal: &terminal}}, &out)
		if got := strings.Contains(terminal.String(), "[INFO]  done: changed="); got != want ||
			strings.Count(out.String(), "\n") != 2 {
			t.Errorf("terminal %q, stdout %q", terminal.String(), out.String())
		}
	}
}

// TestRealJournal lets systemd's own journal take what a run logs. The journal notes the command
// line of whoever sends it something, on which the action plugin puts the arguments.
func TestRealJournal(t *testing.T) {
	const journald = "/usr/lib/systemd/systemd-journald"
	journalctl, err := exec.LookPath("journalctl")
	if _, missing := os.Stat(journald); os.Geteuid() != 0 || err != nil || missing != nil {
		t.Skip("systemd's journal cannot be run here: it needs root, systemd-journald and journalctl")
	}
	h := prepared(t)
	for name, content := range map[string]string{
		"/run/systemd/journald.conf.d/test.conf": "[Journal]\nStorage=volatile\nReadKMsg=no\nAudit=no\nForwardToWall=no\n",
		"/run/log/journal/keep":                  "",
		"/run/machine-id":                        strings.Repeat("0f", 16) + "\n",
	} {
		if err := os.MkdirAll(filepath.Dir(h.root+name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(h.root+name, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	// Its /run is the tree's. The namespace is for the mounts, which end with it.
	daemon := exec.Command("/bin/sh", "-c", `mount --make-rprivate / && mount --bind "$0/run" /run &&
		{ [ ! -e /etc/machine-id ] || mount --bind /run/machine-id /etc/machine-id; } && echo ready && exec "$1"`, h.root, journald)
	daemon.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	ready, err := daemon.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := daemon.Start(); err != nil {
		t.Skip("systemd's journal cannot be run here: ", err)
	}
	defer func() { _, _ = daemon.Process.Kill(), daemon.Wait() }()
	if n, _ := ready.Read(make([]byte, 16)); n == 0 {
		t.Skip("systemd's journal cannot be run here, since nothing may be mounted")
	}
	socket := filepath.Join(h.root, "/run/systemd/journal/socket")
	eventually(t, "the journal listens", func() bool { _, err := os.Stat(socket); return err == nil })

	run := exec.Command(os.Args[0], `{"state":"restricted","reason":"hunter2","_ansible_module_name":"ptrace_scope"}`)
	run.Env = h.environment()
	output, err := run.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	var report struct{ Actions []struct{ Object string } }
	if err := json.Unmarshal(output, &report); err != nil || len(report.Actions) < 3 {
		t.Fatal(err, report)
	}
	var entries []byte
	eventually(t, "the journal has the last line", func() bool {
		entries, err = exec.Command(journalctl, "-D", h.root+"/run/log/journal", "-o", "json", "-t",
			"ansible-ptrace_scope").Output()
		return err == nil && bytes.Contains(entries, []byte(`"PTRACE_SCOPE_CHANGED":"true"`))
	})
	if bytes.Contains(entries, []byte("hunter2")) {
		t.Errorf("the journal has a secret: %s", entries)
	}
	var got []string
	for line := range strings.Lines(string(entries)) {
		entry := map[string]any{}
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			t.Fatal(err)
		}
		got = append(got,
			fmt.Sprint(entry["PRIORITY"], " ", entry["SYSLOG_FACILITY"], " ", entry["_TRANSPORT"], " ",
				entry["SYSLOG_PID"] == entry["_PID"],
				" ", entry["PTRACE_SCOPE_OBJECT"], " ", entry["PTRACE_SCOPE_RUNTIME_AFTER"]))
	}
	want := append(make([]string, 0, len(report.Actions)+2), "6 1 journal true <nil> <nil>")
	for _, a := range report.Actions {
		want = append(want, "6 1 journal true "+a.Object+" <nil>")
	}
	want = append(want, "6 1 journal true <nil> 1")
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s\nof %s", strings.Join(got, "\n"), strings.Join(want, "\n"), entries)
	}
}

// eventually waits until something holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for range 1200 {
		if holds() {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("after a minute it is not so that %s", what)
}

// TestArgumentsLeaveTheCommandLine: a run that waits shows nobody what it was given.
func TestArgumentsLeaveTheCommandLine(t *testing.T) {
	h := prepared(t)
	m, err := host.New(h.root, host.Config{})
	if err != nil {
		t.Fatal(err)
	}
	release, err := m.Lock(context.Background(), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	journal := listenBelow(t, h.root)
	cmd := exec.Command(os.Args[0], `{"state":"restricted","reason":"hunter2","lock_timeout":600}`)
	cmd.Env = h.environment()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = cmd.Process.Kill(), cmd.Wait() }()
	eventually(t, "the run logs", func() bool { lines, _ := logged(t, journal); return len(lines) > 0 })
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", cmd.Process.Pid))
	if err != nil || bytes.Contains(line, []byte("hunter2")) || !bytes.HasPrefix(line, []byte(os.Args[0])) {
		t.Errorf("the command line is %q, %v", line, err)
	}
}

// tree is a host of files, with a vendor's drop-in and an administrator's line that set 0.
type tree struct{ root string }

func prepared(t *testing.T) tree {
	t.Helper()
	h := tree{t.TempDir()}
	if err := furnishAs("both", h.root); err != nil {
		t.Fatal(err)
	}
	return h
}

func (h tree) environment() []string { return append(os.Environ(), asProgram+"=1", "ROOT="+h.root) }
