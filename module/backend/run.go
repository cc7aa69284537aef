// SPDX-License-Identifier: GPL-3.0-or-later

package backend

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path"
	"strings"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
)

// Output is what a program said, and how it ended.
type Output struct {
	Stdout, Stderr string
	Code           int
}

// outputLimit bounds what is kept of what a program says.
const outputLimit = 1 << 20

// Run runs a program by its absolute path, in a fixed locale and with nothing of anybody's environment, and ends it with the
// context: it is asked to first, since a package manager that is killed leaves its work half done. That it ends with another
// exit code than 0 is no error.
func Run(ctx context.Context, program string, args ...string) (Output, error) {
	if !path.IsAbs(program) {
		return Output{}, fmt.Errorf("run %s: not an absolute path, and no PATH decides what runs as root", program)
	}
	cmd := exec.CommandContext(ctx, program, args...) // #nosec G204 -- the plugin's own choice
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", "HOME=/root", "TERM=dumb"}
	cmd.Dir = "/"
	stdout, stderr := &limited{}, &limited{}
	cmd.Stdout, cmd.Stderr = stdout, stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second
	err := cmd.Run()
	out := Output{Stdout: stdout.String(), Stderr: stderr.String(), Code: cmd.ProcessState.ExitCode()}
	hclog.FromContext(ctx).Debug("ran", "program", program, "args", args, "code", out.Code)
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return out, fmt.Errorf("run %s %s: ended: %w", program, strings.Join(args, " "), ctx.Err())
	case errors.As(err, &exit) && exit.Exited():
		return out, nil
	case err != nil:
		return out, fmt.Errorf("run %s: %w", program, err)
	}
	return out, nil
}

// limited keeps the begin of what is written to it, and swallows the rest.
type limited struct{ bytes.Buffer }

func (l *limited) Write(p []byte) (int, error) {
	if room := outputLimit - l.Len(); room > 0 {
		l.Buffer.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}
