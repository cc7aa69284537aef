// SPDX-License-Identifier: GPL-3.0-or-later

package process

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"
)

func init() { grace = 300 * time.Millisecond }

// run runs a program as a driver has it run: with a deadline, and a cause that says so.
func run(ctx context.Context, deadline time.Duration, program string, args ...string) (Result, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, deadline, fmt.Errorf("gave no answer within %s", deadline))
	defer cancel()
	environment := []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8"}
	c := Command{Program: program, Args: args, Environment: environment, Starter: Here}
	return c.Run(ctx)
}

// TestStarter: the starter decides whether a program is started, and an error of its own is that of
// the run.
func TestStarter(t *testing.T) {
	refused := errors.New("refused")
	c := Command{Program: "/bin/true", Starter: func(func(*syscall.Credential) error) error { return refused }}
	if _, err := c.Run(t.Context()); !errors.Is(err, refused) || err.Error() != "run /bin/true: refused" {
		t.Error(err)
	}
}

// TestExecute: whatever a program does, a run has its words and its end, or an error that names it,
// and does not wait for what is of no interest.
func TestExecute(t *testing.T) {
	for name, c := range map[string]struct {
		script, stdout, stderr, failure string
		code                            int
		within                          time.Duration
	}{
		"both outputs and a code": {script: `echo out; echo err >&2; exit 7`, stdout: "out\n", stderr: "err\n",
			code: 7},
		"nothing to read": {script: `cat; echo done`, stdout: "done\n"},
		"neither our environment nor our directory": {
			script: `echo "${SECRET-none} $LC_ALL $PWD"`, stdout: "none C.UTF-8 /\n",
		},
		"more than a pipe holds, at once": {
			script: `i=0; while [ $i -lt 4000 ]; do echo 0123456789012345678901234567890123456789; i=$((i+1)); done`,
			stdout: strings.Repeat("0123456789012345678901234567890123456789\n", 4000),
		},
		"a service that stays has the pipe": {script: `sleep 30 & echo started`, stdout: "started\n",
			within: 15 * time.Second},
		"ended by a signal": {script: `echo last words; kill -9 $$`, stdout: "last words\n",
			failure: "run /bin/sh: it was ended by signal 9 (killed)", code: -1},
		"hangs": {
			script: `echo last words; sleep 60`, stdout: "last words\n", code: -1, within: 20 * time.Second,
			failure: "gave no answer within 2s and was ended: last words",
		},
		"hangs, and does not listen": {
			script: `trap "" TERM; echo last words; while :; do sleep 1; done`, stdout: "last words\n", code: -1,
			within:  20 * time.Second,
			failure: "gave no answer within 2s and was ended: last words",
		},
		"floods for ever": {
			script: `exec yes`, code: -1, within: 20 * time.Second,
			failure: "gave no answer within 2s and was ended: y | y",
		},
		"a service that floods stays": {
			script: `for i in 1 2 3; do setsid yes & done; sleep 0.3; kill -9 $$`, code: -1, within: 20 * time.Second,
			failure: "run /bin/sh: it was ended by signal 9 (killed)",
		},
		"listens, and says so": {
			script: `trap "echo as you wish; exit 3" TERM; while :; do sleep 60; done`, stdout: "as you wish\n",
			stderr: "Terminated\n", code: 3, within: 20 * time.Second,
			failure: "gave no answer within 2s and was ended: as you wish",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("SECRET", "hunter2")
			deadline := time.Minute
			if strings.Contains(c.failure, "within 2s") {
				deadline = 2 * time.Second
			}
			began := time.Now()
			r, err := run(context.Background(), deadline, "/bin/sh", "-c", c.script)
			took := time.Since(began)
			if (err == nil) != (c.failure == "") || err != nil && !strings.Contains(err.Error(), c.failure) {
				t.Errorf("error %v, want %q", err, c.failure)
			}
			if strings.HasPrefix(r.Stdout, "y\n") {
				r.Stdout = "" // how much of a flood was read is chance
			}
			if r.Stdout != c.stdout || r.Stderr != c.stderr || r.Code != c.code {
				t.Errorf("got %.200q, %.200q, %d", r.Stdout, r.Stderr, r.Code)
			}
			if c.within > 0 && took > c.within {
				t.Errorf("it took %s", took)
			}
		})
	}
	if _, err := run(context.Background(), time.Minute, "/nowhere/rpm"); err == nil ||
		err.Error() != "run /nowhere/rpm: fork/exec /nowhere/rpm: no such file or directory" {
		t.Errorf("a program that is not there: %v", err)
	}
	ctx, stop := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer stop()
	if r, _ := run(ctx, time.Minute, "/bin/sh", "-c", "sleep 60"); r.Code != -1 {
		t.Errorf("a run that was asked to stop waited for the end of its program: %+v", r)
	}
}

// TestBounded: of a flood the end is kept, which says what went wrong.
func TestBounded(t *testing.T) {
	r, err := run(context.Background(), time.Minute, "/bin/sh", "-c",
		`head -c 5000000 /dev/zero | tr '\0' x; echo; echo the end`)
	if err != nil || len(r.Stdout) > outputLimit+4096 || len(r.Stdout) < outputLimit/4 ||
		!strings.HasSuffix(r.Stdout, "x\nthe end\n") {
		t.Errorf("%d bytes, %v", len(r.Stdout), err)
	}
}

// TestLastLines: the last lines of a program are few and short, even where one of them has a
// megabyte.
func TestLastLines(t *testing.T) {
	long := strings.Repeat("A", 1<<20)
	for _, c := range []struct {
		stdout, stderr, want string
	}{
		{"one\n\n two \n", "three\nfour\nfive", "two | three | four | five"},
		{"", long + "\nlast", long[:lineLimit] + "… | last"},
		// dnf5, dnf, zypper, apt and pacman.
		{
			"Updating and loading repositories:\n[1/1] Total 100% |   0.0   B/s |   0.0   B |  00m00s\n" +
				"lab        2.9 MB/s | 3.0 kB     00:00\nRetrieving package gdb [done (4.1 KiB/s)]\n" +
				"Fetched 10 kB in 0s (123 kB/s)\n\r(Reading database ... 5%\r(Reading database ... 100%\n" +
				"gdb   12.0 KiB  1.1 MiB/s 00:00 [######] 100%\n checking keyring [######] 100%\n",
			"progress 10%\rPackage gdb is not signed\n",
			"Updating and loading repositories: | Package gdb is not signed",
		},
	} {
		if got := (Result{Stdout: c.stdout, Stderr: c.stderr}).LastLines(); got != c.want {
			t.Errorf("got %.2000q, want %.2000q", got, c.want)
		}
	}
}
