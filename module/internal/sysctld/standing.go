// SPDX-License-Identifier: GPL-3.0-or-later

package sysctld

import (
	"path"
	"slices"
	"sort"
	"strings"
)

// Standing is what becomes of a place that names the key.
type Standing string

// The standings.
const (
	Effective  Standing = "effective"  // it is the value that stays
	Overridden Standing = "overridden" // another place sets the key instead, or excludes it
	Masked     Standing = "masked"     // the file is hidden by one that says nothing
	Refused    Standing = "refused"    // the kernel does not accept the value
)

// Place is a line that assigns the key, and what becomes of it.
type Place struct {
	Setting
	Standing Standing
	// By is the file, or the file:line, that overrides or masks it.
	By string
	// Boot and Reload tell whose setting it is where it is effective, and who reads it otherwise.
	Boot, Reload bool
}

// Places returns every assignment of the key in the tree, by path and line. Where the loaders differ over one, it stands
// as it does best.
func (t Tree) Places() []Place {
	var all []Place
	for _, p := range append(t.placesFor(true), t.placesFor(false)...) {
		i := slices.IndexFunc(all, func(o Place) bool { return o.Path == p.Path && o.Line == p.Line })
		switch {
		case i < 0:
			all = append(all, p)
		case all[i].Standing == p.Standing:
			all[i].Boot, all[i].Reload = all[i].Boot || p.Boot, all[i].Reload || p.Reload
		case p.Standing == Effective:
			all[i] = p
		}
	}
	sort.Slice(all, func(i, j int) bool {
		return all[i].Path < all[j].Path || all[i].Path == all[j].Path && all[i].Line < all[j].Line
	})
	return all
}

// placesFor returns the places as one of the loaders sees them.
func (t Tree) placesFor(boot bool) []Place {
	lines, winner, set := func(f File) []line { return f.reload }, Setting{}, false
	if boot {
		lines = func(f File) []line { return f.boot }
		winner, set = t.Boot()
	} else {
		winner, set = t.Reload()
	}
	var places []Place
	for _, f := range t {
		if boot && (f.Path == Conf || f.unseen || strings.HasPrefix(path.Base(f.Path), ".")) {
			continue // procps' alone
		}
		if !boot && slices.Contains(Credentials, f.Path) {
			continue // systemd's alone
		}
		for _, l := range lines(f) {
			if l.exclude {
				continue
			}
			p := Place{Setting: Setting{f.Path, l.number, l.value}, Boot: boot, Reload: !boot}
			_, accepted := Number(l.value)
			hider, hidden := t.hider(f, boot)
			switch {
			case hidden && hider.Mask:
				p.Standing, p.By = Masked, hider.Path
			case hidden:
				p.Standing, p.By = Overridden, hider.Path
			case set && p.Setting == winner:
				p.Standing = Effective
			case !accepted:
				p.Standing = Refused
			case set:
				p.Standing, p.By = Overridden, winner.Source()
			default:
				p.Standing = Overridden // by an exclusion, or by a later value that is refused
			}
			places = append(places, p)
		}
	}
	return places
}

// hider returns the file that keeps a drop-in from being read: one of the same name in a higher directory.
func (t Tree) hider(f File, boot bool) (File, bool) {
	if rank(f.Path) == len(Dirs) {
		return File{}, false
	}
	for _, dir := range Dirs[:rank(f.Path)] {
		if hider, ok := t.Find(path.Join(dir, path.Base(f.Path))); ok && (!boot || !hider.unseen) {
			return hider, true
		}
	}
	return File{}, false
}
