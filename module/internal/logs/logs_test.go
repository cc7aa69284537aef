// SPDX-License-Identifier: GPL-3.0-or-later

package logs

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
)

// daemon is a log daemon's socket.
type daemon struct {
	t    *testing.T
	conn *net.UnixConn
}

func listen(t *testing.T, root, name string) daemon {
	t.Helper()
	path := filepath.Join(root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return daemon{t, conn}
}

// next returns the next datagram, "" where none is waiting.
func (d daemon) next() string {
	d.t.Helper()
	return d.within(200 * time.Millisecond) // for a busy machine
}

// within returns the next datagram, "" where none comes in time.
func (d daemon) within(patience time.Duration) string {
	d.t.Helper()
	if err := d.conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		d.t.Fatal(err)
	}
	datagram := make([]byte, 1<<20)
	n, err := d.conn.Read(datagram)
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		d.t.Fatal(err)
	}
	return string(datagram[:n])
}

// fields reads an entry as the journal does.
func fields(t *testing.T, datagram string) map[string]string {
	t.Helper()
	found := map[string]string{}
	for datagram != "" {
		end := strings.IndexAny(datagram, "=\n")
		if end < 0 {
			t.Fatalf("neither = nor a line break in %q", datagram)
		}
		name, rest := datagram[:end], datagram[end+1:]
		if datagram[end] == '=' {
			value, after, ok := strings.Cut(rest, "\n")
			if !ok {
				t.Fatalf("no line break after %s", name)
			}
			found[name], datagram = value, after
			continue
		}
		size := binary.LittleEndian.Uint64([]byte(rest[:8]))
		found[name], datagram = rest[8:8+size], rest[8+size+1:]
		if rest[8+size] != '\n' {
			t.Fatalf("no line break after the %d bytes of %s", size, name)
		}
	}
	return found
}

const (
	journalSocket = "/run/systemd/journal/socket"
	syslogSocket  = "/dev/log"
)

func TestJournal(t *testing.T) {
	root := t.TempDir()
	journal, syslog := listen(t, root, journalSocket), listen(t, root, syslogSocket)
	log, _ := New(Places{Root: root},
		Config{Identifier: "ansible-ptrace_scope", Facility: "LOG_LOCAL3", Prefix: "play 7"})
	log.Debug("not wanted")
	log.With("check_mode", true).Warn("write", "object", "/etc/a b", "because", "one\nPRIORITY=0\ntwo", "_PID", 1,
		"failure", errors.New("no"))
	got := fields(t, journal.next())
	for name, want := range map[string]string{
		"MESSAGE":                 `play 7 write check_mode=true object="/etc/a b" because="one\nPRIORITY=0\ntwo" _PID=1 failure=no`,
		"PRIORITY":                "4",
		"SYSLOG_FACILITY":         "19",
		"SYSLOG_IDENTIFIER":       "ansible-ptrace_scope",
		"SYSLOG_PID":              fmt.Sprint(os.Getpid()),
		"PTRACE_SCOPE_CHECK_MODE": "true",
		"PTRACE_SCOPE_OBJECT":     "/etc/a b",
		"PTRACE_SCOPE_BECAUSE":    "one\nPRIORITY=0\ntwo",
		"PTRACE_SCOPE__PID":       "1",
		"PTRACE_SCOPE_FAILURE":    "no",
	} {
		if got[name] != want {
			t.Errorf("%s is %q, want %q", name, got[name], want)
		}
		delete(got, name)
	}
	if len(got) > 0 || journal.next() != "" || syslog.next() != "" {
		t.Errorf("more was sent: %v", got)
	}
}

// TestOthers: what a logger with a name says cannot be taken for what we say.
func TestOthers(t *testing.T) {
	root := t.TempDir()
	journal := listen(t, root, journalSocket)
	log, _ := New(Places{Root: root}, Config{Prefix: "play 7"})
	log.Named("backend_plugin").Named("a b:").Info("done", "changed", true)
	got := fields(t, journal.next())
	if want := "play 7 backend_plugin.a_b_: done plugin_changed=true"; got["MESSAGE"] != want ||
		got["PTRACE_SCOPE_PLUGIN_CHANGED"] != "true" {
		t.Errorf("%v, want %q", got, want)
	}
	if _, ours := got["PTRACE_SCOPE_CHANGED"]; ours {
		t.Error("it has a field of ours")
	}
}

// TestStream: a syslog that listens on a stream gets its lines, each with the end that it has
// there.
func TestStream(t *testing.T) {
	root := t.TempDir()
	path := filepath.Join(root, syslogSocket)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	syslog, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer syslog.Close()
	if err := syslog.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	log, _ := New(Places{Root: root}, Config{})
	for _, line := range []string{"one", "two"} {
		log.Info(line)
		connection, err := syslog.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(connection); err != nil || !strings.HasSuffix(string(got), "]: "+line+"\x00") {
			t.Errorf("got %q, %v", got, err)
		}
		connection.Close()
	}
	for range 5000 { // nobody accepts
		log.Info("more")
	}
}

func TestSyslog(t *testing.T) {
	root := t.TempDir()
	syslog := listen(t, root, syslogSocket)
	log, _ := New(Places{Root: root}, Config{Identifier: "ansible-a b:\n", Facility: "no such", Debug: true})
	for _, c := range []struct {
		level hclog.Level
		want  string
	}{{hclog.Debug, "<15>"}, {hclog.Info, "<14>"}, {hclog.Warn, "<12>"}, {hclog.Error, "<11>"}} {
		log.Log(c.level, "do\nne\x1b[2J", "changed", true, "why", "\x1b\n<0>", "none", "")
		want := `^` + c.want +
			`[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d ansible-a_b__\[\d+\]: do ne \[2J changed=true why="\\x1b\\n<0>" none=""$`
		if got := syslog.next(); !regexp.MustCompile(want).MatchString(got) {
			t.Errorf("got %q, want %s", got, want)
		}
	}
}

// TestJournalGone: where the journal's socket has nobody behind it, syslog gets the line.
func TestJournalGone(t *testing.T) {
	root := t.TempDir()
	listen(t, root, journalSocket).conn.Close() // its file stays
	if _, err := os.Stat(filepath.Join(root, journalSocket)); err != nil {
		t.Fatal(err)
	}
	syslog := listen(t, root, syslogSocket)
	log, _ := New(Places{Root: root}, Config{})
	log.Info("one")
	log.Info("two")
	if one, two := syslog.next(), syslog.next(); !strings.HasSuffix(one, ": one") || !strings.HasSuffix(two, ": two") {
		t.Errorf("got %q and %q", one, two)
	}
}

// TestStuckDaemon: a daemon that does not read costs a run its patience once, and no more.
func TestStuckDaemon(t *testing.T) {
	root := t.TempDir()
	journal, syslog := listen(t, root, journalSocket), listen(t, root, syslogSocket)
	log, _ := New(Places{Root: root}, Config{})
	start, lines := time.Now(), 5000 // more than any queue has room for
	for range lines {
		log.Info("a line")
	}
	if took := time.Since(start); took < patience || took > 100*patience {
		t.Errorf("%d lines took %s", lines, took)
	}
	read := 0
	for journal.next() != "" {
		read++
	}
	if read == 0 || read == lines || syslog.next() != "" {
		t.Errorf("%d lines were in the queue", read)
	}
	log.Info("once more")
	if got := journal.next(); got != "" {
		t.Errorf("the daemon was tried again: %q", got)
	}
}

// TestBusyDaemon: one that reads, though late, gets all.
func TestBusyDaemon(t *testing.T) {
	root := t.TempDir()
	journal := listen(t, root, journalSocket)
	var read sync.WaitGroup
	const lines = 100
	got := make([]string, 0, lines)
	read.Go(func() {
		time.Sleep(20 * time.Millisecond)
		for range lines {
			got = append(got, journal.within(time.Minute))
		}
	})
	log, _ := New(Places{Root: root}, Config{})
	for n := range lines {
		log.Info("a line", "n", n)
	}
	read.Wait()
	for n, datagram := range got {
		if !strings.Contains(datagram, fmt.Sprintf("PTRACE_SCOPE_N=%d\n", n)) {
			t.Fatalf("line %d is %q", n, datagram)
		}
	}
}

// TestLongLines: whatever is logged, it is a datagram that a socket takes and whose end is whole.
func TestLongLines(t *testing.T) {
	root := t.TempDir()
	journal := listen(t, root, journalSocket)
	log, _ := New(Places{Root: root}, Config{Identifier: strings.Repeat("i", 1<<20)})
	args := append(make([]any, 0, 202), strings.Repeat("k", 1<<10), strings.Repeat("ü", 1<<20))
	for n := range 100 {
		args = append(args, fmt.Sprint("key", n), strings.Repeat("\n", 1<<20))
	}
	log.Info(strings.Repeat("m", 1<<20), args...)
	got := fields(t, journal.next())
	if len(got) < 10 {
		t.Errorf("only %d fields", len(got))
	}
	for name, value := range got {
		if len(name) > 64 || len(value) > valueLimit+len("…") || strings.ContainsRune(value, '\ufffd') {
			t.Errorf("%s has %d bytes", name, len(value))
		}
	}
}

func TestLines(t *testing.T) {
	log, lines := New(Places{Root: t.TempDir()}, Config{Lines: true})
	log.Debug("ran", "program", "/usr/bin/rpm", "args", []string{"-q", "a b"}, "took", 3*time.Millisecond)
	log.Info("done", "because", "one\ntwo")
	want := "[DEBUG] ran: program=/usr/bin/rpm args=[\"-q\", \"a b\"] took=3ms|[INFO]  done:\n  because=\n  | one\n  | two"
	if got := strings.Join(lines.All(), "|"); !strings.HasPrefix(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	for range 10000 {
		log.Error("a plugin that floods its log")
	}
	all := lines.All()
	if size := len(strings.Join(all, "")); size > 2*linesLimit || all[len(all)-1] != "further lines are left out" {
		t.Errorf("%d bytes, the last line is %q", size, all[len(all)-1])
	}
}

// TestLinesAtOnce: a plugin may still say something when the report takes the lines.
func TestLinesAtOnce(t *testing.T) {
	log, lines := New(Places{Root: t.TempDir()}, Config{Lines: true})
	var saying sync.WaitGroup
	saying.Go(func() {
		for range 1000 {
			log.Info("a line")
		}
	})
	for range 100 {
		for _, line := range lines.All() {
			if line != "[INFO]  a line" {
				t.Errorf("%q", line)
			}
		}
	}
	saying.Wait()
}

func TestTerminal(t *testing.T) {
	for _, c := range []struct {
		config Config
		want   string
	}{
		{Config{ByHand: true}, "[INFO]  i\n"},
		{Config{ByHand: true, Lines: true}, "[DEBUG] d\n[INFO]  i\n"},
		{Config{ByHand: true, Debug: true}, "[DEBUG] d\n[INFO]  i\n"},
		{Config{Lines: true, Debug: true}, ""},
	} {
		var terminal bytes.Buffer
		log, _ := New(Places{Root: t.TempDir(), Terminal: &terminal}, c.config)
		log.Debug("d")
		log.Info("i")
		if got := terminal.String(); got != c.want {
			t.Errorf("%+v: got %q, want %q", c.config, got, c.want)
		}
	}
	log, lines := None()
	if log.Error("e"); len(lines.All()) > 0 {
		t.Error("None logs")
	}
}

// TestOthersAreShown: text from a plugin is printable on a terminal and in the report, and begins
// no line of its own.
func TestOthersAreShown(t *testing.T) {
	var terminal bytes.Buffer
	log, lines := New(Places{Root: t.TempDir(), Terminal: &terminal}, Config{ByHand: true, Lines: true})
	log.Named("backend_plugin").Info("a\x1b[2J\xff\n[ERROR] failed",
		"k\u202e\n[INFO] k", "v\r", "lines", "one\x1b\n[INFO]  two\n")
	want := `[INFO]  backend_plugin: a\x1b[2J\xff\n[ERROR] failed: k\u202e\n[INFO] k="v\r"` +
		"\n  lines=\n  | one\\x1b\n  | [INFO]  two\n  "
	if got := strings.Join(lines.All(), "|"); got != want {
		t.Errorf("the report has\n%q\nwant\n%q", got, want)
	}
	if got := terminal.String(); got != want+"\n" {
		t.Errorf("the terminal has\n%q\nwant\n%q", got, want)
	}
}

// BenchmarkLines is what a run in which nothing is to be done pays.
func BenchmarkLines(b *testing.B) {
	root := b.TempDir()
	if err := os.Mkdir(filepath.Join(root, "dev"), 0o755); err != nil {
		b.Fatal(err)
	}
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(root, syslogSocket), Net: "unixgram"})
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	go func() {
		datagram := make([]byte, 1<<16)
		for {
			if _, err := conn.Read(datagram); err != nil {
				return
			}
		}
	}()
	for b.Loop() {
		log, _ := New(Places{Root: root}, Config{Identifier: "ansible-ptrace_scope"})
		log.Info("Invoked with", "state", "auto", "restricted_scope", 1, "exact", false, "packages", "auto",
			"conflicts", "resolve")
		log.Info("done", "changed", false, "state", "auto", "scope", 1, "because", "no debugger is installed",
			"verified", true)
	}
}
