// SPDX-License-Identifier: GPL-3.0-or-later

package plugin

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestRun(t *testing.T) {
	for name, c := range map[string]struct {
		script string
		want   Output
	}{
		"output": {`echo out; echo err >&2; exit 3`,
			Output{Stdout: "out\n", Stderr: "err\n", Code: 3}},
		"a fixed environment": {`echo "$LC_ALL $HOME $SECRET"; pwd`, Output{Stdout: "C.UTF-8 /root \n/\n"}},
		"no more than the limit is kept": {`head -c 3000000 /dev/zero | tr '\0' x`,
			Output{Stdout: strings.Repeat("x", outputLimit)}},
		"a child in the background": {`sleep 20 & echo $! >&2; echo done`, Output{Stdout: "done\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("SECRET", "x")
			began := time.Now()
			got, err := Run(t.Context(), "/bin/sh", "-c", c.script)
			if name == "a child in the background" {
				_, _ = Run(t.Context(), "/bin/sh", "-c", "kill "+got.Stderr)
				got.Stderr = ""
			}
			if err != nil || got != c.want {
				t.Errorf("got %.200s, %v", fmt.Sprintf("%+v", got), err)
			}
			if took := time.Since(began); took > 10*time.Second {
				t.Errorf("it took %s", took)
			}
		})
	}
	if _, err := Run(t.Context(), "sh"); err == nil || !strings.Contains(err.Error(), "not an absolute path") {
		t.Errorf("a program that PATH decides: %v", err)
	}
	if _, err := Run(t.Context(), "/nonexistent/program"); err == nil ||
		!strings.Contains(err.Error(), "no such file") {
		t.Errorf("a program that is not there: %v", err)
	}
}

// TestRunEnds: a program that nobody waits for any more has the time to put back what it did.
func TestRunEnds(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	time.AfterFunc(300*time.Millisecond, stop)
	out, err := Run(ctx, "/bin/sh", "-c", `trap 'sleep 1; echo put back; exit 1' TERM; while :; do sleep 0.1; done`)
	if err == nil || !strings.Contains(err.Error(), "ended: context canceled") || out.Stdout != "put back\n" {
		t.Errorf("got %+v, %v", out, err)
	}
}
