// SPDX-License-Identifier: GPL-3.0-or-later

package ptrace

import (
	"fmt"
	"path"

	"hardening.yama/module/internal/sysctld"
)

// Kind is the kind of thing an action changes.
type Kind int

// The kinds.
const (
	// File is a file of ours; Before and After are its content.
	File Kind = iota
	// Litter is a Leftover. After is its next name, nil where it goes.
	Litter
	// Mask is a link to /dev/null; Before and After are its target.
	Mask
	// Comment is somebody else's file in which lines are commented out; Before and After are its
	// content.
	Comment
	// Package is an installed package; Before and After are its name.
	Package
	// Value is the value in the running kernel, in decimal.
	Value
)

// String returns the kind's name.
func (k Kind) String() string {
	return [...]string{"file", "leftover", "mask", "comment", "package", "value"}[k]
}

// DoneNevertheless says that an action took effect although whoever carried it out failed, or was
// ended.
type DoneNevertheless struct{ Cause error }

func (e *DoneNevertheless) Error() string { return e.Cause.Error() }

// Unwrap returns the failure.
func (e *DoneNevertheless) Unwrap() error { return e.Cause }

// Action is one step of a plan: an object goes from Before to After. Nil means that it does not
// exist.
type Action struct {
	Kind          Kind
	Object        string
	Before, After *string
	// Because says why in words.
	Because string
}

// Verb names the action as the report does.
func (a Action) Verb() string {
	gone := a.After == nil
	switch a.Kind {
	case Mask:
		return textIf(gone, "unmask", "mask")
	case Comment:
		return "comment"
	case Package:
		return textIf(gone, "uninstall", "install")
	case Value:
		return "set"
	case File, Litter:
	}
	return textIf(gone, "remove", "write")
}

func textIf(condition bool, yes, no string) string {
	if condition {
		return yes
	}
	return no
}

// Inverse returns the action that takes it back.
func (a Action) Inverse() Action {
	a.Before, a.After = a.After, a.Before
	return a
}

// Question is what a decision hangs on and only the package manager can answer.
type Question int

// The questions.
const (
	// NoQuestion: the plan is complete.
	NoQuestion Question = iota
	// AskOffer asks for Enabler.Offer.
	AskOffer
	// AskRemoval asks for Enabler.Removal.
	AskRemoval
	// AskRequirers asks which debuggers are excused.
	AskRequirers
)

// Decision is the scope a host should have, and why.
type Decision struct {
	Scope   Scope
	Because string
}

// Plan is what to do. An empty list of actions means that the host is as it should be.
type Plan struct {
	Decision Decision
	Actions  []Action
	Warnings []string
	// StricterKept: a stricter value than the one asked for was found and kept.
	StricterKept bool
	// RebootRequired: the kernel holds 3, which only a reboot leaves.
	RebootRequired bool
	// Carrier is the file of ours that carries the value, empty where the state needs none.
	Carrier string
	// Runtime, Tree and Installed are what will be observed once all actions are done.
	Runtime   *Scope
	Tree      sysctld.Tree
	Installed string
}

// aim is what a host should look like.
type aim struct {
	decision       Decision
	dropIn, floor  *Scope   // the value in the file of ours; nil: no such file
	masks          []string // names of the enabler's drop-ins to mask
	install        string   // package to install
	uninstall      string   // package to remove
	notes          []note   // what need not be asked again
	notesBefore    []note   // notes, without those of an installation
	packageBecause string
	fileBecause    string
	runtime        *Scope // nil: leave it
	respect        bool   // the next boot's value is the administrator's, whatever it is
	stricterKept   bool
	reboot         bool
	warnings       []string
}

// planFor returns the actions that lead from what was observed to the aim, in an order in which a
// killed run leaves nothing the next one cannot repair: a mask is claimed by a file of ours before
// it exists, and the claim outlives it.
func planFor(t aim, d Desired, o Observed) (Plan, error) {
	p := Plan{
		Decision: t.decision, StricterKept: t.stricterKept, RebootRequired: t.reboot, Warnings: t.warnings,
		Runtime: o.Runtime, Tree: o.Tree, Installed: o.Enabler.Installed,
	}
	if d.Persistent {
		t.outrank(d, o)
		afterInstall := p.files(t, d, o)
		p.packages(t, o)
		p.Actions = append(p.Actions, afterInstall...)
		if err := p.settle(t, d, o); err != nil {
			return Plan{}, err
		}
	}
	if t.runtime != nil && o.Runtime != nil && *t.runtime != *o.Runtime {
		p.add(Action{
			Kind: Value, Object: Key, Before: text(o.Runtime.String()), After: text(t.runtime.String()),
			Because: fmt.Sprintf("the running value is %d, wanted is %d", *o.Runtime, *t.runtime),
		})
		p.Runtime = t.runtime
	}
	return p, nil
}

func (p *Plan) add(a Action) { p.Actions = append(p.Actions, a) }

func text(s string) *string { return &s }

// files plans masks and the files of ours. It returns the actions that wait for an installation: a
// drop-in of ours goes only once the package is there, and a file of ours tells of an installation
// only afterwards. So an installation that fails again and again changes nothing.
func (p *Plan) files(t aim, d Desired, o Observed) (afterInstall []Action) {
	for _, leftover := range o.Leftovers {
		a := Action{Kind: Litter, Object: leftover.Path, Before: text(leftover.Path),
			Because: "an earlier run that was killed left it"}
		if leftover.Becomes != "" {
			a.Object, a.After = leftover.Becomes, text(leftover.Becomes)
		}
		p.add(a)
	}
	masked, ours, stays := o.maskedNames(), map[string]bool{}, map[string]bool{}
	for _, name := range t.masks {
		stays[name] = true
	}
	var gone []string
	for _, name := range o.ourMasks() {
		if ours[name] = true; !stays[name] {
			p.add(Action{Kind: Mask, Object: maskPath(name), Before: text("/dev/null"), Because: t.fileBecause})
			gone = append(gone, maskPath(name))
		}
	}
	p.Tree = p.Tree.Without(gone...)
	// A mask that was there before us is the administrator's: it stays, and it is not claimed.
	var claimed, create []string
	for _, name := range t.masks {
		switch {
		case ours[name]:
			claimed = append(claimed, name)
		case !masked[name]:
			claimed, create = append(claimed, name), append(create, name)
		}
	}
	wanted := map[string]*Scope{Floor: t.floor, DropIn: t.dropIn}
	var unwanted []Action
	for _, file := range OwnFiles {
		own, exists := o.Own[file]
		scope := wanted[file]
		action := Action{Kind: File, Object: file, Because: t.fileBecause}
		if exists {
			action.Before = text(own.Content)
		}
		if scope == nil {
			if exists {
				unwanted = append(unwanted, action)
			}
			continue
		}
		p.Carrier = file
		content := render(d.State, *scope, d.Reason, claimed, t.notes)
		action.After = text(content)
		switch {
		case exists && own.Content == content && own.Sound:
		case exists && own.Sound && t.install != "" &&
			own.Content == render(d.State, *scope, d.Reason, claimed, t.notesBefore):
			afterInstall = append(afterInstall, action)
		default:
			p.add(action)
		}
		p.Tree = p.Tree.With(read(file, content))
	}
	masks := make([]sysctld.File, 0, len(create))
	for _, name := range create {
		p.add(Action{
			Kind: Mask, Object: maskPath(name), After: text("/dev/null"),
			Because: "its package sets 0 again at each install and upgrade, whatever a later drop-in says",
		})
		masks = append(masks, sysctld.Loaders{}.Empty(maskPath(name)))
	}
	p.Tree = p.Tree.With(masks...)
	for _, action := range unwanted {
		p.Tree = p.Tree.Without(action.Object)
	}
	if t.install != "" {
		return append(afterInstall, unwanted...)
	}
	p.Actions = append(p.Actions, unwanted...)
	return nil
}

// packages plans the enabler.
func (p *Plan) packages(t aim, o Observed) {
	switch {
	case t.install != "":
		p.add(Action{Kind: Package, Object: t.install, After: text(t.install), Because: t.packageBecause})
		p.Installed = t.install
		p.Tree = withEnabler(p.Tree, o.Enabler)
	case t.uninstall != "":
		p.add(Action{Kind: Package, Object: t.uninstall, Before: text(t.uninstall), Because: t.packageBecause})
		p.Installed = ""
		p.Tree = withoutEnabler(p.Tree, o.Enabler)
	}
}

// withEnabler returns the tree as it is expected once the enabler is installed.
func withEnabler(tree sysctld.Tree, e Enabler) sysctld.Tree {
	return tree.With(lineFile(vendorPath(e.DropIns[0]), Classic))
}

// withoutEnabler returns the tree as it is once the enabler is gone.
func withoutEnabler(tree sysctld.Tree, e Enabler) sysctld.Tree {
	files := make([]string, 0, len(e.DropIns)*len(sysctld.Dirs))
	for _, name := range e.DropIns {
		for _, dir := range sysctld.Dirs[2:] { // those that are not the administrator's
			files = append(files, path.Join(dir, name))
		}
	}
	return tree.Without(files...)
}

// lineFile is a file of one line, as the loaders see it.
func lineFile(path string, scope Scope) sysctld.File {
	return read(path, Key+" = "+scope.String()+"\n")
}
