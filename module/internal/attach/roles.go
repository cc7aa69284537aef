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
	nobody = 65534 // the kernel's overflow ID, which owns nothing

	ptraceTraceme = 0
	ptraceSeize   = 0x4206 // attaches without stopping the other one
	prSetDumpable = 4
	prSetPtracer  = 0x59616d61
)

// drop makes the process unprivileged. Whoever changes its user can be traced by nobody but root until it says otherwise.
func drop() error {
	if os.Geteuid() != 0 {
		return nil
	}
	err := errors.Join(syscall.Setgroups(nil), syscall.Setresgid(nobody, nobody, nobody), syscall.Setresuid(nobody, nobody, nobody))
	if err != nil {
		return fmt.Errorf("become nobody: %w", err)
	}
	return prctl(prSetDumpable, 1)
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

// trace starts children while it may still run this program, becomes unprivileged, waits to be told of its siblings, and
// tries all. What it has attached to is let go when it ends.
func trace([]string) error {
	runtime.LockOSThread() // it is a thread that traces
	ctx := context.Background()
	child, err := start(ctx, "target")
	if err != nil {
		return err
	}
	defer child.end()
	asking, err := start(ctx, "traceme")
	if err != nil {
		return err
	}
	defer asking.end()
	if _, err := child.answer(); err != nil {
		return err
	}
	if err := drop(); err != nil {
		return err
	}
	self := process{out: os.Stdin}
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
	if _, err := io.WriteString(asking.in, "go\n"); err != nil {
		return err
	}
	asked, err := asking.answer()
	if err != nil {
		return err
	}
	_, err = os.Stdout.WriteString(strings.Join(append(outcomes, asked), " ") + "\n")
	return err
}

// wait is there to be traced, until its standard input ends.
func wait([]string) error {
	if err := drop(); err != nil {
		return err
	}
	if _, err := os.Stdout.WriteString("ready\n"); err != nil {
		return err
	}
	_, err := io.Copy(io.Discard, os.Stdin)
	return err
}

// waitNamed names who may trace it, and waits. A kernel without Yama does not know that call.
func waitNamed(args []string) error {
	tracer, err := strconv.Atoi(strings.Join(args, " "))
	if err != nil {
		return err
	}
	if err := prctl(prSetPtracer, uintptr(tracer)); err != nil && !errors.Is(err, syscall.EINVAL) {
		return err
	}
	return wait(nil)
}

// traceme asks its parent to trace it, once that has become unprivileged.
func traceme([]string) error {
	runtime.LockOSThread()
	if err := drop(); err != nil {
		return err
	}
	self := process{out: os.Stdin}
	if _, err := self.answer(); err != nil {
		return err
	}
	_, err := os.Stdout.WriteString(strconv.Itoa(int(ptrace(ptraceTraceme, 0))) + "\n")
	return err
}
