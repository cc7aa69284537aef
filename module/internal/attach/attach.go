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
		target, err := start(ctx, role, strconv.Itoa(tracer.Pid))
		if err != nil {
			return Matrix{}, err
		}
		defer target.end()
		if _, err := target.answer(); err != nil {
			return Matrix{}, err
		}
		pids = append(pids, strconv.Itoa(target.Pid))
	}
	if _, err := io.WriteString(tracer.in, strings.Join(pids, " ")+"\n"); err != nil {
		return Matrix{}, err
	}
	text, err := tracer.answer()
	if err != nil {
		return Matrix{}, err
	}
	_, _ = tracer.Wait() // it ends its own children first; what it had to say is said
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
	*os.Process
	in, out *os.File
	stop    func() bool // minding the context
}

// start runs this program again in a role. It is found by what the kernel has open, not by a path that could be another's.
func start(ctx context.Context, role string, args ...string) (p process, err error) {
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		return p, err
	}
	defer null.Close() //nolint:errcheck // nothing is written to it here
	theirIn, in, err := os.Pipe()
	if err != nil {
		return p, err
	}
	defer theirIn.Close() //nolint:errcheck // the process has it
	out, theirOut, err := os.Pipe()
	if err != nil {
		return p, errors.Join(err, in.Close())
	}
	defer theirOut.Close() //nolint:errcheck // the process has it
	p = process{in: in, out: out}
	p.Process, err = os.StartProcess("/proc/self/exe", append([]string{Name, role}, args...), &os.ProcAttr{
		Dir: "/",
		// Go interrupts a thread that runs for long by a signal, at which one that is traced would stop, for nobody to go on.
		Env:   []string{"GODEBUG=asyncpreemptoff=1"},
		Files: []*os.File{theirIn, theirOut, null},
	})
	if err != nil {
		return p, errors.Join(fmt.Errorf("try to attach: start a process of ours: %w", err), in.Close(), out.Close())
	}
	p.stop = context.AfterFunc(ctx, func() { _ = p.Kill() })
	return p, nil
}

// answer reads the one line that a process writes. What it writes after an exclamation mark is an error.
func (p process) answer() (string, error) {
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
func (p process) fate() string {
	if p.Process == nil {
		return ""
	}
	if state, err := p.Wait(); err == nil && !state.Success() {
		return ": " + state.String()
	}
	return ""
}

func (p process) end() {
	p.stop()
	_, _ = p.in.Close(), p.out.Close()
	_ = p.Kill()
	_, _ = p.Wait() // killed, so there is nothing to learn
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
