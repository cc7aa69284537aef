// SPDX-License-Identifier: GPL-3.0-or-later

package ptrace

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"hardening.yama/module/internal/sysctld"
)

// conflict is a place of somebody else's that gets in the way, and how.
type conflict struct {
	sysctld.Place
	how string
}

func (c conflict) String() string { return fmt.Sprintf("%s sets %q, %s", c.Source(), c.Value, c.how) }

// settle plans what becomes of the settings of others that get in the way of the plan's own. It goes on as long as it finds
// one that it can do something about, since behind one that wins there may be another.
func (p *Plan) settle(t target, d Desired, o Observed) error {
	if d.State == StateAuto {
		return nil // an administrator's setting has decided already, or does not matter
	}
	var all []conflict
	seen := map[string]bool{}
	for {
		var found []conflict
		for _, c := range p.conflicts(t, d, o) {
			if !seen[c.Source()] {
				seen[c.Source()] = true
				found = append(found, c)
			}
		}
		all = append(all, found...)
		if d.Conflicts != ConflictsResolve || len(found) == 0 {
			break
		}
		p.resolve(found, o)
	}
	if len(all) == 0 || d.Conflicts == ConflictsResolve {
		return nil
	}
	texts := make([]string, 0, len(all))
	for _, c := range all {
		texts = append(texts, c.String())
	}
	if d.Conflicts == ConflictsFail {
		return errors.New("conflicts is fail, and there are some: " + strings.Join(texts, "; ") + ": nothing was done")
	}
	for _, text := range texts {
		p.Warnings = append(p.Warnings, text+"; conflicts is report, so it stays")
	}
	return nil
}

// conflicts returns the places of others that get in the way once the plan so far is done.
func (p *Plan) conflicts(t target, d Desired, o Observed) []conflict {
	wrong := func(s sysctld.Setting, set bool) bool {
		scope := scopeOf(s, set)
		return set && (scope == nil || *scope != t.decision.Scope)
	}
	boot, atBoot := p.Tree.Boot()
	reload, onReload := p.Tree.Reload()
	var found []conflict
	for _, place := range p.Tree.Places() {
		n, accepted := sysctld.Number(place.Value)
		switch {
		case o.OriginOf(place.Path) == Ours || place.Path == sysctld.CommandLine:
		case place.Setting == boot && wrong(boot, atBoot):
			found = append(found, conflict{place, "and the next boot would bring that"})
		case place.Setting == reload && wrong(reload, onReload):
			found = append(found, conflict{place, "and `sysctl --system` would bring that"})
		case place.Standing == sysctld.Refused && t.dropIn != nil && (!atBoot || !onReload):
			found = append(found, conflict{place, "which the kernel refuses, so that nothing would be set"})
		case d.State == StateRestricted && o.OriginOf(place.Path) == Local && accepted && Scope(n) < d.RestrictedScope:
			found = append(found, conflict{place, "which is below " + d.RestrictedScope.String()})
		}
	}
	return found
}

// resolve plans to comment out lines of the administrator's. What is sealed stays; where it wins, the plan fails later.
func (p *Plan) resolve(found []conflict, o Observed) {
	var targets []string
	for _, c := range found {
		other, known := o.Others[c.Path]
		switch {
		case !known:
		case other.NotEditable != "":
			if c.Standing != sysctld.Effective {
				p.Warnings = append(p.Warnings, c.String()+"; it stays, since "+other.NotEditable)
			}
		case !slices.Contains(targets, other.Target):
			targets = append(targets, other.Target)
			p.comment(other, found, o)
		}
	}
}

// comment plans to comment out the lines of one file that are in conflict. It may be known by several names.
func (p *Plan) comment(other OtherFile, found []conflict, o Observed) {
	aliases := map[string]bool{}
	for name, o := range o.Others {
		aliases[name] = o.Target == other.Target
	}
	i := slices.IndexFunc(p.Actions, func(a Action) bool { return a.Kind == Comment && a.Object == other.Target })
	if i < 0 {
		i = len(p.Actions)
		p.add(Action{
			Kind: Comment, Object: other.Target, Before: text(other.Content), After: text(other.Content),
			Because: other.Original + " is the file as it was",
		})
		if other.Edited {
			p.Warnings = append(p.Warnings, other.Target+" names "+Key+" again, though an earlier run commented it out: something else writes it: "+
				"find out what, or set conflicts to report")
		}
	}
	action := &p.Actions[i]
	lines := map[int]string{}
	because := ""
	for _, c := range found {
		if _, told := lines[c.Line]; aliases[c.Path] && !told {
			lines[c.Line] = c.Value
			because += fmt.Sprintf("line %d sets %q, %s; ", c.Line, c.Value, c.how)
		}
	}
	action.Because = because + action.Because
	after := o.Loaders.CommentOut([]byte(*action.After), KeyPath, func(line int, value string) bool {
		unwanted, named := lines[line]
		return named && unwanted == value
	})
	action.After = text(string(after))
	for name := range aliases {
		if aliases[name] {
			p.Tree = p.Tree.With(o.Loaders.Read(name, after, KeyPath))
		}
	}
}

// outrank adds masks for files of distributions that would win over ours and set nothing else.
func (t *target) outrank(d Desired, o Observed) {
	if t.dropIn == nil || d.Conflicts != ConflictsResolve {
		return
	}
	tree := o.withoutOurs()
	for name := range o.Others {
		if o.OriginOf(name) == Local {
			tree = tree.Without(name)
		}
	}
	tree = tree.With(lineFile(DropIn, *t.dropIn))
	for range o.Others {
		boot, _ := tree.Boot()
		reload, _ := tree.Reload()
		masked := false
		for _, winner := range []string{boot.Path, reload.Path} {
			name := path.Base(winner)
			if _, ours := o.Own[winner]; ours || winner == DropIn || !o.canMask(winner) || slices.Contains(t.masks, name) {
				continue
			}
			t.masks = append(t.masks, name)
			tree = tree.With(o.Loaders.Empty(maskPath(name)))
			masked = true
		}
		if !masked {
			return
		}
	}
}

// canMask tells whether a file of a distribution's lies below /etc and sets nothing but the key.
func (o Observed) canMask(file string) bool {
	other, known := o.Others[file]
	if !known || o.OriginOf(file) != Vendor || path.Dir(file) == path.Dir(DropIn) || !slices.Contains(sysctld.Dirs, path.Dir(file)) {
		return false
	}
	rest := o.Loaders.CommentOut([]byte(other.Content), KeyPath, func(int, string) bool { return true })
	return sysctld.SaysNothing(rest)
}

// ufwCaution warns of what ufw sets when it starts.
func (o Observed) ufwCaution(wanted Scope) []string {
	if o.UFW == nil {
		return nil
	}
	if scope := scopeOf(*o.UFW, true); scope != nil && *scope == wanted {
		return nil
	}
	return []string{fmt.Sprintf("%s sets %q, which ufw applies each time it starts, after the boot's own settings: change it there", o.UFW.Source(), o.UFW.Value)}
}
