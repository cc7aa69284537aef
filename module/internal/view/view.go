// SPDX-License-Identifier: GPL-3.0-or-later

// Package view runs programs that see other mounts than the host's: a copy of its trees that is
// thrown away, or a /proc that cannot be written to.
package view

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync"
	"syscall"
)

// Mounts is a thread with mounts of its own. It is made at the first call of Do, and serves until
// Close.
type Mounts struct {
	enter    func() error // changes the thread's mounts
	purpose  string       // what they are for, in an error
	first    sync.Once
	requests chan func(error)
	closed   chan struct{}
}

// ErrNoMounts says that this process may not have mounts of its own.
var ErrNoMounts = errors.New("it can have no mounts of its own")

// Hint says what to do where there is no throw-away view.
const Hint = "this takes CAP_SYS_ADMIN, which a container seldom has, and overlayfs (modprobe overlay)"

func newMounts(purpose string, enter func() error) *Mounts {
	return &Mounts{enter: enter, purpose: purpose, requests: make(chan func(error)), closed: make(chan struct{})}
}

// Throwaway returns a view of the host, and of the tree below root, in which written files go to
// memory and are gone with Close. It contains the needed files of the tree. An ordinary user cannot
// have such a view and cannot write to these trees either: the functions of an ordinary user are
// called without it.
func Throwaway(root string, needed []string) *Mounts {
	if os.Geteuid() != 0 {
		return nil
	}
	return newMounts("ask the package manager without writing to the host", func() error {
		err := enterThrowaway(root, needed)
		if err != nil {
			err = fmt.Errorf("%w: %s", err, Hint)
		}
		return err
	})
}

// ReadOnlyProc returns a view of the host in which the directory is a /proc that cannot be written
// to. What runs there can neither set what the kernel of this host holds, nor mount another /proc.
func ReadOnlyProc(directory string) *Mounts {
	return newMounts("keep what runs in the tree from the kernel of this host", func() error {
		if err := unshareMounts(); err != nil {
			return err
		}
		_ = syscall.Mkdir(directory, 0o555) // most trees have it
		return bindReadOnly("/proc", directory)
	})
}

// Do calls f, which starts a program, on the thread. A nil *Mounts calls it on the present one.
func (m *Mounts) Do(f func() error) (err error) {
	if m == nil {
		return f()
	}
	m.first.Do(func() { go m.serve() })
	done := make(chan struct{})
	request := func(problem error) {
		defer close(done)
		if problem != nil {
			err = fmt.Errorf("%s: %w: %w", m.purpose, ErrNoMounts, problem)
			return
		}
		err = f()
	}
	select {
	case m.requests <- request:
		<-done
		return err
	case <-m.closed:
		return errors.New("start a program in a view: the view is closed")
	}
}

// serve is the thread.
func (m *Mounts) serve() {
	runtime.LockOSThread() // never unlocked: a thread with other mounts is of no use to others, and ends with this function
	problem := m.enter()
	for {
		select {
		case request := <-m.requests:
			request(problem)
		case <-m.closed:
			return
		}
	}
}

// Close ends the thread. It must not be called by two goroutines at once. Programs that were
// started there keep its mounts; those that are to die with their parent (prctl(2),
// PR_SET_PDEATHSIG) die.
func (m *Mounts) Close() {
	if m != nil {
		select {
		case <-m.closed:
		default:
			close(m.closed)
		}
	}
}

// unshareMounts gives the thread mounts of its own, see mount_namespaces(7).
func unshareMounts() error {
	if err := syscall.Unshare(syscall.CLONE_NEWNS); err != nil {
		return fmt.Errorf("unshare mounts: %w", err)
	}
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	return nil
}

// enterThrowaway changes the thread's mounts to the view.
func enterThrowaway(root string, needed []string) error {
	scratch, err := chooseScratch(root, func(dir string) bool {
		info, err := os.Lstat(dir)
		return err == nil && info.IsDir()
	})
	if err != nil {
		return err
	}
	mounts, err := os.ReadFile("/proc/self/task/" + strconv.Itoa(syscall.Gettid()) + "/mountinfo") // the thread's own
	if err != nil {
		return err
	}
	if err := unshareMounts(); err != nil {
		return err
	}
	return apply(planLayers(root, needed, readMounts(string(mounts))), scratch)
}
