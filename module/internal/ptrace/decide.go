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

// Decide returns the plan that makes a host as desired. Where that hangs on an answer of the package manager it returns
// the question instead: observe the answer and decide again. An error means that the state cannot be had on this host;
// its text says why and what to do.
func Decide(d Desired, o Observed) (Plan, Question, error) {
	aim := map[State]func(Desired, Observed) (target, Question, error){
		StateAuto:       aimAuto,
		StateRestricted: aimRestricted,
		StatePermissive: aimPermissive,
	}[d.State]
	noYama := o.Runtime == nil && d.Runtime
	if noYama {
		d.Persistent = false // nothing will be done, so nothing needs to be asked
	}
	t, question, err := aim(d, o)
	if err != nil || question != NoQuestion {
		return Plan{}, question, err
	}
	if noYama {
		plan, err := withoutYama(t, d, o)
		return plan, NoQuestion, err
	}
	plan, err := planFor(t, d, o)
	if err != nil {
		return Plan{}, NoQuestion, err
	}
	if d.Persistent && !t.respect && d.Conflicts != ConflictsReport {
		if err := wins(t, o, plan.Tree); err != nil {
			return Plan{}, NoQuestion, err
		}
	}
	if d.Persistent {
		plan.Warnings = append(plan.Warnings, o.unreadCaution()...)
		plan.Warnings = append(plan.Warnings, disagreement(plan.Tree)...)
	}
	return plan, NoQuestion, nil
}

// aimRestricted is explicit and immune: a plain line in a file that wins, and an enabler that is gone or masked.
func aimRestricted(d Desired, o Observed) (target, Question, error) {
	scope := d.RestrictedScope
	t := target{
		decision:       Decision{scope, "state is restricted, and restricted_scope is " + scope.String()},
		fileBecause:    "restricted is a plain line of our own, in a file that wins at boot",
		packageBecause: "its drop-in sets 0",
	}
	if boot, ok := o.Tree.Boot(); ok && !d.Exact {
		if set := scopeOf(boot, ok); set != nil && *set > scope {
			scope, t.stricterKept = *set, true
			t.decision = Decision{scope, fmt.Sprintf("%s sets %d, which is stricter than the %d asked for, and exact is not set",
				boot.Source(), scope, d.RestrictedScope)}
		}
	}
	t.dropIn = &scope
	t.setRuntime(scope, d, o)
	if o.Enabler.managed() || o.vendorSets0() {
		t.masks = o.maskable()
	}
	question, err := t.removeEnabler(d, o)
	return t, question, err
}

// aimPermissive is the distribution's own way to 0, and a drop-in where that is not to be had.
func aimPermissive(d Desired, o Observed) (target, Question, error) {
	t := target{
		decision:       Decision{Classic, "state is permissive"},
		fileBecause:    "permissive is left to the distribution's own drop-in where that is enough",
		packageBecause: "its drop-in is the distribution's own way to set 0",
	}
	question, err := t.permit(d, o, o.withoutOurs())
	return t, question, err
}

// aimAuto is the Change's policy, under an administrator's own setting.
func aimAuto(d Desired, o Observed) (target, Question, error) {
	base := o.withoutOurs()
	if t, ok := respectLocal(base, d, o); ok {
		return t, NoQuestion, nil
	}
	t := target{fileBecause: "auto leaves the value to the distribution's own way where that is enough"}
	scope := d.RestrictedScope
	if o.Enabler.managed() {
		t.floor = &scope
		t.fileBecause = "auto keeps a floor that the enabler's own drop-in overrides, so that installing a debugger works at once"
		base = base.With(lineFile(Floor, scope))
	}
	if e := o.Enabler; e.Installed != "" && o.noted(StateAuto, installedNote(e.Installed)) {
		t.notes = append(t.notes, installedNote(e.Installed))
	}
	if len(o.Debuggers) > 0 {
		t.decision = Decision{Classic, because(o.Debuggers)}
		t.packageBecause = "it comes and goes with the debuggers"
		question, err := t.permit(d, o, base)
		return t, question, err
	}
	if wished, known := o.wish(); wished {
		t.decision = Decision{Classic, "no debugger is installed, but a person asked for " + o.Enabler.Installed}
		if known {
			t.notes = append(t.notes, askedNote(o.Enabler.Installed))
		} else {
			t.decision.Because = "no debugger is installed, but a person may have asked for " + o.Enabler.Installed
			t.warnings = []string{fmt.Sprintf("%s stays, since %s does not tell whether a person asked for it%s",
				o.Enabler.Installed, o.Enabler.Manager, after(": ", o.Enabler.Removal.Cause))}
			d.Runtime = false // nor is anything loosened for that
		}
		question, err := t.permit(d, o, base)
		return t, question, err
	}
	t.decision = Decision{scope, "no debugger is installed"}
	t.packageBecause = "it comes and goes with the debuggers, and none is installed"
	t.setRuntime(scope, d, o)
	question, err := t.removeEnabler(d, o)
	if err != nil || question != NoQuestion {
		return t, question, err
	}
	if t.uninstall == "" && (o.Enabler.Installed != "" || o.vendorSets0()) {
		t.masks = o.maskable()
		t.floor = &scope // it claims them
		base = base.With(lineFile(Floor, scope))
	}
	for _, name := range t.masks {
		base = base.With(sysctld.Loaders{}.Empty(maskPath(name)))
	}
	if t.uninstall != "" {
		t.notes = nil
		base = withoutEnabler(base, o.Enabler)
	}
	if boot := bootScope(base); boot == nil && !sameScope(o.KernelDefault, &scope) || boot != nil && *boot != scope {
		t.dropIn = &scope
		t.fileBecause = fmt.Sprintf("nothing else would set %d at boot", scope)
	}
	return t, NoQuestion, nil
}

// wish tells whether a person asked for the enabler, and whether that is known; where it is not, one that acts is given the benefit
// of the doubt. What auto itself has masked is no person's wish any more: a removal that was ended leaves the manager's notes astray.
func (o Observed) wish() (wished, known bool) {
	e := o.Enabler
	switch r := e.Removal; {
	case e.Installed == "" || o.maskedBy(StateAuto):
		return false, true
	case r == nil:
		return o.noted(StateAuto, askedNote(e.Installed)), true
	case r.Unknown:
		acts := o.vendorSets0() && !slices.ContainsFunc(e.DropIns, o.masked)
		return acts && !o.noted(StateAuto, installedNote(e.Installed)), false
	default:
		return r.Asked, true
	}
}

// after returns a text with what stands before it, and nothing where there is no text.
func after(before, text string) string { return either(text == "", "", before+text) }

// because names the debuggers as evidence.
func because(debuggers []Debugger) string {
	names := make([]string, 0, len(debuggers))
	for _, d := range debuggers {
		names = append(names, strings.TrimSpace(either(d.Path == "", d.Name+" "+d.Version, d.Path)))
	}
	return "a debugger is installed: " + strings.Join(names, ", ")
}

// respectLocal returns the target where an administrator's own setting or mask decides what the next boot sets.
func respectLocal(base sysctld.Tree, d Desired, o Observed) (target, bool) {
	const left = "auto leaves the value to the administrator's own setting"
	if boot, ok := base.Boot(); ok && o.local(boot.Path) {
		scope := scopeOf(boot, ok)
		if scope == nil {
			return target{}, false // the kernel refuses it, so it sets nothing
		}
		t := target{
			decision:    Decision{*scope, fmt.Sprintf("%s sets %d, and that is the administrator's own setting", boot.Source(), *scope)},
			respect:     true,
			fileBecause: left,
		}
		t.setRuntime(*scope, d, o)
		return t, true
	}
	ours := o.ourMasks()
	for _, name := range o.Enabler.DropIns {
		if o.masked(name) && !slices.Contains(ours, name) {
			scope := d.RestrictedScope
			t := target{
				decision:    Decision{scope, fmt.Sprintf("the administrator has masked %s", name)},
				floor:       &scope,
				fileBecause: "the administrator's mask leaves the value to this file",
			}
			t.setRuntime(scope, d, o)
			return t, true
		}
	}
	return target{}, false
}

// permit aims at 0 on top of a base tree: as it is, with the enabler, or with a drop-in.
func (t *target) permit(d Desired, o Observed, base sysctld.Tree) (Question, error) {
	t.setRuntime(Classic, d, o)
	if isClassic(base, o.KernelDefault) {
		return NoQuestion, nil
	}
	if !d.Persistent {
		return NoQuestion, nil
	}
	manage := d.Packages == PackagesManage
	switch {
	case o.Enabler.Installed != "" || d.Packages == PackagesIgnore:
	case o.Enabler.managed() && (manage || !overridden(base, o.Enabler.DropIns)):
		offer, unoffered := o.Enabler.Offer, notOfferedNote(o.Repositories)
		if offer == nil && !manage && o.noted(d.State, unoffered) {
			offer = &Offer{}
		} else if offer == nil {
			return AskOffer, nil
		}
		if offer.none() && o.Repositories != "" {
			t.notes = append(t.notes, unoffered)
		}
		problem := offer.problem()
		switch {
		case problem == "":
			t.install = offer.Package
			if t.floor != nil {
				t.notes = append(t.notes, installedNote(offer.Package))
			}
			base = withEnabler(base, o.Enabler)
		case manage:
			return NoQuestion, fmt.Errorf("install the enabler: %s; packages is manage, which does not fall back to a drop-in", problem)
		default:
			t.warnings = append(t.warnings, "a drop-in sets 0, since the enabler is not to be had: "+problem)
		}
	case manage:
		return NoQuestion, errors.New("install the enabler: no package is known for this distribution; packages is manage, " +
			"which does not fall back to a drop-in")
	}
	if !isClassic(base, o.KernelDefault) {
		zero := Classic
		t.dropIn = &zero
		t.fileBecause = "nothing else would set 0 at boot"
	}
	return NoQuestion, nil
}

// isClassic tells whether the next boot leaves the kernel at 0.
func isClassic(tree sysctld.Tree, kernelDefault *Scope) bool {
	if _, named := tree.Boot(); !named && kernelDefault != nil {
		return *kernelDefault == Classic
	}
	boot := bootScope(tree)
	return boot != nil && *boot == Classic
}

// removeEnabler aims at an enabler that does not act: removed where that takes nothing else along, masked otherwise. That
// others require it was asked once and is noted in our file; nothing is asked then. Of one that an upgrade has left behind,
// which is not the distribution's own any more, that may have changed.
func (t *target) removeEnabler(d Desired, o Observed) (Question, error) {
	e := o.Enabler
	if e.Installed == "" || !d.Persistent || d.Packages == PackagesIgnore {
		return NoQuestion, nil
	}
	manage := d.Packages == PackagesManage
	if e.Removal == nil {
		switch {
		case !manage && e.Installed == e.Candidates[0] && o.noted(d.State, requiredNote(e.Installed)):
			t.notes = append(t.notes, requiredNote(e.Installed))
		case manage || o.vendorSets0():
			return AskRemoval, nil
		}
		return NoQuestion, nil
	}
	problem := e.Removal.problem(e.Installed)
	switch {
	case problem == "":
		t.uninstall = e.Installed
	case manage:
		return NoQuestion, fmt.Errorf("remove the enabler: %s; packages is manage, which does not fall back to a mask", problem)
	default:
		t.warnings = append(t.warnings, fmt.Sprintf("%s stays and is masked: %s", e.Installed, problem))
		if e.Removal.Cause == "" {
			t.notes = append(t.notes, requiredNote(e.Installed))
		}
	}
	return NoQuestion, nil
}

// none tells that the repositories were asked, and have none.
func (f Offer) none() bool { return f.Cause == "" && f.Package == "" }

// problem says why the enabler cannot be installed, and is empty where it can.
func (f Offer) problem() string {
	switch {
	case f.Cause != "":
		return f.Cause
	case f.none():
		return "no enabled repository offers it"
	case len(f.With) > 0:
		return fmt.Sprintf("installing %s would also change %s", f.Package, Named(f.With))
	}
	return ""
}

// problem says why the enabler cannot be removed, and is empty where it can.
func (r Removal) problem(enabler string) string {
	switch {
	case r.Cause != "":
		return r.Cause
	case len(r.With) > 0:
		return fmt.Sprintf("removing %s would also remove %s", enabler, Named(r.With))
	}
	return ""
}

// vendorSets0 tells whether a drop-in by which enablers act is there and says 0, read or masked. What a site packages itself may
// lie below /usr/local.
func (o Observed) vendorSets0() bool {
	return slices.ContainsFunc(o.Enabler.DropIns, func(name string) bool {
		return slices.ContainsFunc(sysctld.Dirs[2:], func(dir string) bool {
			f, there := o.Tree.Find(path.Join(dir, name))
			scope := bootScope(sysctld.Tree{f})
			return there && scope != nil && *scope == Classic
		})
	})
}

// overridden tells whether none of the drop-ins would be read, since an administrator has masked or overridden each by its name.
func overridden(tree sysctld.Tree, names []string) bool {
	return !slices.ContainsFunc(names, func(name string) bool {
		return !slices.ContainsFunc(sysctld.Dirs[:2], func(dir string) bool {
			_, there := tree.Find(path.Join(dir, name))
			return there
		})
	})
}

// maskable returns the names of the enabler's drop-ins that a link in /etc can mask. Where a file of that name lies in
// /etc or /run, it overrides the vendor's already and is not ours to replace.
func (o Observed) maskable() []string {
	var names []string
	for _, name := range o.Enabler.DropIns {
		overridden := slices.ContainsFunc(sysctld.Dirs[:2], func(dir string) bool {
			f, there := o.Tree.Find(dir + "/" + name)
			return there && !f.Mask
		})
		if !overridden {
			names = append(names, name)
		}
	}
	return names
}

// setRuntime aims the running kernel at a scope. A stricter value that somebody else has set is kept unless exact, and 3
// is there until the next boot. 2 and 3 are nobody's default, so under permissive and auto only 1 counts as loose.
func (t *target) setRuntime(scope Scope, d Desired, o Observed) {
	if !d.Runtime || o.Runtime == nil {
		return
	}
	now := *o.Runtime
	keep := now > scope && !d.Exact
	switch d.State {
	case StatePermissive:
		keep = false
	case StateAuto:
		keep = keep && now > Restricted && !o.setByUs(now)
	case StateRestricted:
	}
	switch {
	case keep:
		t.stricterKept = true
		t.warnings = append(t.warnings, fmt.Sprintf("the kernel holds %d, which is stricter than %d and kept; exact sets %d", now, scope, scope))
	case now == NoAttach && scope != NoAttach:
		t.reboot = true
		t.warnings = append(t.warnings, fmt.Sprintf("the kernel holds 3 until the next boot, which will bring %d", scope))
	default:
		t.runtime = &scope
		if scope == NoAttach && now != NoAttach {
			t.warnings = append(t.warnings, "scope 3 cannot be left without a reboot: no process can be traced until then, by root neither")
		}
	}
}

// setByUs tells whether a file of ours stands behind a value.
func (o Observed) setByUs(scope Scope) bool {
	for file := range o.Own {
		if f, ok := o.Tree.Find(file); ok {
			if own := bootScope(sysctld.Tree{f}); own != nil && *own == scope {
				return true
			}
		}
	}
	return false
}

// wins returns an error where a file of somebody else's keeps the next boot from what was decided.
func wins(t target, o Observed, tree sysctld.Tree) error {
	if t.decision.Scope == Classic && isClassic(tree, o.KernelDefault) {
		return nil
	}
	boot, named := tree.Boot()
	if set := scopeOf(boot, named); set != nil && *set == t.decision.Scope {
		return nil
	}
	if !named {
		if sameScope(o.KernelDefault, &t.decision.Scope) {
			return nil
		}
		return fmt.Errorf("nothing would set %s to %d at boot", Key, t.decision.Scope)
	}
	why := "it is another file's"
	if other, known := o.Others[boot.Path]; known && other.NotEditable != "" {
		why = other.NotEditable
	}
	return fmt.Errorf("%s sets %q and comes after ours, so the next boot would not set %d, and it cannot be commented out, since %s: "+
		"remove that line, or rename the file so that it sorts before %s", boot.Source(), Shown(boot.Value, valueShown), t.decision.Scope, why, DropIn)
}

// disagreement warns where the two loaders would set different values.
func disagreement(tree sysctld.Tree) []string {
	boot, atBoot := tree.Boot()
	reload, onReload := tree.Reload()
	if atBoot == onReload && boot.Value == reload.Value || boot.Path == sysctld.CommandLine && !onReload {
		return nil // the second one sets nothing, so what the kernel set stays
	}
	describe := func(s sysctld.Setting, ok bool) string {
		return either(ok, fmt.Sprintf("%s (%s)", Shown(s.Value, valueShown), s.Source()), "nothing")
	}
	return []string{fmt.Sprintf("the loaders disagree: the next boot sets %s, `sysctl --system` would set %s",
		describe(boot, atBoot), describe(reload, onReload))}
}

// withoutYama is the plan for a kernel that does not have the key: always empty, and an error where more was asked for.
func withoutYama(t target, d Desired, o Observed) (Plan, error) {
	plan := Plan{Decision: t.decision, Tree: o.Tree, Installed: o.Enabler.Installed}
	switch {
	case t.decision.Scope == Classic:
		plan.Warnings = []string{"this kernel has no Yama, so ptrace is classic and nothing needs to be done"}
	case d.IgnoreMissingYama:
		plan.Warnings = []string{"this kernel has no Yama, so it cannot restrict ptrace; nothing was changed"}
	default:
		return Plan{}, errors.New("restrict ptrace: this kernel has no Yama (/proc/sys/" + KeyPath + " does not exist): " +
			howToGetYama(o.LSMs) + ", or set yama_missing to ignore")
	}
	return plan, nil
}
