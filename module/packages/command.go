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

// lastLines returns the program's own last words, on one line.
func (r result) lastLines() string {
	var lines []string
	for line := range strings.Lines(r.stdout + "\n" + r.stderr) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines[max(0, len(lines)-4):], " | ")
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
	return m.begin(ctx, readOnly, deadline, environment, program, args...)()
}

// begin starts a program as execute does, and returns what waits for its end.
func (m Manager) begin(
	ctx context.Context, readOnly bool, deadline time.Duration, environment []string, program string, args ...string,
) func() (result, error) {
	var p *process
	begin := func() (err error) {
		p, err = start(program, args, environment)
		return err
	}
	var err error
	if readOnly {
		err = inThrowawayView(m.root, begin)
	} else {
		err = begin()
	}
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
