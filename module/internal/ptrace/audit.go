// SPDX-License-Identifier: GPL-3.0-or-later

package ptrace

import (
	"slices"
	"strings"

	"hardening.yama/module/internal/sysctld"
)

// Origin tells whose a file is.
type Origin string

// The origins.
const (
	Ours   Origin = "ours"
	Vendor Origin = "vendor"
	Local  Origin = "local"
)

// OriginOf returns whose a file is: vendor is what lies under /usr/lib, and what a package owns and
// nobody changed.
func (o Observed) OriginOf(file string) Origin {
	switch {
	case slices.Contains(OwnFiles, file):
		return Ours
	case sysctld.Vendors(file) || o.Packaged[file] != "":
		return Vendor
	}
	return Local
}

// Auditor is what a benchmark or a scanner wants to see.
type Auditor struct {
	Name string
	// Accepts are the values it accepts.
	Accepts []int
	// Explicit: it also wants a line outside /usr/lib that says so, and none there that says
	// otherwise.
	Explicit bool
}

// wantsListed bounds the places that an auditor's wants name.
const wantsListed = 10

// Wants returns what an auditor would still want of the host, of which the places are known; ""
// where it is satisfied.
func (a Auditor) Wants(o Observed, places []sysctld.Place) string {
	accepted := func(n int) bool { return slices.Contains(a.Accepts, n) }
	values := textIf(len(a.Accepts) == 1, Scope(a.Accepts[0]).String(), Scope(a.Accepts[0]).String()+" or more")
	var wants []string
	if o.Runtime == nil || !accepted(int(*o.Runtime)) {
		wants = append(wants, values+" in the running kernel")
	}
	if !a.Explicit {
		return strings.Join(wants, ", and ")
	}
	said, more := false, 0
	for _, p := range places {
		if sysctld.Vendors(p.Path) || p.Path == sysctld.CommandLine {
			continue
		}
		n, ok := sysctld.Number(p.Value)
		switch {
		case ok && accepted(n):
			said = true
		case len(wants) < wantsListed:
			wants = append(wants, p.Source()+" to say "+values)
		default:
			more++
		}
	}
	if more > 0 {
		wants = append(wants, Count(more)+" more lines to say "+values)
	}
	if !said {
		wants = append(wants, "a line in /etc/sysctl.d that says "+values)
	}
	return strings.Join(wants, ", and ")
}
