// SPDX-License-Identifier: GPL-3.0-or-later

// Package process runs other programs: in a fixed environment, in a process group of their own, and
// with bounded output.
package process

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"
)

// child is a program that was started. A query of a database takes five milliseconds, and most of a
// run that changes nothing is such a query. os/exec is too slow for that: it first starts another
// process to find out what the kernel can do, and wakes up for each line that a program prints.
type child struct {
	pid   int
	began time.Time

	mutex  sync.Mutex
	pipes  [2]int // our ends of its standard output and error
	output [2]bounded
	ended  bool
}

// lull is how long output waits in its pipe while the program runs: most programs end before. A
// pipe holds 64 KiB.
const lull = 20 * time.Millisecond

// grace is the time between SIGTERM and SIGKILL. A package manager that is killed in a transaction
// leaves it half done.
var grace = 10 * time.Second

// start starts a program with only this environment, an empty standard input, and / as its
// directory. It gets a process group of its own, so that its children can be ended with it. With a
// credential it runs as that user.
func start(program string, args, environment []string, user *syscall.Credential) (*child, error) {
	c := &child{began: time.Now()}
	var theirs [2]int
	null, err := syscall.Open(os.DevNull, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: os.DevNull, Err: err}
	}
	defer syscall.Close(null) //nolint:errcheck // only read
	for i := range c.pipes {
		var ends [2]int
		if err := syscall.Pipe2(ends[:], syscall.O_CLOEXEC); err != nil {
			c.close(i)
			return nil, os.NewSyscallError("pipe2", err)
		}
		c.pipes[i], theirs[i] = ends[0], ends[1]
		defer syscall.Close(ends[1])           //nolint:errcheck // the program has it
		_ = syscall.SetNonblock(ends[0], true) // cannot fail for a descriptor of this process
	}
	// #nosec G204 -- a fixed path, and arguments that were checked
	c.pid, _, err = syscall.StartProcess(program, append([]string{program}, args...), &syscall.ProcAttr{
		Dir:   "/",
		Env:   environment,
		Files: []uintptr{uintptr(null), uintptr(theirs[0]), uintptr(theirs[1])},
		Sys:   &syscall.SysProcAttr{Setpgid: true, Credential: user},
	})
	if err != nil {
		c.close(len(c.pipes))
		return nil, &os.PathError{Op: "fork/exec", Path: program, Err: err}
	}
	return c, nil
}

// close closes our ends of the first n pipes.
func (c *child) close(n int) {
	for _, pipe := range c.pipes[:n] {
		_ = syscall.Close(pipe)
	}
}

// wait waits for the program's end. When the context ends first, the program's group gets SIGTERM,
// and after grace SIGKILL.
func (c *child) wait(ctx context.Context) (Result, error) {
	ended := make(chan struct{})
	stopWatching := context.AfterFunc(ctx, func() {
		_ = syscall.Kill(-c.pid, syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(grace):
			_ = syscall.Kill(-c.pid, syscall.SIGKILL)
		}
	})
	defer stopWatching()
	empty := time.AfterFunc(lull, c.empty)
	var status syscall.WaitStatus
	var err error
	for {
		if _, err = syscall.Wait4(c.pid, &status, 0, nil); err != syscall.EINTR {
			break
		}
	}
	close(ended)
	empty.Stop()
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.read()
	// A service that the program started can still hold the other end of a pipe: do not wait for
	// it.
	c.close(len(c.pipes))
	c.ended = true
	r := Result{Stdout: c.output[0].String(), Stderr: c.output[1].String(), Code: status.ExitStatus()}
	switch {
	case err != nil:
		return r, os.NewSyscallError("wait4", err)
	case status.Signaled():
		return r, fmt.Errorf("it was ended by signal %d (%s)", status.Signal(), status.Signal())
	}
	return r, nil
}

// empty empties the pipes every lull for as long as the program runs.
func (c *child) empty() {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if !c.ended {
		c.read()
		time.AfterFunc(lull, c.empty)
	}
}

// read reads what is in the pipes, at most outputLimit from each: a program that keeps a pipe full
// does not keep it here.
func (c *child) read() {
	var buffer [4096]byte
	for i, pipe := range c.pipes {
		for range outputLimit / len(buffer) {
			n, err := syscall.Read(pipe, buffer[:])
			if err == syscall.EINTR {
				continue
			}
			if n <= 0 {
				break
			}
			_, _ = c.output[i].Write(buffer[:n]) // never fails
		}
	}
}

// bounded keeps the end of what is written to it.
type bounded struct{ bytes.Buffer }

func (b *bounded) Write(p []byte) (int, error) {
	if b.Len()+len(p) > outputLimit {
		b.Next(b.Len()/2 + len(p))
	}
	return b.Buffer.Write(p)
}
