// SPDX-License-Identifier: GPL-3.0-or-later

// Package attach proves how far processes may look into each other, by trying: unprivileged processes of ours, which live
// for some milliseconds, trace each other in the ways that Yama tells apart (admin-guide/LSM/Yama.rst).
package attach

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Matrix tells for each way to trace what the kernel said, 0 where it let it happen.
type Matrix struct {
	// Sibling is a process that the tracer did not start.
	Sibling syscall.Errno
	// Child is a process that the tracer started.
	Child syscall.Errno
	// Named is a sibling that named its tracer by PR_SET_PTRACER.
	Named syscall.Errno
	// Traceme is a child that asked its parent to trace it, as `strace ./program` does.
	Traceme syscall.Errno
}

const (
	// Name is what our processes are called, in the kernel log too.
	Name = "ptrace_scope-proof"
	// deadline is for the whole attempt, which takes some milliseconds.
	deadline = 30 * time.Second
)

// Try has processes of ours trace each other. As root they become nobody first; otherwise they are who we are. An error
// means that there could be no attempt. No process is left behind: the tracer ends its children, and however it goes, each
// process ends when whoever holds its standard input does.
func Try(ctx context.Context) (Matrix, error) {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	tracer, err := start(ctx, "tracer")
	if err != nil {
		return Matrix{}, err
	}
	defer tracer.end()
	pids := make([]string, 0, 2)
	for _, role := range []string{"target", "named"} {
		target, err := start(ctx, role, strconv.Itoa(tracer.cmd.Process.Pid))
		if err != nil {
			return Matrix{}, err
		}
		defer target.end()
		if _, err := target.answer(); err != nil {
			return Matrix{}, err
		}
		pids = append(pids, strconv.Itoa(target.cmd.Process.Pid))
	}
	if _, err := io.WriteString(tracer.in, strings.Join(pids, " ")+"\n"); err != nil {
		return Matrix{}, err
	}
	text, err := tracer.answer()
	if err != nil {
		return Matrix{}, err
	}
	_ = tracer.cmd.Wait() // it ends its own children first; what it had to say is said
	return parse(text)
}

// parse reads the tracer's answer.
func parse(text string) (Matrix, error) {
	var m Matrix
	words := strings.Fields(text)
	outcomes := []*syscall.Errno{&m.Sibling, &m.Named, &m.Child, &m.Traceme}
	if len(words) != len(outcomes) {
		return m, fmt.Errorf("try to attach: no answer from a process of ours: %q", text)
	}
	for i, word := range words {
		n, err := strconv.Atoi(word)
		if err != nil {
			return m, fmt.Errorf("try to attach: no answer from a process of ours: %q", text)
		}
		*outcomes[i] = syscall.Errno(n)
	}
	return m, nil
}

// process is one of ours.
type process struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out io.Reader
}

// start runs this program again in a role. It is found by what the kernel has open, not by a path that could be another's.
func start(ctx context.Context, role string, args ...string) (*process, error) {
	p := &process{cmd: exec.CommandContext(ctx, "/proc/self/exe")} // #nosec G204 -- this program itself
	p.cmd.Args = append([]string{Name, role}, args...)
	// Go interrupts a thread that runs for long by a signal, at which one that is traced would stop, for nobody to go on.
	p.cmd.Env = []string{"GODEBUG=asyncpreemptoff=1"}
	p.cmd.Dir = "/"
	in, err := p.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, errors.Join(err, in.Close())
	}
	p.in, p.out = in, out
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("try to attach: start a process of ours: %w", err)
	}
	return p, nil
}

// answer reads the one line that a process writes. What it writes after an exclamation mark is an error.
func (p *process) answer() (string, error) {
	line := make([]byte, 0, 64)
	one := make([]byte, 1)
	for len(line) < cap(line) {
		if _, err := p.out.Read(one); err != nil {
			return "", fmt.Errorf("try to attach: a process of ours ended without an answer: %w%s", err, p.fate())
		}
		if one[0] == '\n' {
			break
		}
		line = append(line, one[0])
	}
	if problem, failed := strings.CutPrefix(string(line), "!"); failed {
		return "", errors.New("try to attach: " + problem)
	}
	return string(line), nil
}

// fate says how a process ended that should not have.
func (p *process) fate() string {
	if p.cmd == nil {
		return ""
	}
	if err := p.cmd.Wait(); err != nil {
		return ": " + err.Error()
	}
	return ""
}

func (p *process) end() {
	_ = p.in.Close()
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait() // killed, so there is nothing to learn
}

// Serve plays a role if the program was started to, and ends the process then.
func Serve(args []string) {
	if len(args) < 2 || args[0] != Name {
		return
	}
	play := map[string]func([]string) error{"tracer": trace, "target": wait, "named": waitNamed, "traceme": traceme}[args[1]]
	if play == nil {
		os.Exit(2)
	}
	if err := play(args[2:]); err != nil {
		_, _ = os.Stdout.WriteString("!" + args[1] + ": " + err.Error() + "\n")
		os.Exit(2)
	}
	os.Exit(0)
}
