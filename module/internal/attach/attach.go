// SPDX-License-Identifier: GPL-3.0-or-later

// Package attach tests how far processes may look into each other, by trying: unprivileged test
// processes, which live for some milliseconds, trace each other in the ways that Yama tells apart
// (admin-guide/LSM/Yama.rst).
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
	// Name is what the test processes are called, in the kernel log too.
	Name = "ptrace_scope-proof"
	// deadline is for the whole attempt, which takes some milliseconds.
	deadline = 30 * time.Second
	// again is the advice where the next attempt is likely to be better.
	again = ": run the task again"
)

// Try has test processes trace each other. With root they run under an unused user ID, so that no
// service can end them or meddle with them. Otherwise they run as the user who runs the program. An
// error means that there was no attempt, and says why and what to do. No process is left behind:
// the tracer ends its children, each process ends when its standard input does, and the kernel ends
// those that are stopped and do not notice (drop).
func Try(ctx context.Context) (Matrix, error) {
	limited, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	m, err := try(limited)
	switch {
	case err == nil:
	case ctx.Err() != nil:
		err = errors.New("a signal asked the run to stop before the test was over" + again)
	case limited.Err() != nil:
		err = fmt.Errorf("the test processes did not answer within %v%s", deadline, again)
	}
	return m, err
}

func try(ctx context.Context) (Matrix, error) {
	user := os.Geteuid()
	if user == 0 {
		var err error
		if user, err = unusedID("/", hasProcesses); err != nil {
			return Matrix{}, err
		}
	}
	tracer, err := start(ctx, "tracer", user)
	if err != nil {
		return Matrix{}, err
	}
	defer tracer.end()
	target, err := ready(ctx, "target", user)
	if err != nil {
		return Matrix{}, err
	}
	defer target.end()
	named, err := ready(ctx, "named", user, strconv.Itoa(tracer.Pid))
	if err != nil {
		return Matrix{}, err
	}
	defer named.end()
	return ask(tracer, target, named)
}

// ask has the tracer try to trace the targets, and its own children.
func ask(tracer, target, named *process) (Matrix, error) {
	text, err := tracer.reply(strconv.Itoa(target.Pid) + " " + strconv.Itoa(named.Pid))
	// The kernel says EPERM of a process that has ended, too: ptrace_attach() of kernel/ptrace.c.
	if err == nil {
		_, err = target.reply("there?")
	}
	if err == nil {
		_, err = named.reply("there?")
	}
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
		return m, fmt.Errorf("a test process gave no answer, but %q%s", text, again)
	}
	for i, word := range words {
		n, err := strconv.Atoi(word)
		if err != nil {
			return m, fmt.Errorf("a test process gave no answer, but %q%s", text, again)
		}
		*outcomes[i] = syscall.Errno(n)
	}
	return m, nil
}

// process is a test process.
type process struct {
	*os.Process
	in, out *os.File
	stop    func() bool // minding the context
}

// start runs this program again in a role. Its arguments are the user to become, and more. The
// program is found by what the kernel has open, not by a path that could be another's.
func start(ctx context.Context, role string, user int, more ...string) (*process, error) {
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		return nil, err
	}
	defer null.Close() //nolint:errcheck // nothing is written to it here
	theirIn, in, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer theirIn.Close() //nolint:errcheck // the process has it
	out, theirOut, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, in.Close())
	}
	defer theirOut.Close() //nolint:errcheck // the process has it
	p := &process{in: in, out: out}
	args := append([]string{Name, role, strconv.Itoa(user)}, more...)
	p.Process, err = os.StartProcess("/proc/self/exe", args, &os.ProcAttr{ //nolint:gosec // this program, with numbers
		Dir: "/",
		// Turn asynchronous preemption off: its SIGURG would stop a traced thread, and nothing
		// would resume it.
		Env:   []string{"GODEBUG=asyncpreemptoff=1"},
		Files: []*os.File{theirIn, theirOut, null},
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("cannot start a test process: %w", err), in.Close(), out.Close())
	}
	// Without CAP_KILL root cannot kill the process. Closing out ends the wait for its answer.
	p.stop = context.AfterFunc(ctx, func() { _, _ = p.Kill(), out.Close() })
	return p, nil
}

// ready starts a process and returns it when it is ready.
func ready(ctx context.Context, role string, user int, more ...string) (*process, error) {
	p, err := start(ctx, role, user, more...)
	if err != nil {
		return nil, err
	}
	if _, err := p.answer(); err != nil {
		p.end()
		return nil, err
	}
	return p, nil
}

// reply returns the answer to a line.
func (p *process) reply(line string) (string, error) {
	if _, err := io.WriteString(p.in, line+"\n"); err != nil {
		return "", p.lost(err)
	}
	return p.answer()
}

// answer reads the one line that a process writes. What it writes after an exclamation mark is an
// error.
func (p *process) answer() (string, error) {
	line := make([]byte, 0, 256)
	one := make([]byte, 1)
	for len(line) < cap(line) {
		if _, err := p.out.Read(one); err != nil {
			return "", p.lost(err)
		}
		if one[0] == '\n' {
			break
		}
		line = append(line, one[0])
	}
	if problem, failed := strings.CutPrefix(string(line), "!"); failed {
		return "", errors.New(problem)
	}
	return string(line), nil
}

// lost says how a process ended that should not have. It does not wait for one that was given up
// and could not be killed.
func (p *process) lost(cause error) error {
	how := cause.Error()
	if p.Process != nil && !errors.Is(cause, os.ErrClosed) {
		if state, err := p.Wait(); err == nil {
			how = state.String()
		}
	}
	return fmt.Errorf("a test process ended without an answer (%s)%s", how, again)
}

// end ends the process. Without CAP_KILL root cannot kill it, and it ends when its standard input
// does.
func (p *process) end() {
	p.stop()
	_, _ = p.in.Close(), p.out.Close()
	if err := p.Kill(); err == nil || errors.Is(err, os.ErrProcessDone) {
		_, _ = p.Wait() // killed, so there is nothing to learn
	}
}

// Serve plays a role if the program was started to, and ends the process then.
func Serve(args []string) {
	if len(args) < 3 || args[0] != Name {
		return
	}
	play := map[string]func(user string, more []string) error{
		"tracer": trace, "target": wait, "named": waitNamed, "traceme": traceme,
	}[args[1]]
	if play == nil {
		os.Exit(2)
	}
	if err := play(args[2], args[3:]); err != nil {
		_, _ = os.Stdout.WriteString("!" + err.Error() + "\n")
		os.Exit(2)
	}
	os.Exit(0)
}
