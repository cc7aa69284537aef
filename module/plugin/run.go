// SPDX-License-Identifier: GPL-3.0-or-later

package plugin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"strings"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"

	"hardening.yama/module/plugin/internal/wire"
)

// Output is what a program said, and how it ended.
type Output struct {
	Stdout, Stderr string
	Code           int
}

// outputLimit bounds what is kept of what a program says.
const outputLimit = 1 << 20

// lull is how long the output of a program is waited for that has ended: what it left in the
// background may hold it open.
const lull = 500 * time.Millisecond

// Run runs a program by its absolute path, in a fixed locale and with nothing of anybody's
// environment, and ends it with the context: it is asked to first, since a package manager that is
// killed leaves its work half done. That it ends with another exit code than 0 is no error, and
// neither is what it leaves in the background.
func Run(ctx context.Context, program string, args ...string) (Output, error) {
	if !path.IsAbs(program) {
		return Output{}, fmt.Errorf("run %s: not an absolute path, and no PATH decides what runs as root", program)
	}
	cmd := exec.CommandContext(ctx, program, args...) // #nosec G204 -- the plugin's own choice
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", "HOME=/root", "TERM=dumb"}
	cmd.Dir = "/"
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = wire.Grace
	stdout, err := listen(&cmd.Stdout)
	if err != nil {
		return Output{}, fmt.Errorf("run %s: %w", program, err)
	}
	stderr, err := listen(&cmd.Stderr)
	if err != nil {
		stdout(0)
		return Output{}, fmt.Errorf("run %s: %w", program, err)
	}
	err = cmd.Run()
	out := Output{Stdout: stdout(lull), Stderr: stderr(lull), Code: cmd.ProcessState.ExitCode()}
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

// listen opens a pipe for a program to write to, and returns what gives the text once the program
// has ended. Package exec would read it, too, but takes it for a failure when somebody still holds
// the pipe.
func listen(output *io.Writer) (text func(patience time.Duration) string, err error) {
	from, to, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	*output = to
	said, ended := &limited{}, make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = io.Copy(said, from)
	}()
	return func(patience time.Duration) string {
		_ = to.Close()
		_ = from.SetReadDeadline(time.Now().Add(patience))
		<-ended
		_ = from.Close()
		return said.kept.String()
	}, nil
}

// limited keeps the begin of what is written to it, and swallows the rest.
type limited struct{ kept bytes.Buffer }

func (l *limited) Write(p []byte) (int, error) {
	if room := outputLimit - l.kept.Len(); room > 0 {
		l.kept.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}
