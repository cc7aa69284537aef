// SPDX-License-Identifier: GPL-3.0-or-later

package packages

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"
)

// process is a program of somebody else's that was started. A query of a database takes five milliseconds, and most of a run that
// changes nothing is such a query. So it is not os/exec that runs it, which starts another process first to find out what
// the kernel can do, and wakes up for each line that a program prints.
type process struct {
	pid   int
	began time.Time

	mutex  sync.Mutex
	pipes  [2]int // of its standard output and error
	output [2]bounded
	ended  bool
}

// lull is how long output waits in its pipe while the program goes on: most programs end before. A pipe has 64 KiB.
const lull = 20 * time.Millisecond

// grace is what a program has to end when it was asked to. A package manager that is killed in a transaction leaves it half
// done.
var grace = 10 * time.Second

// start starts a program with the environment alone, nothing to read, and / as its directory. It has its own group, so that
// what it starts can be ended with it. Somebody else than us can be who runs it.
func start(program string, args, environment []string, who *syscall.Credential) (*process, error) {
	p := &process{began: time.Now()}
	var theirs [2]int
	null, err := syscall.Open(os.DevNull, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: os.DevNull, Err: err}
	}
	defer syscall.Close(null) //nolint:errcheck // only read
	for i := range p.pipes {
		var ends [2]int
		if err := syscall.Pipe2(ends[:], syscall.O_CLOEXEC); err != nil {
			p.close(i)
			return nil, os.NewSyscallError("pipe2", err)
		}
		p.pipes[i], theirs[i] = ends[0], ends[1]
		defer syscall.Close(ends[1])           //nolint:errcheck // the program has it
		_ = syscall.SetNonblock(ends[0], true) // a descriptor of ours
	}
	p.pid, _, err = syscall.StartProcess(program, append([]string{program}, args...), &syscall.ProcAttr{ // #nosec G204 -- a fixed path, and arguments that were checked
		Dir:   "/",
		Env:   environment,
		Files: []uintptr{uintptr(null), uintptr(theirs[0]), uintptr(theirs[1])},
		Sys:   &syscall.SysProcAttr{Setpgid: true, Credential: who},
	})
	if err != nil {
		p.close(len(p.pipes))
		return nil, &os.PathError{Op: "fork/exec", Path: program, Err: err}
	}
	return p, nil
}

// close closes our ends of the first n pipes.
func (p *process) close(n int) {
	for _, pipe := range p.pipes[:n] {
		_ = syscall.Close(pipe)
	}
}

// wait waits for the program's end. When the context ends first the program is asked to end, and then made to.
func (p *process) wait(ctx context.Context) (result, error) {
	ended := make(chan struct{})
	stopAsking := context.AfterFunc(ctx, func() {
		_ = syscall.Kill(-p.pid, syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(grace):
			_ = syscall.Kill(-p.pid, syscall.SIGKILL)
		}
	})
	defer stopAsking()
	empty := time.AfterFunc(lull, p.empty)
	var status syscall.WaitStatus
	var err error
	for {
		if _, err = syscall.Wait4(p.pid, &status, 0, nil); err != syscall.EINTR {
			break
		}
	}
	close(ended)
	empty.Stop()
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.read()
	// Whoever else has the other end of a pipe, a service that the program started, has nothing to tell us.
	p.close(len(p.pipes))
	p.ended = true
	r := result{stdout: p.output[0].String(), stderr: p.output[1].String(), code: status.ExitStatus()}
	switch {
	case err != nil:
		return r, os.NewSyscallError("wait4", err)
	case status.Signaled():
		return r, fmt.Errorf("it was ended by signal %d (%s)", status.Signal(), status.Signal())
	}
	return r, nil
}

// empty empties the pipes, and again for as long as the program goes on.
func (p *process) empty() {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if !p.ended {
		p.read()
		time.AfterFunc(lull, p.empty)
	}
}

// read reads what is in the pipes, in a bounded time even where somebody keeps them full.
func (p *process) read() {
	var buffer [4096]byte
	for i, pipe := range p.pipes {
		for range outputLimit / len(buffer) {
			n, err := syscall.Read(pipe, buffer[:])
			if err == syscall.EINTR {
				continue
			}
			if n <= 0 {
				break
			}
			_, _ = p.output[i].Write(buffer[:n]) // never fails
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
