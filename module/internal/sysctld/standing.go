// SPDX-License-Identifier: GPL-3.0-or-later

package sysctld

import (
	"path"
	"slices"
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
	// Boot, UFW and Reload tell whose setting it is where it is effective, and who reads it
	// otherwise.
	Boot, UFW, Reload bool
}

// Places returns every assignment of the key in the tree, by path and line. Where the loaders
// differ over one, it stands as it does best.
func (t Tree) Places() []Place {
	count := 0
	files := t.byPath()
	var paths []string
	for i := range t {
		if f := &t[i]; len(f.boot)+len(f.reload) > 0 {
			paths = append(paths, f.Path)
			count += max(len(f.boot), len(f.reload))
		}
	}
	slices.Sort(paths)
	boot, reload := judge{files: files, boot: true, boots: t.boots()}, judge{files: files, boots: Procps}
	if boot.boots == Alpine {
		reload.boots = Unknown // there is no such loader
	}
	boot.winner, boot.set = t.Boot()
	reload.winner, reload.set = t.Reload()
	boot.source, reload.source = boot.winner.Source(), reload.winner.Source()
	all := make([]Place, 0, count)
	for _, path := range paths {
		f, from := files[path], len(all)
		boots, reloads := boot.lines(f), reload.lines(f)
		for len(boots) > 0 || len(reloads) > 0 {
			j, rest := &boot, &boots
			if len(boots) == 0 || len(reloads) > 0 && reloads[0].number < boots[0].number {
				j, rest = &reload, &reloads
			}
			l := &(*rest)[0]
			*rest = (*rest)[1:]
			if l.exclude {
				continue
			}
			p := j.place(f, l)
			// An editor's line can be several of systemd's, which ends them at carriage returns,
			// too.
			last := len(all) - 1
			switch {
			case last < from || all[last].Line != p.Line:
				all = append(all, p)
			case all[last].Standing == p.Standing:
				all[last].Boot, all[last].Reload = all[last].Boot || p.Boot, all[last].Reload || p.Reload
			case p.Standing == Effective:
				all[last] = p
			}
		}
	}
	return all
}

// judge tells what becomes of the lines that one of the loaders reads.
type judge struct {
	files  map[string]*File
	boot   bool
	boots  Boot
	winner Setting
	source string
	set    bool // there is a winner
	// hider keeps the file that is being judged from being read, nil where none does.
	hider *File
}

// lines returns those of a file, and begins to judge it.
func (j *judge) lines(f *File) []line {
	j.hider = hiderOf(j.files, f, j.boots)
	dropIn, hidden := rank(f.Path) < len(Dirs), path.Base(f.Path)[0] == '.'
	var reads bool
	switch j.boots {
	case Procps:
		reads = dropIn || f.Path == Conf
	case Alpine, AlpineProcps:
		reads = f.alpineReads()
	case Unknown:
	case Systemd:
		reads = dropIn && !hidden && !f.unseen || slices.Contains(Credentials, f.Path)
	}
	switch {
	case j.boot && (reads && j.boots != Procps || f.Path == CommandLine):
		return f.boot
	case reads || j.boot && f.ByUFW:
		return f.reload
	}
	return nil
}

// place returns a line as it stands.
func (j *judge) place(f *File, l *line) Place {
	p := Place{Setting: Setting{f.Path, l.number, l.value}, Boot: j.boot, UFW: j.boot && f.ByUFW, Reload: !j.boot}
	switch {
	case p.UFW && j.set && p.Setting == j.winner:
		p.Standing = Effective
	case j.hider != nil && j.hider.Mask:
		p.Standing, p.By = Masked, j.hider.Path
	case j.hider != nil:
		p.Standing, p.By = Overridden, j.hider.Path
	case j.set && p.Setting == j.winner:
		p.Standing = Effective
	case l.scope == refused:
		p.Standing = Refused
	case j.set:
		p.Standing, p.By = Overridden, j.source
	default:
		p.Standing = Overridden // by an exclusion, or by a later value that is refused
	}
	return p
}

// hiderOf returns the file that keeps a drop-in from being read: one of the same name in a higher
// directory. It is nil where there is none. To Alpine's script that of /run is the highest, and
// those of distributions have one rank.
func hiderOf(files map[string]*File, f *File, boots Boot) *File {
	rank := rank(f.Path)
	if rank == len(Dirs) {
		return nil
	}
	dirs := Dirs[:rank]
	alpine := boots == Alpine || boots == AlpineProcps
	switch {
	case alpine && rank < 2:
		dirs = Dirs[rank+1 : 2]
	case alpine:
		dirs = Dirs[:2]
	}
	for _, dir := range dirs {
		hider := files[path.Join(dir, path.Base(f.Path))]
		if hider != nil && (!alpine || hider.regular) && (boots != Systemd || !hider.unseen) {
			return hider
		}
	}
	return nil
}
