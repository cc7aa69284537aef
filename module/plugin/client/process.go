// SPDX-License-Identifier: GPL-3.0-or-later

package client

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"hardening.yama/module/plugin/port"
)

// process is a plugin's, for go-plugin (runner.Runner): in a group of its own, which we end with
// it. If we are killed ourselves, the kernel ends it, but not what it has started.
type process struct {
	file    string // as the task has it
	program *os.File
	dir     string // where its socket has to be
	// detached: both see the same there, whatever their mounts.
	detached bool
	cmd      *exec.Cmd
	// started starts it: elsewhere than in the host's own mounts, where nothing may be written.
	started func(start func() error) error

	talk   *talk
	stdout *os.File
	stderr *said
	exited chan struct{} // it has ended, and is not reaped yet
	gone   chan struct{} // so has its group
	heard  chan struct{} // all that it said was read
	state  string        // how it ended by itself, once exited
	told   atomic.Bool   // to end
	once   sync.Once
	ours   map[int]bool // children that we had before
}

// firstOwn is the first descriptor behind those that every process has.
const firstOwn = 3

// environment is all that it gets of ours.
var environment = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", "HOME=/root", "TERM=dumb",
	"TMPDIR=/tmp"}

// Start starts it on a thread that stays for as long as it runs: the kernel ends it with that
// thread.
func (p *process) Start(context.Context) error {
	stdout, out, err := os.Pipe()
	if err != nil {
		return err
	}
	stderr, errs, err := os.Pipe()
	if err != nil {
		return errors.Join(err, stdout.Close(), out.Close())
	}
	p.cmd.Path, p.cmd.Args, p.cmd.Err = fmt.Sprintf("/proc/self/fd/%d", p.program.Fd()), []string{p.file}, nil
	p.cmd.Dir, p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = "/", nil, out, errs
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	p.stdout, p.stderr = stdout, &said{File: stderr, talk: p.talk}
	// What it leaves behind becomes our child, and can be found.
	p.ours = children()
	_ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
	// What whoever started us left open is not for it. Kernels before 5.11 cannot do that at once,
	// and there it is.
	_ = unix.CloseRange(firstOwn, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC)
	begun := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with this function
		begun <- p.started(p.cmd.Start)
		<-p.gone
	}()
	err = errors.Join(<-begun, out.Close(), errs.Close())
	if err != nil {
		close(p.gone)
		return errors.Join(fmt.Errorf("start it: %w", err), stdout.Close(), stderr.Close())
	}
	go p.watch()
	return nil
}

// watch waits for its end, and leaves its entry in the table of processes: while that is there, the
// number of its group is nobody else's.
func (p *process) watch() {
	var info unix.Siginfo
	for errors.Is(unix.Waitid(unix.P_PID, p.cmd.Process.Pid, &info, unix.WEXITED|unix.WNOWAIT, nil), unix.EINTR) {
	}
	if !p.told.Load() {
		p.state = howItEnded(p.cmd.Process.Pid)
	}
	close(p.exited)
}

// howItEnded reads what an ended process left: the last field of proc_pid_stat(5).
func howItEnded(pid int) string {
	fields := stat(pid)
	status, err := strconv.Atoi(last(fields))
	switch w := syscall.WaitStatus(status); { // #nosec G115 -- a wait status
	case err != nil:
		return "it ended"
	case w.Signaled():
		return "it was ended by the signal " + strconv.Itoa(int(w.Signal())) + " (" + w.Signal().String() + ")"
	default:
		return fmt.Sprintf("it ended with exit code %d", w.ExitStatus())
	}
}

func last(fields []string) string {
	if len(fields) == 0 {
		return ""
	}
	return fields[len(fields)-1]
}

// stat returns the fields of proc_pid_stat(5) that follow the name: state, parent, group and so on.
func stat(pid int) []string {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, fields, found := strings.Cut(string(content[max(0, bytes.LastIndexByte(content, ')')):]), " ")
	if err != nil || !found {
		return nil
	}
	return strings.Fields(fields)
}

// living returns the processes that still run and of which the fields of stat say so.
func living(ours func(parent, group int) bool) map[int]bool {
	found := map[int]bool{}
	entries, _ := filepath.Glob("/proc/[1-9]*")
	for _, entry := range entries {
		pid, err := strconv.Atoi(path.Base(entry))
		fields := stat(pid)
		if err != nil || len(fields) < 3 || fields[0] == "Z" || fields[0] == "X" {
			continue
		}
		parent, problem := strconv.Atoi(fields[1])
		group, err := strconv.Atoi(fields[2])
		if errors.Join(problem, err) == nil && ours(parent, group) {
			found[pid] = true
		}
	}
	return found
}

func children() map[int]bool {
	self := os.Getpid()
	return living(func(parent, _ int) bool { return parent == self })
}

// end ends it and its group: asked first, since it may be in the midst of changing packages.
func (p *process) end(grace time.Duration) {
	p.once.Do(func() {
		defer close(p.gone)
		select {
		case <-p.exited:
		case <-time.After(50 * time.Millisecond): // one that is ending anyway
		}
		p.told.Store(true)
		group := p.cmd.Process.Pid
		left := func() bool { return len(living(func(_, of int) bool { return of == group })) > 0 }
		if left() {
			_ = syscall.Kill(-group, syscall.SIGTERM)
			_ = syscall.Kill(-group, syscall.SIGCONT) // one that is stopped does not hear it
		}
		for until := time.Now().Add(grace); left() && time.Now().Before(until); {
			time.Sleep(10 * time.Millisecond)
		}
		_ = syscall.Kill(-group, syscall.SIGKILL)
		<-p.exited
		_ = p.cmd.Process.Release()
		var status syscall.WaitStatus
		_, _ = syscall.Wait4(group, &status, 0, nil)
		// Its last words are in the pipes still. Somebody who left its group may hold them open.
		for _, patience := range []time.Duration{200 * time.Millisecond, time.Second} {
			select {
			case <-p.heard:
			case <-time.After(patience):
			}
			_ = errors.Join(p.stdout.Close(), p.stderr.Close())
		}
		_ = p.program.Close()
	})
}

// sweep ends what left the group of a plugin that failed. Whatever it left behind is our child by
// now, or soon.
func (p *process) sweep() {
	for range 100 {
		found := 0
		for pid := range children() {
			if !p.ours[pid] {
				found++
				_ = syscall.Kill(pid, syscall.SIGKILL)
				var status syscall.WaitStatus
				_, _ = syscall.Wait4(pid, &status, 0, nil)
			}
		}
		if found == 0 {
			return
		}
	}
}

// Wait implements runner.Runner. Go-plugin calls it when it has read, and logged, all that there
// was.
func (p *process) Wait(context.Context) error {
	close(p.heard)
	<-p.gone
	return nil
}

// Kill implements runner.Runner.
func (p *process) Kill(context.Context) error {
	p.end(patience(killGrace))
	return nil
}

// Stdout and the following implement runner.Runner, too.
func (p *process) Stdout() io.ReadCloser           { return p.stdout }
func (p *process) Stderr() io.ReadCloser           { return p.stderr }
func (p *process) Name() string                    { return p.file }
func (p *process) ID() string                      { return strconv.Itoa(p.cmd.Process.Pid) }
func (p *process) Diagnose(context.Context) string { return "" }

// PluginToHost takes the socket that a plugin names, and no other than one where it was told to
// make it.
func (p *process) PluginToHost(network, address string) (string, string, error) {
	if network != "unix" || path.Dir(address) != p.dir || path.Clean(address) != address {
		return "", "",
			fmt.Errorf("it names a socket that it was not told to make: %s %s", port.Line(network, 20),
				port.Line(address, 200))
	}
	if !p.detached {
		address = fmt.Sprintf("/proc/%d/root%s", p.cmd.Process.Pid, address)
	}
	return network, address, nil
}

// HostToPlugin returns the address as it is: nobody asks.
func (p *process) HostToPlugin(network, address string) (string, string, error) {
	return network, address, nil
}

// How much of what a plugin says is read at once, and what is kept to say why it failed.
const (
	readLimit = 64 << 10
	wordLimit = 4 << 10
)

// said is a plugin's stderr, whose end is remembered.
type said struct {
	*os.File
	talk *talk

	sync.Mutex
	tail []byte
}

// Read implements io.Reader for go-plugin, which gets nothing but the end: all is heard here.
func (s *said) Read([]byte) (int, error) {
	s.hear()
	return 0, io.EOF
}

// hear reads all that is said, also what is too much, so that the plugin does not wait.
func (s *said) hear() {
	reader := bufio.NewReaderSize(s.File, readLimit)
	for follows := false; ; {
		line, more, err := reader.ReadLine()
		if err != nil {
			return
		}
		s.keep(line, more)
		if !follows { // the begin of a long line is enough
			s.talk.line(line)
		}
		follows = more
	}
}

// keep keeps the end of all lines.
func (s *said) keep(line []byte, more bool) {
	s.Lock()
	defer s.Unlock()
	s.tail = append(s.tail, line...)
	if !more {
		s.tail = append(s.tail, '\n')
	}
	s.tail = s.tail[max(0, len(s.tail)-wordLimit):]
}

// lastWords returns the line that tells most of why it crashed: Go's panics begin with it, others
// end with it.
func (s *said) lastWords() string {
	s.Lock()
	defer s.Unlock()
	words := ""
	for line := range strings.Lines(string(s.tail)) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "panic: ") || strings.HasPrefix(line, "fatal error: ") {
			return port.Line(line, 200)
		}
		if line != "" && !strings.HasPrefix(line, "{") {
			words = line
		}
	}
	return port.Line(words, 200)
}
