// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"hardening.yama/module/internal/ptrace"
)

// liveDesktop is a Fedora that was installed from a live image: its gdb is the installer's.
type liveDesktop struct {
	*fedora
	user      bool // the user installed gdb
	questions int
}

func (l *liveDesktop) Observe(ctx context.Context) (ptrace.Observed, error) {
	o, err := l.fedora.Observe(ctx)
	o.Incidental = []ptrace.Debugger{{Name: "anaconda-install-env-deps", Version: "45.9-1.fc45"}}
	o.Debuggers = []ptrace.Debugger{{Name: "gdb", Version: "17.1-1.fc45"}}
	return o, err
}

func (l *liveDesktop) Answer(ctx context.Context, q ptrace.Question, o *ptrace.Observed) error {
	if q != ptrace.AskRequirers {
		return l.fedora.Answer(ctx, q, o)
	}
	l.questions++
	d := &o.Debuggers[0]
	d.ExcuseKnown, d.Excused, d.Why = true, !l.user, "only anaconda-install-env-deps requires it"
	return nil
}

// TestLiveDesktop: a debugger that only the installer's package requires does not count, and the
// report says so. Where another thing decides, it is not asked and not known.
func TestLiveDesktop(t *testing.T) {
	const because = "no debugger counts: only anaconda-install-env-deps 45.9-1.fc45 requires gdb 17.1-1.fc45"
	for _, c := range []struct {
		arguments, local string
		user             bool
		scope, counts    any
		because          string
		questions        int
	}{
		{arguments: `{"state":"auto"}`, scope: 1.0, counts: false, because: because, questions: 2},
		{arguments: `{"state":"auto","_ansible_check_mode":true}`, scope: 1.0, counts: false, because: because,
			questions: 1},
		{arguments: `{"state":"auto"}`, user: true, scope: 0.0, counts: true,
			because: "a debugger is installed: gdb 17.1-1.fc45", questions: 2},
		{arguments: `{"state":"restricted"}`, scope: 1.0, because: "state=restricted, restricted_scope=1"},
		{arguments: `{"state":"permissive"}`, scope: 0.0, because: "state=permissive"},
		{arguments: `{"_ansible_module_name":"ptrace_scope_info"}`, counts: false, questions: 1},
	} {
		l := &liveDesktop{fedora: newFedora(t), user: c.user}
		report := l.askAs(t, l, c.arguments)
		debugger := report["debuggers"].([]any)[0].(map[string]any)
		if report["failed"] != false || debugger["counts"] != c.counts || l.questions != c.questions {
			t.Errorf("%s: counts %v, %d questions: %v", c.arguments, debugger["counts"], l.questions, report["msg"])
		}
		why := fmt.Sprint(debugger["why"])
		if c.counts == false && !strings.HasPrefix(why, "only anaconda") {
			t.Errorf("%s: why %s", c.arguments, why)
		}
		decision, decided := report["decision"].(map[string]any)
		if decided && (decision["scope"] != c.scope || decision["because"] != c.because) {
			t.Errorf("%s: %v", c.arguments, decision)
		}
		if c.questions != 2 {
			continue
		}
		if again := l.askAs(t, l, c.arguments); again["changed"] != false {
			t.Errorf("%s: the second run changed something: %v", c.arguments, again["actions"])
		}
	}
}

// TestManyDebuggers: a report lists a bounded number of debuggers, and counts the others.
func TestManyDebuggers(t *testing.T) {
	m := &crowded{newFedora(t)}
	for _, arguments := range []string{`{"state":"permissive"}`, `{"_ansible_module_name":"ptrace_scope_info"}`} {
		report := m.askAs(t, m, arguments)
		warnings := fmt.Sprint(report["warnings"])
		if n := len(report["debuggers"].([]any)); n != debuggersListed || !strings.Contains(warnings,
			"1,900 further debuggers") {
			t.Errorf("%s: %d debuggers, warnings %s", arguments, n, warnings)
		}
	}
}

// crowded has packages that a site's pattern matches.
type crowded struct{ *fedora }

func (c *crowded) Observe(ctx context.Context) (ptrace.Observed, error) {
	o, err := c.fedora.Observe(ctx)
	for i := range 2000 {
		o.Debuggers = append(o.Debuggers, ptrace.Debugger{Name: fmt.Sprintf("acme-%d", i), Version: "1"})
	}
	return o, err
}
