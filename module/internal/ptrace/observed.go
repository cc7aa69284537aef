// SPDX-License-Identifier: GPL-3.0-or-later

package ptrace

import (
	"path"
	"slices"

	"hardening.yama/module/internal/sysctld"
)

// The files of ours.
const (
	// DropIn sets a value that wins: numbered names lose to lettered ones, and to 99-sysctl.conf.
	DropIn = "/etc/sysctl.d/zz-ptrace_scope.conf"
	// Floor sets a value that the enabler's own drop-in (10-…) overrides.
	Floor = "/etc/sysctl.d/05-ptrace_scope.conf"
)

// OwnFiles are the paths of ours, in the order they are written.
var OwnFiles = []string{Floor, DropIn}

// Observed is what a host is like. Absent and unknown are different answers: a query that fails is
// an error of whoever observes, and never ends here as an empty field.
type Observed struct {
	// Runtime is the value in the running kernel, nil on one without Yama.
	Runtime *Scope
	// RuntimeUnknown says why the running kernel could not be asked, "" if it could.
	RuntimeUnknown string
	// Container names the container that this is, "" on a machine. The running value is its host's.
	Container string
	// LSMs are the kernel's security modules, asked where it has no Yama; nil where it does not
	// tell.
	LSMs []string
	// Tree is what both loaders read.
	Tree sysctld.Tree
	// Own holds the content of those of OwnFiles that exist.
	Own map[string]OwnFile
	// Leftovers are what a run that was killed left.
	Leftovers []Leftover
	// Packaged names the package for each drop-in outside /usr/lib that a package owns and nobody
	// changed.
	Packaged map[string]string
	// Others are the files of others that name the key, by their path in the tree.
	Others map[string]OtherFile
	// Unread are the files of the tree that an ordinary user may not read, who can only ask.
	Unread []string
	// Loaders are the host's.
	Loaders sysctld.Loaders
	// Boot is what is known of the next boot besides the files.
	Boot *Boot
	// Debuggers are the installed tools that attach to processes they did not start: packages
	// first, then programs.
	Debuggers []Debugger
	// Incidental are the installed packages that require debuggers for their own work, as debuggers
	// are described.
	Incidental []Debugger
	// Tracers are the installed packages that trace only their own children, or who let them.
	Tracers []string
	// KernelDefault is the value that the kernel starts with, nil if it is not known.
	KernelDefault *Scope
	// Repositories tells when it was last changed which repositories there are, empty where that is
	// not known.
	Repositories string
	Enabler      Enabler
}

// Boot is what is known of a boot.
type Boot struct {
	// Unknown says why it is not known what it sets, empty where it is.
	Unknown string
	// By names the files by which it is recognized.
	By string
	// UFW is the file that ufw has procps read after the boot's settings, empty where it reads
	// none.
	UFW string
	// Tmpfiles are the lines of tmpfiles.d that write the key, which are applied at boot as well.
	Tmpfiles []sysctld.Setting
}

// OwnFile is a file of ours as it lies on the disk.
type OwnFile struct {
	Content string
	// Sound is true for a file of root's that only root can write.
	Sound bool
}

// Leftover is a file that a run had not finished when it was killed.
type Leftover struct {
	Path string
	// Becomes is the name that it was to have next, empty where it is to go.
	Becomes string
}

// OtherFile is a file of others that names the key.
type OtherFile struct {
	Content string
	// Target is the file itself, where the path is a link.
	Target string
	// Link is what the path leads to, where it is a link that a mask may replace: the file there
	// sets nothing else.
	Link string
	// NotEditable says why it must not be edited, empty where it may be.
	NotEditable string
	// Original is where a copy of it lies, or will lie, as it was before the first edit.
	Original string
	// Edited: an earlier run commented lines out in it.
	Edited bool
}

// Debugger is an installed tool that attaches to processes it did not start.
type Debugger struct {
	// Name is the package's name, or the program's.
	Name string
	// Version is the package's, empty for a program.
	Version string
	// Path is the program's, empty for a package.
	Path string
	// Excused: it does not count, because only packages require it that need it for their own work.
	// Why says so.
	Excused bool
	Why     string
	// ExcuseKnown: it is known whether it is excused.
	ExcuseKnown bool
}

// Questionable reports whether it is not known yet if any debugger counts. A program that no
// package brought does.
func (o Observed) Questionable() bool {
	if o.Incidental == nil || o.Debuggers == nil {
		return false
	}
	last := o.Debuggers[len(o.Debuggers)-1]
	return last.Path == "" && !last.ExcuseKnown
}

// Enabler is what is known of the package whose drop-in sets 0.
type Enabler struct {
	// Manager is the package manager's name, None where packages are left alone on this host.
	Manager string
	// ReadOnly says why no package can be installed or removed here, empty where they can.
	ReadOnly string
	// Candidates are the names the package may have here, none where the distribution has no such
	// package.
	Candidates []string
	// DropIns are the names of the drop-ins that such packages carry.
	DropIns []string
	// Installed is the name of the installed one, empty where none is.
	Installed string
	// Offer and Removal are the package manager's answers, nil until asked for: it takes seconds to
	// start.
	Offer   *Offer
	Removal *Removal
}

// None is the name of the package manager on a host where packages are left alone.
const None = "none"

// Offer is what the repositories say about the enabler.
type Offer struct {
	// Package is what they offer, empty where they offer none.
	Package string
	// With are other packages that installing it would change.
	With []string
	// Cause says why the question has no answer.
	Cause string
}

// Removal is what removing the installed enabler would mean.
type Removal struct {
	// With are other packages that would go along.
	With []string
	// UserInstalled: the user installed it explicitly.
	UserInstalled bool
	// Unknown: the manager does not record whether the user installed it.
	Unknown bool
	// Cause says why the question has no answer.
	Cause string
}

// managed tells whether the host has, or could have, an enabler that we may install and remove.
func (e Enabler) managed() bool { return e.Manager != None && len(e.Candidates) > 0 }

// scopeOf returns the scope a setting stands for, nil where there is none or the kernel would
// refuse the value.
func scopeOf(s sysctld.Setting, ok bool) *Scope {
	n, accepted := sysctld.Number(s.Value)
	if scope := Scope(n); ok && accepted {
		return &scope
	}
	return nil
}

// read returns a file as the loaders read it.
func read(file, content string) sysctld.File {
	return sysctld.Loaders{}.Read(file, []byte(content), KeyPath)
}

// bootScope returns what the next boot sets, nil where nothing names the key or the value is
// refused.
func bootScope(tree sysctld.Tree) *Scope { return scopeOf(tree.Boot()) }

// withoutOurs returns the tree as it would be if this module had never run.
func (o Observed) withoutOurs() sysctld.Tree {
	ours := slices.Clone(OwnFiles)
	for _, name := range o.ourMasks() {
		ours = append(ours, maskPath(name))
	}
	return o.Tree.Without(ours...)
}

// local tells whether a file is the administrator's.
func (o Observed) local(file string) bool { return o.OriginOf(file) == Local }

// maskPath returns where a drop-in of that name is masked.
func maskPath(name string) string { return path.Join(sysctld.Dirs[0], name) }

// vendorPath returns where a distribution's drop-in of that name lies.
func vendorPath(name string) string { return path.Join(sysctld.VendorDir, name) }

// masked tells whether a file in /etc or /run keeps the vendor's drop-in of that name from being
// read.
func (o Observed) masked(name string) bool { return o.maskedNames()[name] }

// maskedNames are those for which masked is true.
func (o Observed) maskedNames() map[string]bool {
	names := map[string]bool{}
	for _, f := range o.Tree {
		if f.Mask && slices.Contains(sysctld.Dirs[:2], path.Dir(f.Path)) {
			names[path.Base(f.Path)] = true
		}
	}
	return names
}

// ourMasks returns the names of the existing masks that a file of ours claims.
func (o Observed) ourMasks() []string {
	claimed := map[string]bool{}
	for _, own := range o.Own {
		for _, name := range claims(own.Content) {
			claimed[name] = true
		}
	}
	if len(claimed) == 0 {
		return nil
	}
	var names []string
	for _, f := range o.Tree {
		if name := path.Base(f.Path); f.Mask && claimed[name] && f.Path == maskPath(name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// hasNote reports whether a file that was written for a state, and by nobody but us, has a note.
func (o Observed) hasNote(state State, n note) bool {
	for _, own := range o.Own {
		if own.Sound && notes(own.Content, state, n) {
			return true
		}
	}
	return false
}

// maskedBy tells whether there is a mask of ours that a file claims which was written for a state.
func (o Observed) maskedBy(state State) bool {
	masked := o.maskedNames()
	for _, own := range o.Own {
		if writtenFor(own.Content, state) &&
			slices.ContainsFunc(claims(own.Content), func(name string) bool { return masked[name] }) {
			return true
		}
	}
	return false
}

// Failed notes that the package manager could not do what it was asked to, as the answer to the
// question whether it can.
func (e *Enabler) Failed(a Action, cause error) {
	if a.After != nil {
		e.Offer = &Offer{Package: a.Object, Cause: cause.Error()}
	} else {
		e.Removal = &Removal{Cause: cause.Error()}
	}
}

// Keep takes over those of earlier answers that are still about the same package.
func (e *Enabler) Keep(last Enabler) {
	if e.Installed == last.Installed {
		e.Offer, e.Removal = last.Offer, last.Removal
	}
}
