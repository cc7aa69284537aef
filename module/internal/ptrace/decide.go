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

// Decide returns the plan that makes a host as desired. Where that hangs on an answer of the
// package manager it returns the question instead: observe the answer and decide again. An error
// means that the state cannot be had on this host; its text says why and what to do.
func Decide(d Desired, o Observed) (Plan, Question, error) {
	aimFor := map[State]func(Desired, Observed) (aim, Question, error){
		StateAuto:       aimAuto,
		StateRestricted: aimRestricted,
		StatePermissive: aimPermissive,
	}[d.State]
	if d.Runtime && o.RuntimeUnknown != "" {
		return Plan{}, NoQuestion, errors.New(o.notAsked() + ": mount /proc, or use runtime=false")
	}
	noYama := o.Runtime == nil && d.Runtime
	if noYama {
		d.Persistent = false // nothing will be done, so nothing needs to be asked
	}
	t, question, err := aimFor(d, o)
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
	if d.Runtime {
		plan.Warnings = append(plan.Warnings, o.containerCaution()...)
	}
	if d.Persistent {
		plan.Warnings = append(plan.Warnings, o.unreadCaution()...)
		plan.Warnings = append(plan.Warnings, o.bootCautions(plan.Tree, &t.decision.Scope)...)
	}
	return plan, NoQuestion, nil
}

// aimRestricted is explicit and immune: a plain line in a file that wins, and an enabler that is
// gone or masked.
func aimRestricted(d Desired, o Observed) (aim, Question, error) {
	scope := d.RestrictedScope
	t := aim{
		decision:       Decision{scope, "state=restricted, restricted_scope=" + scope.String()},
		fileBecause:    "state=restricted writes its own line, in a file that overrides all others at boot",
		packageBecause: "its drop-in sets 0",
	}
	if boot, set := o.stricter(scope); set != nil && !d.Exact {
		scope, t.stricterKept = *set, true
		if !slices.Contains(OwnFiles, boot.Path) {
			t.notes = append(t.notes, strictNote)
		}
		t.decision = Decision{scope,
			fmt.Sprintf("%s sets %d, which is stricter than restricted_scope=%d, and exact=false keeps it",
				boot.Source(), scope, d.RestrictedScope)}
	}
	t.dropIn = &scope
	t.setRuntime(scope, d, o)
	if o.Enabler.managed() || o.vendorSets0() {
		t.masks = o.maskable()
	}
	question, err := t.removeEnabler(d, o)
	return t, question, err
}

// stricter returns the setting that the next boot applies, and its value, if it is stricter than a
// scope. A file of others comes first. The file of ours counts only with a value that a user asked
// for: one that it took over from a file of others goes with that file.
func (o Observed) stricter(scope Scope) (sysctld.Setting, *Scope) {
	trees := []sysctld.Tree{o.withoutOurs(), o.Tree}
	if o.hasNote(StateRestricted, strictNote) {
		trees = trees[:1]
	}
	for _, tree := range trees {
		boot, ok := tree.Boot()
		if set := scopeOf(boot, ok); set != nil && *set > scope {
			return boot, set
		}
	}
	return sysctld.Setting{}, nil
}

// aimPermissive aims at 0 the distribution's own way, or with a drop-in if there is none.
func aimPermissive(d Desired, o Observed) (aim, Question, error) {
	t := aim{
		decision:       Decision{Classic, "state=permissive"},
		fileBecause:    "state=permissive leaves the value to the distribution's own drop-in",
		packageBecause: "the distribution sets 0 with this package",
	}
	question, err := t.permit(d, o, o.withoutOurs())
	return t, question, err
}

// aimAuto is the Change's policy, under an administrator's own setting.
func aimAuto(d Desired, o Observed) (aim, Question, error) {
	base := o.withoutOurs()
	if t, ok := respectLocal(base, d, o); ok {
		return t, NoQuestion, nil
	}
	t := aim{fileBecause: "state=auto leaves the value to the distribution's own files"}
	scope := d.RestrictedScope
	if o.Enabler.managed() {
		t.floor = &scope
		t.fileBecause = "state=auto sets a value that the enabler's drop-in overrides, so that an installed debugger works at once"
		base = base.With(lineFile(Floor, scope))
	}
	if e := o.Enabler; e.Installed != "" && o.hasNote(StateAuto, installedNote(e.Installed)) {
		t.notes = append(t.notes, installedNote(e.Installed))
	}
	if o.Questionable() {
		return t, AskRequirers, nil
	}
	if counting := versions(o.Debuggers, false); counting != "" {
		t.decision = Decision{Classic, "a debugger is installed: " + counting}
		t.packageBecause = "state=auto installs it while a debugger is installed"
		question, err := t.permit(d, o, base)
		return t, question, err
	}
	none := o.noDebugger()
	if wished, known := o.wish(); wished {
		t.decision = Decision{Classic, none + ", but the user installed " + o.Enabler.Installed}
		if known {
			t.notes = append(t.notes, askedNote(o.Enabler.Installed))
		} else {
			t.decision.Because = none + ", but the user may have installed " + o.Enabler.Installed
			t.warnings = []string{fmt.Sprintf("%s stays installed: %s does not record whether the user installed it%s",
				o.Enabler.Installed, o.Enabler.Manager, prefixed(": ", o.Enabler.Removal.Cause))}
			d.Runtime = false // nor is anything loosened for that
		}
		question, err := t.permit(d, o, base)
		return t, question, err
	}
	t.decision = Decision{scope, none}
	t.packageBecause = "state=auto removes it while no debugger is installed"
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
		t.fileBecause = fmt.Sprintf("no other file sets %d at boot", scope)
	}
	return t, NoQuestion, nil
}

// wish reports whether the user installed the enabler, and whether that is known. If it is not
// known, an enabler that sets 0 counts as installed by the user. An enabler that auto itself has
// masked does not: a removal that was ended can leave a wrong record in the package manager.
func (o Observed) wish() (wished, known bool) {
	e := o.Enabler
	switch r := e.Removal; {
	case e.Installed == "" || o.maskedBy(StateAuto):
		return false, true
	case r == nil:
		return o.hasNote(StateAuto, askedNote(e.Installed)), true
	case r.Unknown:
		acts := o.vendorSets0() && !slices.ContainsFunc(e.DropIns, o.masked)
		return acts && !o.hasNote(StateAuto, installedNote(e.Installed)), false
	default:
		return r.UserInstalled, true
	}
}

// prefixed returns a text with a prefix, "" for an empty text.
func prefixed(before, text string) string { return textIf(text == "", "", before+text) }

// noDebugger says that no debugger counts, and names those that are installed all the same.
func (o Observed) noDebugger() string {
	if o.Debuggers == nil {
		return "no debugger is installed"
	}
	return "no debugger counts: only " + versions(o.Incidental, false) + " requires " + versions(o.Debuggers, true)
}

// versions names those debuggers that are excused, or those that are not.
func versions(debuggers []Debugger, excused bool) string {
	var names []string
	for _, d := range debuggers {
		if d.Excused == excused {
			names = append(names, strings.TrimSpace(textIf(d.Path == "", d.Name+" "+d.Version, d.Path)))
		}
	}
	return strings.Join(names, ", ")
}

// respectLocal returns the aim where an administrator's own setting or mask decides what the next
// boot sets.
func respectLocal(base sysctld.Tree, d Desired, o Observed) (aim, bool) {
	const left = "state=auto respects the administrator's setting"
	if boot, ok := base.Boot(); ok && o.local(boot.Path) {
		scope := scopeOf(boot, ok)
		if scope == nil {
			return aim{}, false // the kernel refuses it, so it sets nothing
		}
		t := aim{
			decision: Decision{*scope,
				fmt.Sprintf("%s sets %d, which is the administrator's setting", boot.Source(), *scope)},
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
			t := aim{
				decision:    Decision{scope, fmt.Sprintf("the administrator has masked %s", name)},
				floor:       &scope,
				fileBecause: "the distribution's file is masked by the administrator, so this file sets the value",
			}
			t.setRuntime(scope, d, o)
			return t, true
		}
	}
	return aim{}, false
}

// permit aims at 0 on top of a base tree: as it is, with the enabler, or with a drop-in.
func (t *aim) permit(d Desired, o Observed, base sysctld.Tree) (Question, error) {
	t.setRuntime(Classic, d, o)
	if !d.Persistent {
		return NoQuestion, nil
	}
	manage := d.Packages == PackagesManage
	switch {
	case isClassic(base, o.KernelDefault), o.Enabler.Installed != "", d.Packages == PackagesIgnore:
	case o.Enabler.managed() && (manage || !overridden(base, o.Enabler.DropIns)):
		offer, unoffered := o.Enabler.Offer, notOfferedNote(o.Repositories)
		if offer == nil && !manage && o.hasNote(d.State, unoffered) {
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
			t.install, t.notesBefore = offer.Package, t.notes
			if t.floor != nil {
				t.notes = append(t.notes, installedNote(offer.Package))
			}
			base = withEnabler(base, o.Enabler)
		case manage:
			return NoQuestion,
				fmt.Errorf("cannot install the enabler: %s (packages=manage; packages=auto would write a drop-in instead)", problem)
		default:
			t.warnings = append(t.warnings, fmt.Sprintf("cannot install %s (%s): a drop-in sets 0 instead",
				textIf(offer.Package == "", o.Enabler.Candidates[0], offer.Package), problem))
		}
	case manage:
		return NoQuestion, errors.New("cannot install the enabler: no such package is known for this distribution " +
			"(packages=manage; packages=auto would write a drop-in instead)")
	}
	// The setting that ours was needed against may have been commented out since.
	_, named := base.Boot()
	stays := !named && d.State == StatePermissive && writtenFor(o.Own[DropIn].Content, d.State)
	if stays || !isClassic(base, o.KernelDefault) {
		zero := Classic
		t.dropIn = &zero
		t.fileBecause = "no other file sets 0 at boot"
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

// removeEnabler aims at an enabler that does not act: removed where that takes nothing else along,
// masked otherwise. That others require it was asked once and is noted in our file; nothing is
// asked then. Of one that an upgrade has left behind, which is not the distribution's own any more,
// that may have changed.
func (t *aim) removeEnabler(d Desired, o Observed) (Question, error) {
	e := o.Enabler
	if e.Installed == "" || !d.Persistent || d.Packages == PackagesIgnore {
		return NoQuestion, nil
	}
	manage := d.Packages == PackagesManage
	if e.Removal == nil {
		switch {
		case !manage && e.Installed == e.Candidates[0] && o.hasNote(d.State, requiredNote(e.Installed)):
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
		return NoQuestion,
			fmt.Errorf("cannot remove the enabler: %s (packages=manage; packages=auto would mask its drop-in instead)",
				problem)
	default:
		t.warnings = append(t.warnings,
			fmt.Sprintf("%s stays installed and its drop-in is masked: %s", e.Installed, problem))
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
		return "no enabled repository has it"
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

// vendorSets0 tells whether a drop-in by which enablers act is there and says 0, read or masked.
// The drop-in of a site's own package may lie below /usr/local.
func (o Observed) vendorSets0() bool {
	return slices.ContainsFunc(o.Enabler.DropIns, func(name string) bool {
		return slices.ContainsFunc(sysctld.Dirs[2:], func(dir string) bool {
			f, there := o.Tree.Find(path.Join(dir, name))
			scope := bootScope(sysctld.Tree{f})
			return there && scope != nil && *scope == Classic
		})
	})
}

// overridden tells whether none of the drop-ins would be read, since an administrator has masked or
// overridden each by its name.
func overridden(tree sysctld.Tree, names []string) bool {
	return !slices.ContainsFunc(names, func(name string) bool {
		return !slices.ContainsFunc(sysctld.Dirs[:2], func(dir string) bool {
			_, there := tree.Find(path.Join(dir, name))
			return there
		})
	})
}

// maskable returns the names of the enabler's drop-ins that a link in /etc can mask. Where a file
// of that name lies in /etc or /run, it overrides the vendor's already and is not ours to replace.
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

// setRuntime aims the running kernel at a scope. A stricter value that somebody else has set is
// kept unless exact, and 3 is there until the next boot. 2 and 3 are nobody's default, so under
// permissive and auto only 1 counts as loose.
func (t *aim) setRuntime(scope Scope, d Desired, o Observed) {
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
		keep = keep && (!o.setByUs(now) || !o.hasNote(StateRestricted, strictNote))
	}
	switch {
	case now == NoAttach && scope != NoAttach:
		t.reboot, t.stricterKept = true, t.stricterKept || keep
		t.warnings = append(t.warnings,
			fmt.Sprintf("the running value stays 3 until the next boot, which sets %d", scope))
	case keep:
		t.stricterKept = true
		t.warnings = append(t.warnings,
			fmt.Sprintf("the running value %d is stricter than %d and is kept (exact=true would set %d)", now, scope,
				scope))
	default:
		t.runtime = &scope
		if scope == NoAttach && now != NoAttach {
			t.warnings = append(t.warnings,
				"scope 3 can only be undone by a reboot: until then no process can be traced, not even by root")
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
func wins(t aim, o Observed, tree sysctld.Tree) error {
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
		return fmt.Errorf("no file would set %s to %d at boot", Key, t.decision.Scope)
	}
	why := "it is in no file of sysctl.d"
	if other, known := o.Others[boot.Path]; known && other.NotEditable != "" {
		why = other.NotEditable
	}
	return fmt.Errorf("%s sets %q and overrides our drop-in, so the next boot would not set %d. "+
		"It cannot be commented out, because %s: %s", boot.Source(), Shown(boot.Value, valueShown), t.decision.Scope,
		why, o.remedy(boot.Path))
}

// remedy says what an administrator can do about a line that overrides our drop-in.
func (o Observed) remedy(file string) string {
	switch {
	case file == o.Boot.UFW:
		return "remove that line"
	case o.Loaders.Boot != sysctld.Systemd:
		return "remove that line (the boot is known by " + o.Boot.By + ")"
	case o.OriginOf(file) == Vendor && sysctld.Vendors(file):
		return "copy the file to " + sysctld.Dirs[0] + " under its own name, without that line"
	}
	return "remove that line, or rename the file so that it sorts before " + DropIn
}

// bootCautions warns of what a boot does besides, or may do, where it does not set the scope that
// is wanted, if any is.
func (o Observed) bootCautions(tree sysctld.Tree, wanted *Scope) (cautions []string) {
	switch {
	case o.Boot.Unknown != "":
		cautions = append(cautions, "the value after the next boot is not known: "+o.Boot.Unknown)
	case o.Loaders.Boot != sysctld.Alpine: // busybox has no `sysctl --system`
		cautions = disagreement(tree)
	}
	for _, s := range o.Boot.Tmpfiles {
		if wanted == nil || !sameScope(scopeOf(s, true), wanted) {
			cautions = append(cautions,
				fmt.Sprintf("%s writes %q when systemd-tmpfiles runs, at boot and after upgrades: change it there",
					s.Source(), Shown(s.Value, valueShown)))
		}
	}
	return cautions
}

// disagreement warns where the two loaders would set different values.
func disagreement(tree sysctld.Tree) []string {
	boot, atBoot := tree.Boot()
	reload, onReload := tree.Reload()
	if atBoot == onReload && boot.Value == reload.Value || boot.Path == sysctld.CommandLine && !onReload {
		return nil // the second one sets nothing, so what the kernel set stays
	}
	describe := func(s sysctld.Setting, ok bool) string {
		return textIf(ok, fmt.Sprintf("%s (%s)", Shown(s.Value, valueShown), s.Source()), "nothing")
	}
	return []string{fmt.Sprintf("the loaders disagree: the next boot sets %s, `sysctl --system` would set %s",
		describe(boot, atBoot), describe(reload, onReload))}
}

// withoutYama is the plan for a kernel that does not have the key: always empty, and an error where
// more was asked for.
func withoutYama(t aim, d Desired, o Observed) (Plan, error) {
	plan := Plan{Decision: t.decision, Tree: o.Tree, Installed: o.Enabler.Installed}
	switch {
	case t.decision.Scope == Classic:
		plan.Warnings = []string{"this kernel has no Yama, so ptrace is not restricted, and nothing needs to be done"}
	case d.IgnoreMissingYama:
		plan.Warnings = []string{"this kernel has no Yama, so it cannot restrict ptrace; nothing was changed"}
	default:
		return Plan{},
			errors.New("restrict ptrace: this kernel has no Yama (/proc/sys/" + KeyPath + " does not exist): " +
				howToGetYama(o.LSMs) + ", or use yama_missing=ignore")
	}
	return plan, nil
}
