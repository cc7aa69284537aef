// SPDX-License-Identifier: GPL-3.0-or-later

//go:build linux

package attack

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"testing"

	"hardening.yama/tests/sandbox"
)

// verdict is the result of one run.
type verdict string

// The verdicts. The first two are right.
const (
	fine    verdict = "."
	refused verdict = "r"
	hangs   verdict = "HANGS"
	crashes verdict = "CRASHES"
	leaks   verdict = "LEAKS"
	writes  verdict = "WRITES"
	reads   verdict = "READS"
	unnamed verdict = "UNNAMED"
	untold  verdict = "UNTOLD"
)

func (v verdict) bad() bool { return v != fine && v != refused }

// meanings explain the table.
const meanings = `
.        the run succeeded
r        the run failed, and its message names what was replaced
HANGS    the run had not ended after two seconds
CRASHES  there was not exactly one line of JSON, or something on stderr
LEAKS    the report shows content of a file outside of the tree
WRITES   something outside of the tree was changed
READS    a file outside of the tree made a difference
UNNAMED  the run failed, and its message does not name what was replaced
UNTOLD   a package database or the like could not be read, and the report does not say so`

// verdictOn returns what came of a run.
func (b bed) verdictOn(c cell, r request, o sandbox.Outcome, changes string) finding {
	of := func(v verdict, detail string) finding { return finding{v, r.name, detail} }
	k := kinds[c.kind]
	switch {
	case o.Hung:
		return of(hangs, "")
	case o.Broken() != "":
		return of(crashes, o.Broken())
	case !b.host && strings.Contains(o.Stdout+o.Stderr, secret):
		return of(leaks, around(o.Stdout+o.Stderr, secret))
	case changes != "":
		return of(writes, changes)
	case o.Failed() && !b.names(o.Text("msg"), c.name):
		return of(unnamed, o.Text("msg"))
	case o.Failed():
		return of(refused, o.Text("msg"))
	case k.unreadable && b.needs(r, c.name) && !strings.Contains(o.Warnings(), c.name):
		return of(untold, o.Text("msg")+" "+o.Warnings())
	}
	return of(fine, "")
}

// needs tells whether the answer to a request depends on the content of a file or directory.
func (b bed) needs(r request, name string) bool {
	return slices.Contains(b.database, name) && b.traced[r.name][name]
}

// names tells whether a message names the replaced file, or a link to it. A host without /usr/lib
// cannot run its programs; there the message names the program.
func (b bed) names(message, name string) bool {
	carriers := []string{"/usr", "/usr/bin", "/usr/lib", "/usr/lib64", "/usr/lib/x86_64-linux-gnu"}
	if b.host && slices.Contains(carriers, name) && strings.Contains(message, "run /usr/bin/") {
		return true
	}
	// dpkg-query does not say which of its lists it cannot read.
	all := path.Join(path.Dir(name), "*"+path.Ext(name))
	for _, alias := range append(b.aliases(name), name, all) {
		if strings.Contains(message, alias) {
			return true
		}
	}
	return false
}

// aliases returns other names for a file of the good tree: those through the links that the program
// reads, and for a journal of SQLite the name of the database.
func (b bed) aliases(name string) []string {
	names := []string{strings.TrimSuffix(name, "-wal")}
	for _, traced := range b.traced {
		for link := range traced {
			target, err := os.Readlink(b.find(link))
			if err != nil {
				continue
			}
			if !path.IsAbs(target) {
				target = path.Join(path.Dir(link), target)
			}
			if rest, below := strings.CutPrefix(name, target); below && (rest == "" || rest[0] == '/') {
				names = append(names, link+rest)
			}
		}
	}
	return names
}

// around returns a part of a text with its surroundings.
func around(text, part string) string {
	i := strings.Index(text, part)
	return fmt.Sprintf("%q", text[max(0, i-80):min(len(text), i+len(part)+40)])
}

// differs says how the report of a run differs from the report of its control, "" if it does not.
func differs(o, control sandbox.Outcome) string {
	one, other := o.Report, map[string]any{}
	if json.Unmarshal([]byte(controls.Replace(strings.TrimSpace(control.Stdout))), &other) != nil {
		return "without the file outside: " + control.Broken()
	}
	for _, key := range slices.Sorted(maps.Keys(one)) {
		with, _ := json.Marshal(one[key])
		without, _ := json.Marshal(other[key])
		if key != "invocation" && string(with) != string(without) {
			return fmt.Sprintf("%s is %.300s, and without the file outside %.300s", key, with, without)
		}
	}
	return ""
}

// worst returns the worst verdict of a case, "" if the case does not exist.
func worst(found []finding) (v verdict) {
	for _, f := range found {
		if v == "" || f.verdict.bad() || v == fine && f.verdict == refused {
			v = f.verdict
		}
	}
	return v
}

// known says why a wrong verdict is still there, "" where it must not be.
func known(name, kind string, f finding) string {
	if name == "/etc/pacman.conf" && kind == "->/out" && f.verdict == reads {
		return "pacman opens its configuration before it enters the tree"
	}
	return ""
}

// judge prints the table of all cases, and fails for each wrong verdict.
func (b bed) judge(t *testing.T, places []string, outcomes map[cell][]finding) {
	var table strings.Builder
	fmt.Fprintf(&table, "%-60s", "")
	for _, k := range kinds {
		fmt.Fprintf(&table, " %-8s", k.name)
	}
	count := map[verdict]int{}
	for _, name := range places {
		fmt.Fprintf(&table, "\n%-60s", name)
		for k := range kinds {
			v := worst(outcomes[cell{name, k}])
			count[v]++
			fmt.Fprintf(&table, " %-8s", v)
		}
	}
	t.Logf("%s\n%s", table.String(), meanings)
	for _, v := range slices.Sorted(maps.Keys(count)) {
		if v != "" {
			t.Logf("%4d %s", count[v], v)
		}
	}
	for _, name := range places {
		for k := range kinds {
			for _, f := range outcomes[cell{name, k}] {
				if why := known(name, kinds[k].name, f); why != "" {
					t.Logf("known: %s as %s, %s: %s: %s", name, kinds[k].name, f.request, f.verdict, why)
				} else if f.verdict.bad() {
					t.Errorf("%s as %s, %s: %s %.600s", name, kinds[k].name, f.request, f.verdict, f.detail)
				}
			}
		}
	}
}
