// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"fmt"
	"slices"
	"strings"

	"hardening.yama/module/internal/ptrace"
	"hardening.yama/module/internal/sysctld"
)

// A report has less than 100 KB, whatever is on the host: ansible-core keeps it in memory for each
// host, and may print it. Its parts have bounds, each in elements and in bytes of JSON. What is
// beyond a bound is counted.
var (
	settingsRoom = room{count: 100, size: 20 << 10}
	actionsRoom  = room{count: 100, size: 16 << 10}
	backRoom     = room{count: 100, size: 8 << 10}
	warningsRoom = room{count: 50, size: 12 << 10}
	diffRoom     = room{count: 100, size: 24 << 10}
)

const (
	// diffWhole is the size up to which a file is shown as a whole, before and after together.
	diffWhole = 16 << 10
	// diffLines and diffLine bound what is shown of a file that is not: its lines, and each of
	// them.
	diffLines, diffLine = 20, 160
	// sentenceShown bounds a sentence, and wordShown a name, a version or a value.
	sentenceShown, wordShown = 1000, 200
)

// room is what is left of a bound.
type room struct{ count, size int }

// frame is more than the keys of an element take.
const frame = 150

// take takes the room for an element with some texts, if it is there.
func (r *room) take(texts ...string) bool {
	size := frame
	for _, text := range texts {
		size += sizeOf(text)
	}
	if r.count < 1 || r.size < size {
		return false
	}
	r.count--
	r.size -= size
	return true
}

// sizeOf returns at least how long a text is in JSON.
func sizeOf(text string) int {
	size := len(text)
	for i := range len(text) {
		switch c := text[i]; {
		case c == '"' || c == '\\':
			size++
		case c < ' ' || c >= 0x7f:
			size += len(`\u0000`) - 1
		}
	}
	return size
}

// settingsOf lists the places of a tree that name the key, and counts those beyond the bound; the
// ones that take effect are always listed. Of the host, it is asked whose they are.
func settingsOf(tree sysctld.Tree, o ptrace.Observed) (settings []Setting, more int) {
	left := settingsRoom
	places := tree.Places()
	for _, p := range places {
		if p.Standing == sysctld.Effective {
			left.take(p.Path, p.Value)
		}
	}
	settings = make([]Setting, 0, min(len(places), left.count))
	for _, p := range places {
		value := ptrace.Shown(p.Value, wordShown)
		if p.Standing != sysctld.Effective && !left.take(p.Path, value, p.By) {
			left.count = 0 // the first ones are listed, not the short ones
			more++
			continue
		}
		loader := "both"
		switch {
		case p.UFW:
			loader = "ufw"
		case !p.Reload:
			loader = "boot"
		case !p.Boot:
			loader = "reload"
		}
		settings = append(settings, Setting{
			File: p.Path, Line: p.Line, Value: value, Standing: p.Standing, By: nullIfEmpty(p.By), Loader: loader,
			Origin: o.OriginOf(p.Path), Package: nullIfEmpty(ptrace.Shown(o.Packaged[p.Path], wordShown)),
		})
	}
	return settings, more
}

// moreSettings returns a warning that not all settings are listed, none where they are.
func moreSettings(listed []Setting, more int) []string {
	if more == 0 {
		return nil
	}
	return []string{fmt.Sprintf("%s further lines set %s: settings lists only the first ones and those that take effect, %d together",
		ptrace.Count(more), ptrace.Key, len(listed))}
}

// moreDebuggers returns a warning that not all debuggers are listed, none where they are.
func moreDebuggers(more int) []string {
	if more == 0 {
		return nil
	}
	return []string{ptrace.Count(more) + " further debuggers are not listed in debuggers"}
}

// bound keeps the report within its bounds.
func (r *Report) bound() {
	r.Msg = ptrace.Shown(r.Msg, 2*sentenceShown)
	var left []string
	if r.Findings != nil {
		r.Decision.Because = ptrace.Shown(r.Decision.Because, sentenceShown)
		boundDebuggers(r.Debuggers)
		left = moreSettings(r.Settings, r.more)
		left = append(left, moreDebuggers(r.moreDebuggers)...)
		var more int
		if r.Actions, more = boundedActions(r.Actions, actionsRoom); more > 0 {
			left = append(left, ptrace.Count(more)+" further changes are not listed in actions")
		}
	}
	r.RolledBack, _ = boundedActions(r.RolledBack, backRoom)
	r.Warnings = append(boundedWarnings(r.Warnings), left...)
}

// bound keeps the answer within its bounds.
func (i *Info) bound() {
	i.Msg = ptrace.Shown(i.Msg, 2*sentenceShown)
	var left []string
	if i.Situation != nil {
		boundDebuggers(i.Debuggers)
		for n := range i.Denials {
			d := &i.Denials[n]
			d.Tracer, d.Target = ptrace.Shown(d.Tracer, wordShown), ptrace.Shown(d.Target, wordShown)
		}
		left = moreSettings(i.Settings, i.more)
		left = append(left, moreDebuggers(i.moreDebuggers)...)
	}
	i.Warnings = append(boundedWarnings(i.Warnings), left...)
}

func boundDebuggers(debuggers []Debugger) {
	for n := range debuggers {
		d := &debuggers[n]
		if d.Version != nil {
			*d.Version = ptrace.Shown(*d.Version, wordShown)
		}
		if d.Why != nil {
			*d.Why = ptrace.Shown(*d.Why, sentenceShown/2)
		}
	}
}

// boundedWarnings returns the first warnings, and what is left out.
func boundedWarnings(warnings []string) []string {
	left := warningsRoom
	for n := range warnings {
		warnings[n] = ptrace.Shown(warnings[n], sentenceShown)
		if !left.take(warnings[n]) {
			return append(warnings[:n:n], ptrace.Count(len(warnings)-n)+" further warnings are left out")
		}
	}
	return warnings
}

// boundedActions returns the first actions, all that there can be few of among them, and how many
// are left out.
func boundedActions(actions []Action, left room) (listed []Action, more int) {
	return slices.DeleteFunc(actions, func(a Action) bool {
		a.Because = ptrace.Shown(a.Because, sentenceShown)
		taken := left.take(a.Object, a.Because)
		if !taken && (a.Action == "comment" || a.Action == "mask" || a.Action == "unmask" || a.Action == "remove") {
			left.count = 0
			more++
			return true
		}
		return false
	}), more
}

// diffOf renders actions as text before and after. Several steps on one object are one change.
func diffOf(actions []ptrace.Action) []Diff {
	type change struct {
		header        string
		before, after *string
		few           bool // there can only be few of its kind
	}
	var changes []change
	at := map[string]int{}
	for _, a := range actions {
		header := a.Object
		if a.Kind == ptrace.Package {
			header = "packages"
		}
		i, known := at[header]
		if !known {
			i = len(changes)
			at[header] = i
			changes = append(changes, change{header: header, before: a.Before})
		}
		changes[i].after = a.After
		changes[i].few = a.Kind == ptrace.File || a.Kind == ptrace.Package || a.Kind == ptrace.Value
	}
	left := diffRoom
	var diffs []Diff
	more := 0
	for i, c := range changes {
		// What a file does not need is the next ones'.
		share := max(1<<10, left.size/(len(changes)-i))
		before, after := lines(c.before), lines(c.after)
		if sizeOf(before)+sizeOf(after) > min(diffWhole, share) {
			before, after = shortened(before, after, min(diffWhole, share))
		}
		if !left.take(c.header, c.header, before, after) && !c.few {
			more++
			continue
		}
		diffs = append(diffs, Diff{BeforeHeader: c.header, AfterHeader: c.header, Before: before, After: after})
	}
	if more > 0 {
		header := ptrace.Count(more) + " further files"
		diffs = append(diffs,
			Diff{BeforeHeader: header, AfterHeader: header, After: "# left out: the differences of " + header + "\n"})
	}
	return diffs
}

func lines(content *string) string {
	if content == nil || *content == "" {
		return ""
	}
	return strings.TrimSuffix(*content, "\n") + "\n"
}

// shortened returns the first lines of two texts in which they differ, with their numbers, and a
// line before them that says that this is not all.
func shortened(before, after string, size int) (string, string) {
	olds, news := strings.SplitAfter(before, "\n"), strings.SplitAfter(after, "\n")
	shownOld, shownNew := "", ""
	differ, listed := 0, 0
	for n := range max(len(olds), len(news)) {
		line := func(all []string) string {
			if n >= len(all) || all[n] == "" {
				return ""
			}
			return fmt.Sprintf("line %d: %s\n", n+1, ptrace.Shown(strings.TrimSuffix(all[n], "\n"), diffLine))
		}
		if n < len(olds) && n < len(news) && olds[n] == news[n] {
			continue
		}
		if differ++; size <= 0 || listed == diffLines {
			continue
		}
		old, now := line(olds), line(news)
		if size -= sizeOf(old) + sizeOf(now); size <= 0 && listed > 0 {
			continue
		}
		shownOld += old
		shownNew += now
		listed++
	}
	note := fmt.Sprintf("# shortened: %s of %s lines that differ\n", ptrace.Count(listed), ptrace.Count(differ))
	return note + shownOld, note + shownNew
}
