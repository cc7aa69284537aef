// SPDX-License-Identifier: GPL-3.0-or-later

package ptrace

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// claim begins the header line that names a mask of ours. A link to /dev/null cannot say who made
// it.
const claim = "# Masked together with this file: "

// written is the first line of a file of ours, for a state.
const written = "# Written by hardening.yama.ptrace_scope for state=%s, and again by its next run.\n"

// note is a header line with an answer of the package manager's. Asking again what is known would
// start a program on each run.
type note string

// requiredNote, askedNote, installedNote and notOfferedNote are the notes that there are, about an
// enabler.
func requiredNote(enabler string) note {
	return note("# Kept and masked because other packages require it: " + enabler)
}

// strictNote tells that a value is the one of a file of others, and goes with it.
const strictNote note = "# Stricter than restricted_scope, because another file is"

func askedNote(enabler string) note { return note("# Kept because the user installed it: " + enabler) }

// installedNote outlives a manager's own notes: zypper's history is rotated.
func installedNote(enabler string) note {
	return note("# Installed together with this file: " + enabler)
}

// notOfferedNote is true for as long as nobody changes which repositories there are.
func notOfferedNote(configured string) note {
	return note("# No repository has the package that sets 0; unchanged since " + configured)
}

// render returns the text of a file of ours.
func render(state State, scope Scope, reason string, masks []string, notes []note) string {
	var b strings.Builder
	fmt.Fprintf(&b, written, state)
	if reason = oneLine(reason); reason != "" {
		fmt.Fprintf(&b, "# Reason: %s\n", reason)
	}
	for _, name := range masks {
		b.WriteString(claim + maskPath(name) + "\n")
	}
	for _, n := range notes {
		b.WriteString(string(n) + "\n")
	}
	fmt.Fprintf(&b, "%s = %d\n", Key, scope)
	return b.String()
}

// claims returns the names of the masks that a file of ours claims.
func claims(content string) []string {
	var names []string
	for line := range strings.Lines(content) {
		file, ok := strings.CutPrefix(strings.TrimSpace(line), claim)
		if name, inEtc := strings.CutPrefix(file, maskPath("")+"/"); ok && inEtc && !strings.Contains(name, "/") {
			names = append(names, name)
		}
	}
	return names
}

// notes tells whether a file of ours that was written for a state has a note.
func notes(content string, state State, n note) bool {
	return writtenFor(content, state) && slices.Contains(strings.Split(content, "\n"), string(n))
}

// writtenFor tells whether a file of ours was written for a state.
func writtenFor(content string, state State) bool {
	return strings.HasPrefix(content, fmt.Sprintf(written, state))
}

// oneLine makes a user's text fit for a comment: no control characters, no line breaks of any kind,
// no blanks around it.
func oneLine(text string) string {
	return strings.Join(strings.FieldsFunc(text, func(r rune) bool {
		return unicode.IsSpace(r) || !unicode.IsPrint(r)
	}), " ")
}
