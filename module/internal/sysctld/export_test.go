// SPDX-License-Identifier: GPL-3.0-or-later

package sysctld

// The writes of the loaders are in tests only: what stays of them is found without a list of all
// (inTurn).

// BootWrites is everything that is written at boot, in that order.
func (t Tree) BootWrites() []Setting { return settings(t.bootRuns()) }

// ReloadWrites is everything that `sysctl --system` writes, in that order.
func (t Tree) ReloadWrites() []Setting { return settings([]run{t.reloadRun()}) }

// BootKept and ReloadKept are what stays of that.
func (t Tree) BootKept() (Setting, bool)   { return lastKept(t.bootRuns()) }
func (t Tree) ReloadKept() (Setting, bool) { return lastKept([]run{t.reloadRun()}) }

func settings(runs []run) (all []Setting) {
	for _, r := range runs {
		for _, w := range r.writes() {
			all = append(all, w.setting())
		}
	}
	return all
}

// lastKept returns the last that programs write of what the kernel accepts. Once the value is 3 it
// accepts no other.
func lastKept(runs []run) (Setting, bool) {
	var now said
	for _, r := range runs {
		for _, w := range r.writes() {
			if w.scope != refused && (now.line == nil || now.scope != maximum || w.scope == maximum) {
				now = w
			}
		}
	}
	if now.line == nil {
		return Setting{}, false
	}
	return now.setting(), true
}

// writes returns what the program writes, in that order.
func (r run) writes() []said {
	if r.merges {
		return r.merged()
	}
	return r.each()
}

// merged returns what systemd-sysctl writes, in that order. A key and each pattern have one
// setting, the last one said, even where that excludes the key; and a key that is named is set by
// no pattern.
func (r run) merged() (writes []said) {
	type option struct {
		said
		gone bool
	}
	var options []option
	turn := map[string]int{}
	named := false
	for _, l := range r.lines {
		named = named || !l.pattern
		if i, said := turn[l.name]; said {
			if options[i].value == l.value && options[i].exclude == l.exclude {
				options[i].said = l // the same again keeps its turn
				continue
			}
			options[i].gone = true
		}
		turn[l.name] = len(options)
		options = append(options, option{said: l})
	}
	for _, o := range options {
		if !o.gone && !o.exclude && (!o.pattern || !named) {
			writes = append(writes, o.said)
		}
	}
	return writes
}

// each returns what sysctl writes, in that order: every assignment, except by patterns that become
// a path which some line names, be it to exclude it.
func (r run) each() []said {
	named, excluded := namesOf(r.lines)
	var writes []said
	for _, l := range r.lines {
		skipped := l.pattern && (named[l.target] > 0 || excluded(l.spelling))
		if !l.exclude && !skipped {
			writes = append(writes, l)
		}
	}
	return writes
}

// Integer is what the kernel reads from a value.
var Integer = integer

// Braces writes out what BracesReach reads as it is; MatchPath matches one pattern.
var Braces, BracesReach, MatchPath = braces, bracesReach, matchPath
