// SPDX-License-Identifier: GPL-3.0-or-later

package host

import (
	"context"
	"strings"

	"hardening.yama/module/internal/ptrace"
)

// excuse finds the debuggers that do not count: those that only incidental requirers require, or
// debuggers that do not count themselves. A debugger that the user installed counts, and so does
// one of which that is not known.
func (h *Host) excuse(ctx context.Context, o *ptrace.Observed) {
	needers := make([][]string, len(o.Debuggers))
	for i := range o.Debuggers {
		d := &o.Debuggers[i]
		var err error
		if needers[i], err = h.manager.Needers(ctx, d.Name); err != nil {
			d.Why = "it is not known which packages require it: " + err.Error() // so it counts
		}
		d.ExcuseKnown = true
	}
	excused := o.Incidental
	for before := 0; before < len(excused); { // one that is excused can excuse another
		before = len(excused)
		for i, names := range needers {
			d := &o.Debuggers[i]
			if d.Why != "" || !areOf(names, excused) {
				continue
			}
			d.Why = "only " + ptrace.Named(names) + " requires it"
			user, err := h.manager.UserInstalled(ctx, d.Name)
			switch {
			case err != nil:
				d.Why += ", but it is not known whether the user installed it: " + err.Error()
			case user:
				d.Why += ", but the user installed it"
			default:
				d.Excused = true
				excused = append(excused, *d)
			}
		}
	}
}

// areOf reports whether there are names, and each one is of one of the packages. rpm names a
// package with its version and architecture, and some versions of rpm leave the epoch out.
func areOf(names []string, packages []ptrace.Debugger) bool {
	withoutEpoch := func(version string) string { return version[strings.IndexByte(version, ':')+1:] + "." }
	for _, name := range names {
		found := false
		for _, p := range packages {
			version, same := strings.CutPrefix(name, p.Name+"-")
			found = found || name == p.Name || same && strings.HasPrefix(withoutEpoch(version), withoutEpoch(p.Version))
		}
		if !found {
			return false
		}
	}
	return names != nil
}
