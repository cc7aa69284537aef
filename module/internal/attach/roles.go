// SPDX-License-Identifier: GPL-3.0-or-later

package attach

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
)

const (
	ptraceTraceme  = 0
	ptraceSeize    = 0x4206 // attaches without stopping the other one
	prSetPdeathsig = 1
	prSetDumpable  = 4
	prSetPtracer   = 0x59616d61
)

// drop makes the process unprivileged: root becomes that user. Only root can trace it then, because
// the kernel makes a process undumpable when its user changes (commit_creds() of kernel/cred.c),
// until it makes itself dumpable.
func drop(user string) error {
	if os.Geteuid() == 0 {
		id, err := strconv.Atoi(user)
		if err != nil || id <= 0 {
			return fmt.Errorf("%q is no user ID for a test process", user)
		}
		if err = syscall.Setgroups(nil); err == nil {
			err = syscall.Setresgid(id, id, id)
		}
		if err == nil {
			err = syscall.Setresuid(id, id, id)
		}
		if err != nil {
			return fmt.Errorf("a test process cannot become user %d: %w: "+
				"run the task where root has CAP_SETUID and CAP_SETGID", id, err)
		}
	}
	// A stopped process does not notice that its standard input ended. A change of the user clears
	// this, so it is asked for afterwards: prctl(2).
	return prctl(prSetPdeathsig, uintptr(syscall.SIGKILL))
}

func prctl(option, argument uintptr) error {
	if _, _, errno := syscall.Syscall(syscall.SYS_PRCTL, option, argument, 0); errno != 0 {
		return os.NewSyscallError("prctl", errno)
	}
	return nil
}

func ptrace(request, pid int) syscall.Errno {
	_, _, errno := syscall.Syscall6(syscall.SYS_PTRACE, uintptr(request), uintptr(pid), 0, 0, 0, 0)
	return errno
}

// trace starts children while it may still run this program, becomes unprivileged, waits to be told
// of its siblings, and tries all. What it has attached to is let go when it ends.
func trace(user string, _ []string) error {
	runtime.LockOSThread() // it is a thread that traces
	id, err := strconv.Atoi(user)
	if err != nil {
		return err
	}
	ctx := context.Background()
	child, err := start(ctx, "target", id)
	if err != nil {
		return err
	}
	defer child.end()
	asking, err := start(ctx, "traceme", id)
	if err != nil {
		return err
	}
	defer asking.end()
	if _, err := child.answer(); err != nil {
		return err
	}
	if err := drop(user); err != nil {
		return err
	}
	self := &process{out: os.Stdin}
	siblings, err := self.answer()
	if err != nil {
		return err
	}
	var outcomes []string
	for _, pid := range append(strings.Fields(siblings), strconv.Itoa(child.Pid)) {
		n, err := strconv.Atoi(pid)
		if err != nil {
			return err
		}
		outcomes = append(outcomes, strconv.Itoa(int(ptrace(ptraceSeize, n))))
	}
	if _, err := child.reply("there?"); err != nil {
		return err
	}
	asked, err := asking.reply("go")
	if err != nil {
		return err
	}
	_, err = os.Stdout.WriteString(strings.Join(append(outcomes, asked), " ") + "\n")
	return err
}

// wait is there to be traced, and says so now and for each line that it is given, until its
// standard input ends.
func wait(user string, _ []string) error {
	if err := drop(user); err != nil {
		return err
	}
	if err := prctl(prSetDumpable, 1); err != nil {
		return err
	}
	if _, err := os.Stdout.WriteString("ready\n"); err != nil {
		return err
	}
	_, err := io.Copy(os.Stdout, os.Stdin)
	return err
}

// waitNamed names the process that may trace it, and waits. A kernel without Yama does not know
// that call.
func waitNamed(user string, args []string) error {
	tracer, err := strconv.Atoi(strings.Join(args, " "))
	if err != nil {
		return err
	}
	if err := prctl(prSetPtracer, uintptr(tracer)); err != nil && !errors.Is(err, syscall.EINVAL) {
		return err
	}
	return wait(user, nil)
}

// traceme asks its parent to trace it, once that has become unprivileged.
func traceme(user string, _ []string) error {
	runtime.LockOSThread()
	if err := drop(user); err != nil {
		return err
	}
	self := &process{out: os.Stdin}
	if _, err := self.answer(); err != nil {
		return err
	}
	_, err := os.Stdout.WriteString(strconv.Itoa(int(ptrace(ptraceTraceme, 0))) + "\n")
	return err
}
