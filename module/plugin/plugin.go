// SPDX-License-Identifier: GPL-3.0-or-later

// Package plugin is the SDK for package managers that the module does not know: a program
// implements Manager and calls Serve, and a task names it in backend_plugin. docs/plugins.md shows
// one.
package plugin

import "hardening.yama/module/plugin/port"

// The interface and its types. Serve makes one call after the other, and the context of each
// carries the logger (hclog.FromContext).
type (
	// Manager is a package manager.
	Manager = port.Manager
	// Host is the system that the packages belong to.
	Host = port.Host
	// Description describes a package manager.
	Description = port.Description
	// Package is an installed package.
	Package = port.Package
	// Owner is the package that a file belongs to.
	Owner = port.Owner
	// Offer is what an installation would install.
	Offer = port.Offer
	// Removal is what a removal would do.
	Removal = port.Removal
)

// The errors that mean something to the module. Wrap them with their cause (%w). All others mean
// that the call failed.
var (
	// ErrNotOffered: no repository has the package, and that is certain.
	ErrNotOffered = port.ErrNotOffered
	// ErrBusy: another process is using the package manager. The module asks again until
	// lock_timeout is over.
	ErrBusy = port.ErrBusy
)
