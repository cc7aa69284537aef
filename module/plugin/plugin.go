// SPDX-License-Identifier: GPL-3.0-or-later

// Package plugin is for those whose hosts have a package manager that the module does not know: a program of theirs
// implements Manager and calls Serve, and a task names it in backend_plugin. docs/plugins.md shows one.
package plugin

import (
	"context"
	"errors"

	"hardening.yama/module/plugin/internal/wire"
)

// Manager is a package manager. A question without an answer is an error, never an empty answer: what is not known is not
// absent. Each call's context ends when nobody waits for the answer any more, and carries the logger (hclog.FromContext).
// One call is made after the other.
type Manager interface {
	// Describe names the manager, and says why no package can be changed where that is so.
	Describe() Description
	// Installed returns those of the names that are installed.
	Installed(ctx context.Context, names []string) ([]Package, error)
	// Owners returns the package of each of the files that has one. The files are what a link leads to.
	Owners(ctx context.Context, files []string) ([]Owner, error)
	// Requirers returns for each of the packages the installed ones that require it, directly or not.
	Requirers(ctx context.Context, names []string) (map[string][]string, error)
	// Offer tells what installing the named package, or one that provides what is named, would install: ErrNotOffered where no
	// repository has it, another error where that cannot be told.
	Offer(ctx context.Context, name string) (Offer, error)
	// Removal tells what removing an installed package would take along.
	Removal(ctx context.Context, name string) (Removal, error)
	// Install installs a package, and Remove removes it: that one and no other. Whether it is done is asked of Installed.
	Install(ctx context.Context, name string) error
	Remove(ctx context.Context, name string) error
}

// What is asked about and answered.
type (
	// Host is what the packages belong to.
	Host = wire.Host
	// Description says what manager it is.
	Description = wire.Description
	// Package is an installed package.
	Package = wire.Package
	// Owner tells which package a file belongs to.
	Owner = wire.Owner
	// Offer is what an installation would install.
	Offer = wire.Offer
	// Removal is what a removal would mean.
	Removal = wire.Removal
)

// The errors that mean something to the module. Wrap them with what happened (%w); all others mean that it failed.
var (
	// ErrNotOffered: no repository has the package, and that is certain.
	ErrNotOffered = errors.New("no repository offers it")
	// ErrBusy: somebody else is using the manager. The module asks again until lock_timeout is over.
	ErrBusy = errors.New("another process is using the package manager")
)
