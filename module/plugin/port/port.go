// SPDX-License-Identifier: GPL-3.0-or-later

// Package port is the interface between the module and every package manager, built in or a site's
// own. It imports nothing: package plugin, which plugins are built with, has the same names and
// go-plugin besides.
package port

import (
	"context"
	"errors"
)

// Manager is a package manager. A question without an answer is an error, never an empty answer:
// unknown is not absent. The context of a call ends at its deadline, or when the run is asked to
// stop.
type Manager interface {
	// Describe names the manager, and says why no package can be changed where that is so.
	Describe() Description
	// Installed returns those of the names that are installed, in any order.
	Installed(ctx context.Context, names []string) ([]Package, error)
	// Owners returns the package of each of the files that has one. The files are never symbolic
	// links.
	Owners(ctx context.Context, files []string) ([]Owner, error)
	// Requirers returns for each of the packages the installed ones that require it, directly or
	// not.
	Requirers(ctx context.Context, names []string) (map[string][]string, error)
	// Offer returns what installing the named package, or one that provides the name, would
	// install. It returns ErrNotOffered if no repository has it, and another error if that is not
	// known.
	Offer(ctx context.Context, name string) (Offer, error)
	// Removal returns what removing an installed package would also remove. With an error, the
	// answer holds what is known nevertheless.
	Removal(ctx context.Context, name string) (Removal, error)
	// Install installs a package, and Remove removes it: that one and no other. The module then
	// calls Installed to find out whether it is done.
	Install(ctx context.Context, name string) error
	Remove(ctx context.Context, name string) error
}

// Host is the system that the packages belong to.
type Host struct {
	// Root is the directory of its tree, / for the running host.
	Root string
	// CheckMode: nothing may be written, not even to answer a question.
	CheckMode bool
}

// Description describes a package manager.
type Description struct {
	// Name is the manager's, as the report shows it.
	Name string
	// ReadOnly says why no package can be installed or removed here, "" where they can.
	ReadOnly string
}

// Package is an installed package.
type Package struct{ Name, Version string }

// Owner is the package that a file belongs to.
type Owner struct {
	File, Package string
	// Changed: the file has other content than the package's. It does not matter for files in
	// /usr/lib, which are the distribution's whatever they contain, and can be false for them.
	Changed bool
}

// Offer is what an installation would install.
type Offer struct {
	Package string
	// With are the names of all other packages that would be installed, changed or removed.
	With []string
}

// Removal is what a removal would do.
type Removal struct {
	// With are the names of all other packages that would be removed.
	With []string
	// UserInstalled: the user installed the package explicitly; it is not there only as a
	// dependency of another one. A manager that does not record this answers false.
	UserInstalled bool
	// Unknown: the manager records UserInstalled, and its record has no answer.
	Unknown bool
}

// The errors that mean something to the module. Wrap them with their cause (%w). All others mean
// that the call failed.
var (
	// ErrNotOffered: no repository has the package, and that is certain.
	ErrNotOffered = errors.New("no repository offers it")
	// ErrBusy: another process is using the package manager. The module asks again until
	// lock_timeout is over.
	ErrBusy = errors.New("another process is using the package manager")
)
