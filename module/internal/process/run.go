// SPDX-License-Identifier: GPL-3.0-or-later

package process

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

// outputLimit bounds the output of a program that is kept; the longest real answer has some ten
// kilobytes.
const outputLimit = 1 << 20

// Result is how a program ended.
type Result struct {
	Stdout, Stderr string
	Code           int
}

// LastLines returns the program's last four lines on one line, without those that only tell how far
// it was.
func (r Result) LastLines() string {
	var last []string
	for _, line := range strings.Split(r.Stdout+"\n"+r.Stderr, "\n") {
		line = strings.TrimSpace(line)
		// A terminal shows the text after the last carriage return.
		if line = strings.TrimSpace(line[strings.LastIndexByte(line, '\r')+1:]); line != "" && !isProgress(line) {
			last = append(last[max(0, len(last)-3):], line)
		}
	}
	for i, line := range last {
		last[i] = printable.Cut(line, lineLimit)
	}
	return strings.Join(last, " | ")
}

// isProgress reports whether a line is a program's progress: package managers print the rate of a
// download, a percentage, or a bar.
func isProgress(line string) bool {
	return strings.Contains(line, "B/s") || strings.HasSuffix(line, "%") || strings.Contains(line, "[###")
}

// lineLimit bounds what is shown of a line.
const lineLimit = 500

// Starter decides where a program is started: it calls start on a thread of its choice, with the
// user that the program runs as, or nil for the present one.
type Starter func(start func(user *syscall.Credential) error) error

// Here starts a program as the caller would.
func Here(start func(user *syscall.Credential) error) error { return start(nil) }

// Command is a program and how to run it.
type Command struct {
	Program     string // an absolute path: no PATH decides what runs as root
	Args        []string
	Environment []string // all of it
	Starter     Starter
}

// Run runs a program to its end. An exit code other than 0 is not an error. It is an error if the
// program cannot be started, is ended by a signal, or has not ended when the context has: the error
// then says so with the context's cause.
func (c *Command) Run(ctx context.Context) (Result, error) { return c.Start()(ctx) }

// Start starts a program as Run does, and returns a function that waits for its end. It must be
// called.
func (c *Command) Start() (wait func(context.Context) (Result, error)) {
	var p *child
	err := c.Starter(func(user *syscall.Credential) (err error) {
		p, err = start(c.Program, c.Args, c.Environment, user)
		return err
	})
	return func(ctx context.Context) (Result, error) {
		if err != nil {
			return Result{}, fmt.Errorf("run %s: %w", c.Program, err)
		}
		r, err := p.wait(ctx)
		hclog.FromContext(ctx).Debug("ran", "program", c.Program, "args", c.Args, "code", r.Code, "took",
			time.Since(p.began),
			"stderr", Result{Stderr: r.Stderr}.LastLines())
		if ctx.Err() != nil {
			_ = syscall.Kill(-p.pid, syscall.SIGKILL) // those of its group that ignored SIGTERM
		}
		switch {
		case errors.Is(ctx.Err(), context.DeadlineExceeded):
			return r, fmt.Errorf("run %s %s: %w and was ended: %s", c.Program, strings.Join(c.Args, " "),
				context.Cause(ctx), r.LastLines())
		case err != nil:
			return r, fmt.Errorf("run %s: %w", c.Program, err)
		}
		return r, nil
	}
}
