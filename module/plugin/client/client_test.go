// SPDX-License-Identifier: GPL-3.0-or-later

package client

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"hardening.yama/module/internal/driver"
	"hardening.yama/module/plugin/internal/wire"
	"hardening.yama/module/plugin/port"
)

// built builds the plugin that misbehaves, once.
var built = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "misbehave-*")
	if err != nil {
		return "", err
	}
	file := filepath.Join(dir, "misbehave")
	out, err := exec.Command("go", "build", "-ldflags=-s -w", "-o", file, "./testdata/misbehave").CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%w: %s", err, out)
	}
	return file, err
})

// graces are those for what a plugin has running, as they are outside of the tests.
var graces = []string{extraPatience, stopGrace, killGrace}

func TestMain(m *testing.M) {
	patient("2m", "2m", "2m")
	extraPatience, quitGrace, stopGrace, killGrace = "200ms", "1s", "1s", "500ms"
	code := m.Run()
	if file, err := built(); err == nil {
		_ = os.RemoveAll(filepath.Dir(file))
	}
	os.Exit(code)
}

// patient sets how long the first answer, the others, and another user of the manager are waited
// for.
func patient(start, answer, lock string) {
	startPatience, lockPatience = start, lock
	driver.QueryPatience, driver.AskPatience, driver.TransactionPatience = answer, answer, answer
}

// hurry has little patience for the rest of a test, where the end of it is what is looked at.
// Elsewhere a slow machine is no failure.
func hurry(t *testing.T) {
	t.Helper()
	start, answer, lock := startPatience, driver.QueryPatience, lockPatience
	t.Cleanup(func() { patient(start, answer, lock) })
	patient("2s", "1s", "700ms")
}

var lockPatience string

// place puts the program where the test can call it what it does, and returns its path and
// checksum.
func place(t *testing.T, does string) (file, sum string) {
	t.Helper()
	program, err := built()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	content, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{filepath.Dir(dir), dir} { // whatever the umask
		if err := os.Chmod(name, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	file = filepath.Join(dir, does)
	if err := os.WriteFile(file, content, 0o755); err != nil {
		t.Fatal(err)
	}
	hash := sha256.Sum256(content)
	return file, hex.EncodeToString(hash[:])
}

// lines is a log to look at.
type lines struct {
	sync.Mutex
	bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.Lock()
	defer l.Unlock()
	return l.Buffer.Write(p)
}

func (l *lines) String() string {
	l.Lock()
	defer l.Unlock()
	return l.Buffer.String()
}

// drive has a driver ask a plugin, as the module does.
func drive(m *Manager) *driver.Driver {
	return driver.New(m,
		driver.Config{Detail: " (the plugin " + m.config.File + ")", Serial: true, LockTimeout: patience(lockPatience)})
}

// start opens the plugin that does something, with a log to look at.
func start(t *testing.T, does string) (d *driver.Driver, file string, log *lines, err error) {
	t.Helper()
	file, sum := place(t, does)
	log = &lines{}
	logger := hclog.New(&hclog.LoggerOptions{Output: log, Level: hclog.Debug})
	m, err := Open(hclog.WithContext(context.Background(), logger),
		Config{File: file, SHA256: sum, Host: port.Host{Root: "/"}})
	t.Cleanup(func() { nothingLeft(t, filepath.Dir(file)) })
	if err != nil {
		return nil, file, log, err
	}
	t.Cleanup(func() { _ = m.Close() })
	return drive(m), file, log, nil
}

// nothingLeft fails where a process that was started from a directory still runs.
func nothingLeft(t *testing.T, dir string) {
	t.Helper()
	lines, _ := filepath.Glob("/proc/[1-9]*/cmdline")
	for _, line := range lines {
		if content, err := os.ReadFile(line); err == nil && bytes.HasPrefix(content, []byte(dir)) {
			t.Errorf("%s is left: %q", filepath.Dir(line), content)
		}
	}
	if sockets, _ := filepath.Glob("/run/hardening.yama-*"); sockets != nil {
		t.Errorf("left are %q", sockets)
	}
}

// wantError holds an error against what it must say: one line, the plugin's name, and the reason.
func wantError(t *testing.T, err error, file, want string) {
	t.Helper()
	switch {
	case err == nil:
		t.Errorf("no error, want one with %q", want)
	case !strings.Contains(err.Error(), file) || !strings.Contains(err.Error(), want):
		t.Errorf("got %q, want it to name %s and to have %q", err, file, want)
	case err.Error() != port.Line(err.Error(), 1000):
		t.Errorf("not one plain line: %q", err)
	}
}

// TestWhatDoesNotStart: a plugin that is none, or not the one that is meant, is one clear failure.
func TestWhatDoesNotStart(t *testing.T) {
	for does, want := range map[string]string{
		"greets":                 "Unrecognized remote plugin message: hello world",
		"greets-at-length":       "started",
		"greets-and-moves":       "Unrecognized remote plugin message: \ufffd[2Jhello\ufffd[H world",
		"other-version":          "incompatible API version with plugin. Plugin version: 99",
		"other-core":             "incompatible core API version with plugin. Plugin version: 7",
		"other-socket":           "it names a socket that it was not told to make: unix /run/other.sock",
		"socket-elsewhere":       "it names a socket that it was not told to make",
		"tcp":                    "it names a socket that it was not told to make: tcp 127.0.0.1:22",
		"grpc":                   `unsupported plugin protocol "grpc"`,
		"certificate":            "its handshake makes no sense",
		"nobody-listens":         "no such file or directory",
		"answers-another":        "garbage",
		"listens-and-is-mute":    "it took no connection within 2s and was ended",
		"silent":                 "it did not shake hands within 2s and was ended",
		"dies":                   "it ended with exit code 3, its last words: this host has no such database",
		"lies-about-its-version": "it said in the handshake that it speaks protocol 1, and does not: rpc: can't find method Plugin.Open",
		"other-version-inside":   "it said in the handshake that it speaks protocol 1, and now 7",
		"nameless":               `it calls itself ""`,
		"named-none":             `it calls itself "none"`,
		"named-an-option":        `it calls itself "--version"`,
		"read-only-at-length":    "in more than a line",
	} {
		t.Run(does, func(t *testing.T) {
			if strings.Contains(want, "within 2s") {
				hurry(t)
			}
			_, file, _, err := start(t, does)
			wantError(t, err, file, want)
		})
	}
}

// TestWhatMisbehaves: whatever a plugin does when it is asked is one clear failure, it is ended,
// and asked nothing more.
func TestWhatMisbehaves(t *testing.T) {
	for does, want := range map[string]string{
		"panics":                    "when asked what is installed: it ended with exit code 2, its last words: panic: the index is out of range",
		"panics-and-leaves-a-child": "exit code 2, its last words: panic: boom",
		"is-killed":                 "it was ended by the signal 9 (killed)",
		"exits":                     "it ended with exit code 0, its last words: cannot go on",
		"hangs":                     "it gave no answer within 1s and was ended",
		"hangs-and-does-not-listen": "it gave no answer within 1s and was ended",
		"stops":                     "it gave no answer within 1s and was ended",
		"logs-for-ever":             "it gave no answer within 1s and was ended",
		"prints-for-ever":           "and was ended",
		"code":                      `it answered with the code "perhaps", which protocol 1 does not have`,
		"no-code":                   `it answered with the code ""`,
		"not-asked-for":             `it answered what cannot be, and was ended: "zlib 1"`,
		"twice":                     `it answered what cannot be, and was ended: "gdb 2"`,
		"version":                   `it answered what cannot be, and was ended: "gdb 1`,
		"stops-then":                "it gave no answer within 1s and was ended",
		"huge":                      "it sent more than 1048576 bytes and was ended",
		"many":                      "it sent more than 1048576 bytes and was ended",
		"bomb":                      `it answered what cannot be, and was ended: ""`,
		"owners-too":                `it answered what cannot be, and was ended: "Owners"`,
		"owner":                     "when asked whose a file is: it answered what cannot be",
		"another-file":              `when asked whose a file is: it answered what cannot be, and was ended: "/etc/shadow x"`,
		"requirer":                  "when asked what requires a package: it answered what cannot be",
		"offers-an-option":          "when asked what is offered: it answered what cannot be, and was ended: \"--all",
		"offers-lines":              "when asked what is offered: it answered what cannot be",
		"offers-nothing":            "when asked what is offered: it answered what cannot be",
		"removes-a-path":            "when asked what a removal takes along: it answered what cannot be, and was ended: \"[/etc]\"",
		"install-hangs":             "when told to install a package: it gave no answer within 1s and was ended: whether gdb is installed is not known",
		"install-crashes":           "its last words: panic: boom: whether gdb is installed is not known",
		"remove-hangs":              "when told to remove a package: it gave no answer within 1s and was ended: whether gdb is installed is not known",
	} {
		t.Run(does, func(t *testing.T) {
			ctx := context.Background()
			m, file, log, err := start(t, does)
			if err != nil {
				t.Fatal(err)
			}
			hurried := strings.Contains(want, "within 1s") || does == "prints-for-ever"
			if hurried {
				hurry(t)
			}
			if does == "stops" { // it hears that it is to end, though
				grace := killGrace
				defer func() { killGrace = grace }()
				killGrace = "1m"
			}
			began := time.Now()
			switch {
			case does == "owner" || does == "another-file":
				_, err = m.Owners(ctx, []string{"/usr/bin/gdb"})
			case does == "requirer":
				_, err = m.Requirers(ctx, []string{"gdb"})
			case strings.HasPrefix(does, "offers-"):
				if o := m.Offer(ctx, []string{"gdb"}); o.Package != "" || o.Cause != fmt.Sprint(m.Err()) {
					t.Errorf("the offer is %+v", o)
				}
				err = m.Err()
			case does == "removes-a-path":
				m.Removal(ctx, "gdb")
				err = m.Err()
			case strings.HasPrefix(does, "install-"):
				err = m.Install(ctx, "gdb")
			case does == "remove-hangs":
				err = m.Remove(ctx, "gdb")
			case does == "stops-then":
				time.Sleep(200 * time.Millisecond)
				// more than its socket takes
				_, err = m.Installed(ctx, slices.Repeat([]string{strings.Repeat("x", port.NameLimit)}, 8000))
			default:
				_, err = m.Installed(ctx, []string{"gdb", "lldb"})
			}
			if wantError(t, err, file, want); err == nil {
				return
			}
			if took := time.Since(began); hurried && took > 8*time.Second {
				t.Errorf("it took %s", took)
			}
			nothingLeft(t, filepath.Dir(file))
			if _, again := m.Installed(ctx, []string{"gdb"}); again == nil || again.Error() != err.Error() {
				t.Errorf("asked again: %v", again)
			}
			if n := len(log.String()); n > 2*talkLimit {
				t.Errorf("the log has %d bytes", n)
			}
		})
	}
}

// TestWhatIsNoMisbehaviour: the plugin stays, whatever it has to say.
func TestWhatIsNoMisbehaviour(t *testing.T) {
	ctx := context.Background()
	for does, want := range map[string]string{
		"fails":     "asked what is installed, failed: the database is  |  broken",
		"busy":      "wait for mis",
		"busy-once": "",
		"logs-much": "",
	} {
		t.Run(does, func(t *testing.T) {
			if does == "busy" {
				hurry(t)
			}
			m, file, log, err := start(t, does)
			if err != nil {
				t.Fatal(err)
			}
			_, err = m.Installed(ctx, []string{"gdb"})
			if want != "" {
				wantError(t, err, file, want)
			} else if err != nil {
				t.Error(err)
			}
			if m.Err() != nil || m.Offer(ctx, []string{"gdb"}).Cause == "" {
				t.Errorf("it is gone: %v", m.Err())
			}
			if err := m.Close(); err != nil {
				t.Error(err)
			}
			if does == "logs-much" &&
				(len(log.String()) > 2*talkLimit || !strings.Contains(log.String(), "further lines are left out")) {
				t.Errorf("the log has %d bytes", len(log.String()))
			}
		})
	}
	m, file, _, err := start(t, "not-offered")
	if err != nil {
		t.Fatal(err)
	}
	if o := m.Offer(ctx, []string{"a", "b"}); o.Package != "" || o.Cause != "" {
		t.Errorf("not offered is %+v", o)
	}
	wantError(t, m.Install(ctx, "gdb"), file, "reports success, but its database says that gdb is not installed")
}

// TestLog: a plugin's lines are lines of ours, by its name, and nothing in them passes for another
// line.
func TestLog(t *testing.T) {
	m, _, log, err := start(t, "logs")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Installed(context.Background(), []string{"gdb"}); err != nil {
		t.Fatal(err)
	}
	until := time.Now().Add(time.Minute)
	for _, want := range []string{ // which come by several ways, in no order
		"[INFO]  backend_plugin.logs: looked: name=gdb\n",
		"[WARN]  backend_plugin.logs: careful | {\"changed\":true,\"msg\":\"\ufffd[2Jforged\"}: with=\"two | lines\"\n",
		"[DEBUG] backend_plugin.logs: " + strings.Repeat("long", lineLimit/4) + "…\n",
		"[DEBUG] backend_plugin.logs: plain\n",
		"printed to stdout",
	} {
		for !strings.Contains(log.String(), want) && time.Now().Before(until) {
			time.Sleep(10 * time.Millisecond)
		}
		if !strings.Contains(log.String(), want) {
			t.Errorf("no %q in:\n%s", want, log)
		}
	}
}

// TestLogOfGarbage: whatever it writes to its stderr, we go on.
func TestLogOfGarbage(t *testing.T) {
	m, _, log, err := start(t, "logs-garbage")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Installed(context.Background(), []string{"gdb"}); err != nil {
		t.Fatal(err)
	}
	if err := m.Close(); err != nil {
		t.Error(err)
	}
	for _, want := range []string{
		`[DEBUG] backend_plugin.logs-garbage: {"@message":1}` + "\n",
		`[DEBUG] backend_plugin.logs-garbage: {"@level":null}` + "\n",
		`[WARN]  backend_plugin.logs-garbage: {"a":[1,null]}` + "\n",
		`[DEBUG] backend_plugin.logs-garbage: {"@level":"off","@message":"x"}` + "\n",
		"[DEBUG] backend_plugin.logs-garbage: [[[",
	} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("no %q in:\n%s", want, log)
		}
	}
}

// TestLogWithoutOutput: a logger that has only sinks, as that of an ordinary run, has a plugin's
// lines as well.
func TestLogWithoutOutput(t *testing.T) {
	file, sum := place(t, "forges")
	log, sink := hclog.NewInterceptLogger(&hclog.LoggerOptions{Level: hclog.Off}), &sink{}
	log.RegisterSink(sink)
	m, err := Open(hclog.WithContext(context.Background(), log),
		Config{File: file, SHA256: sum, Host: port.Host{Root: "/"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Installed(context.Background(), []string{"gdb"}); err != nil {
		t.Error(err)
	}
	if err := m.Close(); err != nil {
		t.Error(err)
	}
	if got, want := sink.String(),
		"backend_plugin.forges [info] done [changed true state restricted]\n"; !strings.Contains(got, want) {
		t.Errorf("no %q in %s", want, got)
	}
}

// sink notes what it is given.
type sink struct{ lines }

func (s *sink) Accept(name string, level hclog.Level, message string, args ...any) {
	fmt.Fprintln(s, name, "["+level.String()+"]", message, args)
}

// TestEnds: a plugin that does not quit is ended with what it has started, and so is one whose run
// is asked to stop.
func TestEnds(t *testing.T) {
	for _, does := range []string{"never-ends", "never-ends-and-leaves-a-child"} {
		m, file, _, err := start(t, does)
		if err != nil {
			t.Fatal(err)
		}
		wantError(t, m.Close(), file, "it did not within 1s and was ended")
		nothingLeft(t, filepath.Dir(file))
	}

	m, file, _, err := start(t, "hangs")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	time.AfterFunc(100*time.Millisecond, stop)
	_, err = m.Installed(ctx, []string{"gdb"})
	wantError(t, err, file, "a signal asked the run to stop, and it did not let go within 1s and was ended")
	nothingLeft(t, filepath.Dir(file))
}

// TestStopped: a run that is asked to stop says so, whether its question was asked already or not,
// and the plugin stays.
func TestStopped(t *testing.T) {
	m, file, _, err := start(t, "is-slow")
	if err != nil {
		t.Fatal(err)
	}
	stopGrace = "1m"
	defer func() { stopGrace = "1s" }()
	ctx, stop := context.WithCancel(context.Background())
	time.AfterFunc(100*time.Millisecond, stop)
	for range 2 {
		_, err = m.Installed(ctx, []string{"gdb"})
		wantError(t, err, file, "asked what is installed: a signal asked the run to stop")
	}
	if m.Err() != nil {
		t.Error(m.Err())
	}
}

// TestGraces: a program that backend.Run ends has its time before we lose patience with the plugin
// that waits for it.
func TestGraces(t *testing.T) {
	for _, grace := range graces {
		if patience(grace) <= wire.Grace {
			t.Errorf("%s is not more than a program's %s", grace, wire.Grace)
		}
	}
}

// TestQueue: the time that a question has begins when it is asked, and not while another one is.
func TestQueue(t *testing.T) {
	m, _, _, err := start(t, "is-slow")
	if err != nil {
		t.Fatal(err)
	}
	hurry(t)
	driver.QueryPatience = "2s" // one takes 1.5s
	var asking sync.WaitGroup
	for range 3 {
		asking.Go(func() {
			if _, err := m.Installed(context.Background(), []string{"gdb"}); err != nil {
				t.Error(err)
			}
		})
	}
	asking.Wait()
}

// TestDescriptors: what whoever started us left open does not come to the plugin.
func TestDescriptors(t *testing.T) {
	open, err := syscall.Open("/dev/zero", syscall.O_RDONLY, 0) // without O_CLOEXEC
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(open)
	m, _, _, err := start(t, "descriptors")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Installed(context.Background(), []string{"gdb"}); err != nil {
		t.Error(err)
	}
}

// TestPatience: yamux has no deadlines beside ours, and no word on our stderr. scripts/plugin waits
// longer than it would.
func TestPatience(t *testing.T) {
	c := patientMux()
	if c.EnableKeepAlive || c.StreamOpenTimeout != 0 ||
		c.ConnectionWriteTimeout < patience(driver.TransactionPatience)+patience(extraPatience) ||
		c.LogOutput != io.Discard {
		t.Errorf("%+v", c)
	}
}
