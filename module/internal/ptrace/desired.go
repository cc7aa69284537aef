// SPDX-License-Identifier: GPL-3.0-or-later

package ptrace

import "time"

// State is what the user asks.
type State string

// The states.
const (
	StateAuto       State = "auto"
	StateRestricted State = "restricted"
	StatePermissive State = "permissive"
)

// Packages says how far the package manager may be used.
type Packages string

// The policies for packages.
const (
	// PackagesAuto uses the enabler where it can be had and falls back with a warning.
	PackagesAuto Packages = "auto"
	// PackagesManage fails where PackagesAuto would fall back.
	PackagesManage Packages = "manage"
	// PackagesIgnore never installs or removes a package.
	PackagesIgnore Packages = "ignore"
)

// Conflicts says what to do about settings of others that get in the way.
type Conflicts string

// The policies for conflicts.
const (
	// ConflictsResolve comments an administrator's line out, and masks a distribution's file by
	// name.
	ConflictsResolve Conflicts = "resolve"
	// ConflictsReport leaves them and warns.
	ConflictsReport Conflicts = "report"
	// ConflictsFail fails before anything is done.
	ConflictsFail Conflicts = "fail"
)

// Desired is what a run is asked for: the options of the module, checked.
type Desired struct {
	State           State
	RestrictedScope Scope
	Exact           bool
	Packages        Packages
	Debuggers       []string
	IgnoreDebuggers []string
	Conflicts       Conflicts
	Persistent      bool
	Runtime         bool
	Reason          string
	// ProveByAttach is the option verify set to attach.
	ProveByAttach bool
	// IgnoreMissingYama is the option yama_missing set to ignore.
	IgnoreMissingYama bool
	LockTimeout       time.Duration
	// Root is where the tree lies that is meant, / for the running host.
	Root string
	// Backend is the package manager to use, "" for the distribution's own.
	Backend string
}
