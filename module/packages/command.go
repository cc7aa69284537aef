// SPDX-License-Identifier: GPL-3.0-or-later

package packages

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
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
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...) // #nosec G204 -- a fixed path, and arguments that were checked
	cmd.Env = environment
	cmd.Dir = "/"
	stdout, stderr := &bounded{}, &bounded{}
	cmd.Stdout, cmd.Stderr = stdout, stderr
	// Its own group, so that what it started ends with it. It is asked first: a package manager that is killed in a
	// transaction leaves it half done.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	start := cmd.Start
	if readOnly {
		start = func() error { return inThrowawayView(m.root, cmd.Start) }
	}
	began := time.Now()
	if err := start(); err != nil {
		return result{}, fmt.Errorf("run %s: %w", program, err)
	}
	err := cmd.Wait()
	hclog.FromContext(ctx).Debug("ran", "program", program, "args", args, "code", cmd.ProcessState.ExitCode(), "took", time.Since(began))
	r := result{stdout: stdout.String(), stderr: stderr.String(), code: cmd.ProcessState.ExitCode()}
	if ctx.Err() != nil {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // whatever of the group did not listen
	}
	var exit *exec.ExitError
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return r, fmt.Errorf("run %s %s: gave no answer within %s and was ended: %s", program, strings.Join(args, " "), deadline, r.lastLines())
	case errors.As(err, &exit) && exit.Exited():
		return r, nil
	case err != nil:
		return r, fmt.Errorf("run %s: %w", program, err)
	}
	return r, nil
}

// bounded keeps the end of what is written to it.
type bounded struct{ bytes.Buffer }

func (b *bounded) Write(p []byte) (int, error) {
	if b.Len()+len(p) > outputLimit {
		b.Next(b.Len()/2 + len(p))
	}
	return b.Buffer.Write(p)
}
