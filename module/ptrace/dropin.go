// SPDX-License-Identifier: GPL-3.0-or-later

package ptrace

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// claim begins the header line that names a mask of ours. A link to /dev/null cannot say who made it.
const claim = "# Masked together with this file: "

// kept begins the header line that names an enabler which others require. Asking again what is known would start a
// program on each run.
const kept = "# Kept and masked, since other packages require it: "

// render returns the text of a file of ours.
func render(state State, scope Scope, reason string, masks []string, keeps string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Written by hardening.yama.ptrace_scope for state=%s, and again by its next run.\n", state)
	if reason = oneLine(reason); reason != "" {
		fmt.Fprintf(&b, "# Reason: %s\n", reason)
	}
	for _, name := range masks {
		b.WriteString(claim + maskPath(name) + "\n")
	}
	if keeps != "" {
		b.WriteString(kept + keeps + "\n")
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

// keeps tells whether a file of ours names that enabler as one which others require.
func keeps(content, enabler string) bool {
	return slices.Contains(strings.Split(content, "\n"), kept+enabler)
}

// oneLine makes a user's text fit for a comment: no control characters, no line breaks of any kind, no blanks around it.
func oneLine(text string) string {
	return strings.Join(strings.FieldsFunc(text, func(r rune) bool {
		return unicode.IsSpace(r) || !unicode.IsPrint(r)
	}), " ")
}
