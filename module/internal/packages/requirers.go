// SPDX-License-Identifier: GPL-3.0-or-later

package packages

import (
	"slices"

	"hardening.yama/module/internal/ptrace"
)

const (
	// requirersDepth bounds the length of a chain of packages that require one another. A longer
	// chain is no reason any more.
	requirersDepth = 3
	// requirersListed bounds how many are named, and followed, for each package.
	requirersListed = 40
)

// requirers collects for packages the installed ones that require them.
type requirers struct {
	names map[string][]string
	more  map[string]int
}

// add adds one, and tells whether it is named now and was not before. Beyond requirersListed, one
// that says twice what it needs is counted twice.
func (r *requirers) add(needed, who string) bool {
	if r.names == nil {
		r.names, r.more = map[string][]string{}, map[string]int{}
	}
	known := r.names[needed]
	if slices.Contains(known, who) {
		return false
	}
	if len(known) == requirersListed {
		r.more[needed]++
		return false
	}
	r.names[needed] = append(known, who)
	return true
}

// has tells whether anybody requires a package.
func (r *requirers) has(needed string) bool { return r.names[needed] != nil }

// all returns the names, and behind those of a package how many more there are.
func (r *requirers) all() map[string][]string {
	for needed, more := range r.more {
		r.names[needed] = append(r.names[needed], ptrace.More(more))
	}
	if r.names == nil {
		return map[string][]string{}
	}
	return r.names
}
