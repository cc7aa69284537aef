// SPDX-License-Identifier: GPL-3.0-or-later

package ptrace

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"hardening.yama/module/internal/sysctld"
)

// conflict is a place of somebody else's that gets in the way, and how.
type conflict struct {
	sysctld.Place
	how string
}

func (c *conflict) String() string { return c.Source() + c.deed() }

func (c *conflict) deed() string {
	return fmt.Sprintf(" sets %q, %s", Shown(c.Value, valueShown), c.how)
}

const (
	// singleRounds is how often one winner is looked for at a time, which needs no more on nearly
	// every host. After that all that would win in turn are looked for at once, since there may be
	// as many as lines.
	singleRounds = 4
	// settleRounds bounds how often the files are read again after lines were commented out. To
	// comment a line out in the middle of another loader's line can change what that one says;
	// nothing else needs more than two or three further rounds.
	settleRounds = 20
)

// settle plans what becomes of the settings of others that get in the way of the plan's own. It
// goes on as long as it finds one that it can do something about, since behind one that wins there
// may be another.
func (p *Plan) settle(t aim, d Desired, o Observed) error {
	if d.State == StateAuto {
		return nil // an administrator's setting has decided already, or does not matter
	}
	seen := map[string]bool{}
	var found []conflict
	edits := edits{plan: p, observed: &o, byTarget: map[string]int{}}
	for round := range settleRounds {
		found = p.conflicts(t, d, o, round >= singleRounds, seen)
		if d.Conflicts != ConflictsResolve || len(found) == 0 {
			break
		}
		edits.resolve(found)
	}
	if len(found) == 0 || d.Conflicts == ConflictsResolve {
		return nil
	}
	if d.Conflicts == ConflictsFail {
		return errors.New("conflicting settings found: " + strings.Join(fileSums(found, ""), "; ") +
			". Nothing was changed (conflicts=fail)")
	}
	p.Warnings = append(p.Warnings, fileSums(found, "; it stays (conflicts=report)")...)
	return nil
}

// conflicts returns the places of others that get in the way once the plan so far is done. With
// inTurn these are also the ones that would win in turn once those that win before them are
// commented out: one round for all of them. Those that were seen in an earlier round are left out.
func (p *Plan) conflicts(t aim, d Desired, o Observed, inTurn bool, seen map[string]bool) []conflict {
	winners := func(hand func(func(sysctld.Setting) bool)) map[string]bool {
		found := map[string]bool{}
		hand(func(s sysctld.Setting) bool {
			if scope := scopeOf(s, true); scope != nil && *scope == t.decision.Scope {
				return false
			}
			found[s.Source()+s.Value] = true
			other, known := o.Others[s.Path]
			return inTurn && known && other.NotEditable == ""
		})
		return found
	}
	_, atBoot := p.Tree.Boot()
	_, onReload := p.Tree.Reload()
	onReload = onReload || o.Loaders.Boot == sysctld.Alpine // which has no `sysctl --system`
	boots, reloads := winners(p.Tree.BootInTurn), winners(p.Tree.ReloadInTurn)
	var found []conflict
	var origin Origin
	file := ""
	places := p.Tree.Places()
	for i, place := range places {
		if place.Path != file {
			file, origin = place.Path, o.OriginOf(place.Path)
		}
		if origin == Ours || file == sysctld.CommandLine {
			continue
		}
		source := place.Source()
		how := ""
		n, accepted := sysctld.Number(place.Value)
		switch {
		case boots[source+place.Value]:
			place.Standing = sysctld.Effective // in its turn
			how = textIf(place.UFW, "which ufw applies each time it starts, after the boot's own settings",
				textIf(o.Boot.Unknown != "", "which may take effect at the next boot",
					"which takes effect at the next boot"))
		case reloads[source+place.Value]:
			place.Standing = sysctld.Effective
			how = "which takes effect with `sysctl --system`"
		case place.Standing == sysctld.Refused && t.dropIn != nil && (!atBoot || !onReload):
			how = "which the kernel refuses, so nothing would be set"
		case d.State == StateRestricted && origin == Local && accepted && Scope(n) < d.RestrictedScope:
			how = "which is below " + d.RestrictedScope.String()
		}
		if how == "" || seen[source] {
			continue
		}
		seen[source] = true
		if found == nil {
			found = make([]conflict, 0, len(places)-i)
		}
		found = append(found, conflict{place, how})
	}
	return found
}

// edits are the files of the administrator's in which a plan comments lines out, by the files
// themselves: one may be known by several names.
type edits struct {
	plan     *Plan
	observed *Observed
	names    map[string][]string
	byTarget map[string]int // the action
}

// resolve plans to comment out lines. What is sealed stays; where it wins, the plan fails later.
func (e *edits) resolve(found []conflict) {
	byTarget := map[string][][]conflict{}
	var targets []OtherFile
	var files []sysctld.File
	editable := map[string]bool{}
	for len(found) > 0 {
		n := ofFirstFile(found)
		file := found[:n]
		found = found[n:]
		other, known := e.observed.Others[file[0].Path]
		byTarget[other.Target] = append(byTarget[other.Target], file)
		switch {
		case !known:
		case other.Link != "":
			e.plan.add(Action{
				Kind: Mask, Object: file[0].Path, Before: text(other.Link), After: text("/dev/null"),
				Because: fileSums(file,
					"; "+other.Target+" sets nothing else; "+other.Original+" is the link as it was")[0],
			})
			files = append(files, e.observed.Loaders.Empty(file[0].Path))
		case other.NotEditable != "":
			var stay []conflict
			for i := range file {
				if file[i].Standing != sysctld.Effective {
					stay = append(stay, file[i])
				}
			}
			e.plan.Warnings = append(e.plan.Warnings, fileSums(stay, "; it stays, because "+other.NotEditable)...)
		case !editable[other.Target]:
			editable[other.Target] = true
			targets = append(targets, other)
		}
	}
	for _, other := range targets {
		files = append(files, e.comment(other, byTarget[other.Target])...)
	}
	e.plan.Tree = e.plan.Tree.With(files...)
}

// comment plans to comment out the lines of one file that are in conflict, and returns it as it
// will be under each of its names.
func (e *edits) comment(other OtherFile, found [][]conflict) []sysctld.File {
	i, planned := e.byTarget[other.Target]
	if !planned {
		i = len(e.plan.Actions)
		e.byTarget[other.Target] = i
		e.plan.add(Action{
			Kind: Comment, Object: other.Target, Before: text(other.Content), After: text(other.Content),
			Because: "the original is in " + other.Original,
		})
		if other.Edited {
			e.plan.Warnings = append(e.plan.Warnings,
				other.Target+" sets "+Key+" again, though an earlier run commented it out: another tool writes this file: "+
					"change it there, or use conflicts=report")
		}
	}
	lines := map[int]string{}
	var first []string
	for _, file := range found {
		for i := range file {
			c := &file[i]
			if _, told := lines[c.Line]; told {
				continue
			}
			if lines[c.Line] = c.Value; len(first) < linesListed {
				first = append(first, "line "+strconv.Itoa(c.Line)+c.deed())
			}
		}
	}
	action := &e.plan.Actions[i]
	action.Because = sum(first, len(lines)) + "; " + action.Because
	after := e.observed.Loaders.CommentOut([]byte(*action.After), KeyPath, func(line int, value string) bool {
		unwanted, named := lines[line]
		return named && unwanted == value
	})
	action.After = text(string(after))
	if e.names == nil {
		e.names = map[string][]string{}
		for name, other := range e.observed.Others {
			e.names[other.Target] = append(e.names[other.Target], name)
		}
	}
	files := make([]sysctld.File, 0, len(e.names[other.Target]))
	for _, name := range e.names[other.Target] {
		f := e.observed.Loaders.Read(name, after, KeyPath)
		f.ByUFW = name == e.observed.Boot.UFW
		files = append(files, f)
	}
	return files
}

// outrank adds masks for files of distributions that would win over ours and set nothing else.
func (t *aim) outrank(d Desired, o Observed) {
	if t.dropIn == nil || d.Conflicts != ConflictsResolve {
		return
	}
	var local []string
	for name := range o.Others {
		if o.OriginOf(name) == Local {
			local = append(local, name)
		}
	}
	tree := o.withoutOurs().Without(local...).With(lineFile(DropIn, *t.dropIn))
	wanted := map[string]bool{} // masks that were wanted before
	for _, name := range t.masks {
		wanted[name] = true
	}
	can := map[string]bool{}
	for round := 0; ; round++ {
		var masks []sysctld.File
		added := map[string]bool{}
		goes := func(s sysctld.Setting) bool {
			name := path.Base(s.Path)
			if _, ours := o.Own[s.Path]; ours || s.Path == DropIn || wanted[name] {
				return false
			}
			if _, known := can[s.Path]; !known {
				can[s.Path] = o.canMask(s.Path)
			}
			if can[s.Path] && !added[name] {
				added[name] = true
				t.masks = append(t.masks, name)
				masks = append(masks, o.Loaders.Empty(maskPath(name)))
			}
			return can[s.Path] && round >= singleRounds
		}
		tree.BootInTurn(goes)
		tree.ReloadInTurn(goes)
		if masks == nil {
			return
		}
		tree = tree.With(masks...)
		for name := range added {
			wanted[name] = true
		}
	}
}

// canMask tells whether a file of a distribution's lies below /etc and sets nothing but the key.
func (o Observed) canMask(file string) bool {
	other, known := o.Others[file]
	if !known || o.OriginOf(file) != Vendor || path.Dir(file) == path.Dir(DropIn) ||
		!slices.Contains(sysctld.Dirs, path.Dir(file)) {
		return false
	}
	return o.Loaders.SetsNothingElse([]byte(other.Content), KeyPath)
}
