// SPDX-License-Identifier: GPL-3.0-or-later

package host

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"hardening.yama/module/internal/ptrace"
)

// TestParseDenial: only the kernel's own words count, whatever a command line tries to say.
func TestParseDenial(t *testing.T) {
	for record, want := range map[string]ptrace.Denial{
		"5,1042,93112456,-;ptrace attach of \"sleep 301\"[499] was attempted by \"eu-stack -p 499\"[508]\n": {
			Access: "attach", Target: "sleep 301", Tracer: "eu-stack -p 499", Times: 1,
		},
		"5,7,1,-;ptrace traceme of \"a\\x22 was attempted by \\x22b\"[1] was attempted by \"c\"[2]\n SUBSYSTEM=x\n": {
			Access: "traceme", Target: `a\x22 was attempted by \x22b`, Tracer: "c", Times: 1,
		},
		"13,7,1,-;ptrace attach of \"a\"[1] was attempted by \"b\"[2]\n": {}, // a program wrote it into the log
		"5,7,1,-;ptrace attach of \"a\"[1] was attempted by b\n":         {},
		"5,7,1,-;something else":                                         {},
		"":                                                               {},
	} {
		if got, _ := parseDenial(record); got != want {
			t.Errorf("%q: got %+v, want %+v", record, got, want)
		}
	}
}

// TestCounted: the same denial is told once, and a flood of different ones leaves the latest.
func TestCounted(t *testing.T) {
	var found []ptrace.Denial
	for _, tracer := range strings.Fields("a b a") {
		found = counted(found, ptrace.Denial{Tracer: tracer, Times: 1})
	}
	if want := []ptrace.Denial{{Tracer: "b", Times: 1}, {Tracer: "a", Times: 2}}; !slices.Equal(found, want) {
		t.Errorf("got %+v", found)
	}
	for i := range 3 * denialsLimit {
		found = counted(found, ptrace.Denial{Tracer: fmt.Sprint(i), Times: 1})
	}
	if len(found) != denialsLimit || found[denialsLimit-1].Tracer != fmt.Sprint(3*denialsLimit-1) {
		t.Errorf("got %+v", found)
	}
}

func FuzzParseDenial(f *testing.F) {
	f.Add("5,1042,93112456,-;ptrace attach of \"sleep 301\"[499] was attempted by \"eu-stack -p 499\"[508]\n")
	f.Add("5,1;ptrace attach of " + strings.Repeat("\"", 1<<20))
	f.Fuzz(func(t *testing.T, record string) {
		if d, ok := parseDenial(record); ok && strings.Contains(d.Tracer+d.Target, `"`) {
			t.Errorf("%q: a command line with a quote: %+v", record, d)
		}
	})
}
