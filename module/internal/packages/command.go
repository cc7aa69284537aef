// SPDX-License-Identifier: GPL-3.0-or-later

package packages

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"

	"hardening.yama/module/internal/printable"
)

// outputLimit bounds what is kept of a program's output; the longest real answer is some ten kilobytes.
const outputLimit = 1 << 20

// environment is all that a program gets of ours: a fixed locale to read its words, nothing a user controls, and for Debian
// that nobody is there to answer, and that no service is to be restarted.
var environment = []string{
	"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", "HOME=/root", "TERM=dumb",
	"DEBIAN_FRONTEND=noninteractive", "APT_LISTCHANGES_FRONTEND=none", "NEEDRESTART_SUSPEND=1",
}

// queryEnvironment is for those that only read the database. The simplest locale is the quickest.
var queryEnvironment = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", "HOME=/root", "TERM=dumb"}

// result is how a program ended.
type result struct {
	stdout, stderr string
	code           int
}

// wordsLimit bounds a line of a program's in a message.
const wordsLimit = 500

// lastLines returns the program's own last words, on one line.
func (r result) lastLines() string {
	var lines []string
	for line := range strings.Lines(r.stdout + "\n" + r.stderr) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, printable.Cut(line, wordsLimit))
		}
	}
	return strings.Join(lines[max(0, len(lines)-4):], " | ")
}

// failure is that a manager did not do what it was told.
func (r result) failure(manager string, args []string, name string) error {
	return fmt.Errorf("%s %s %s: exit code %d: %s", manager, strings.Join(args, " "), name, r.code, r.lastLines())
}

// lineWith returns the first line that has a text in it, "" where none does.
func lineWith(text, part string) string {
	for line := range strings.Lines(text) {
		if strings.Contains(line, part) {
			return strings.TrimSpace(line)
		}
	}
	return ""
}

// execute runs a program to its end. It is an error if it cannot be started, is ended by a signal, or outlives the
// deadline; its exit code is none. With readOnly, whatever it writes is thrown away.
func (m Manager) execute(ctx context.Context, readOnly bool, deadline time.Duration, program string, args ...string) (result, error) {
	from := m.from(readOnly)
	if !readOnly && m.lively && m.root != "/" && program == m.program {
		from = m.calmly
	}
	return begin(ctx, from, deadline, environment, program, args...)()
}

// starting starts a program in one way or another: start does it, on whichever thread, as whoever is given.
type starting func(start func(who *syscall.Credential) error) error

// from returns how a program is started that acts on the host, or only looks at it.
func (m Manager) from(readOnly bool) starting {
	return func(start func(*syscall.Credential) error) error {
		asUs := func() error { return start(nil) }
		if !readOnly {
			return asUs()
		}
		var needed []string
		if m.Knows() {
			needed = m.database.files
		}
		return inThrowawayView(m.root, needed, asUs)
	}
}

// calmly is how a program is started that changes a tree, and has the tree's own programs do something there. They get no /proc by
// which they could set what the kernel of this host holds, nor can the program mount one.
func (m Manager) calmly(start func(*syscall.Credential) error) error {
	proc := m.under("/proc")
	err := calm.do(func() error { return enterCalm(proc) }, func() error { return start(nil) })
	if !errors.Is(err, errNoView) {
		return err
	}
	if _, err := m.files.Stat("/proc/sys"); err == nil {
		return fmt.Errorf("keep what runs in the tree from the kernel of this host: %w: unmount %s first", err, proc)
	}
	return start(nil) // there is none, and nobody can mount one
}

// nobody can read what everybody can, and write nothing.
var nobody = syscall.Credential{Uid: 65534, Gid: 65534}

// harmless is how a program is started that only reads the database. Where there can be no view to throw away, nobody runs it: for
// what is asked here that is as good.
func (m Manager) harmless(start func(*syscall.Credential) error) error {
	err := m.from(m.ReadOnly)(start)
	if errors.Is(err, errNoView) {
		if asNobody := start(&nobody); asNobody != nil {
			return fmt.Errorf("%w; as nobody: %w", err, asNobody)
		}
		return nil
	}
	return err
}

// begin starts a program as execute does, and returns what waits for its end.
func begin(
	ctx context.Context, from starting, deadline time.Duration, environment []string, program string, args ...string,
) func() (result, error) {
	var p *process
	err := from(func(who *syscall.Credential) (err error) {
		p, err = start(program, args, environment, who)
		return err
	})
	return func() (result, error) {
		if err != nil {
			return result{}, fmt.Errorf("run %s: %w", program, err)
		}
		ctx, cancel := context.WithDeadline(ctx, p.began.Add(deadline))
		defer cancel()
		r, err := p.wait(ctx)
		hclog.FromContext(ctx).Debug("ran", "program", program, "args", args, "code", r.code, "took", time.Since(p.began))
		if ctx.Err() != nil {
			_ = syscall.Kill(-p.pid, syscall.SIGKILL) // whatever of the group did not listen
		}
		switch {
		case errors.Is(ctx.Err(), context.DeadlineExceeded):
			return r, fmt.Errorf("run %s %s: gave no answer within %s and was ended: %s", program, strings.Join(args, " "), deadline, r.lastLines())
		case err != nil:
			return r, fmt.Errorf("run %s: %w", program, err)
		}
		return r, nil
	}
}
