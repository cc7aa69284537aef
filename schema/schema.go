// SPDX-License-Identifier: GPL-3.0-or-later

// Package schema holds the contract of the modules: their options in Ansible's terms, and the
// catalog of distributions and debuggers. Both are written in YAML, and `make generate` makes
// tables.go from it: the program needs neither the texts for people nor a parser, and it has no
// time to lose before the package database is asked.
package schema

import (
	"errors"
	"slices"
	"sort"
)

// Option is one option of a module, as DOCUMENTATION describes it.
type Option struct {
	Name     string `yaml:"-"`
	Type     string `yaml:"type"`
	Elements string `yaml:"elements"`
	Required bool   `yaml:"required"`
	Default  any    `yaml:"default"`
	Choices  []any  `yaml:"choices"`
	// Suboptions are those of a dict.
	Suboptions []Option `yaml:"-"`
	// Description is in Ansible's markup, a paragraph each.
	Description []string `yaml:"description"`
}

// Module is one of the collection's modules.
type Module struct {
	Name string
	// Options are in the order of the contract.
	Options []Option
}

// The modules.
var (
	Scope = Module{Name: "ptrace_scope", Options: scopeOptions}
	Info  = Module{Name: "ptrace_scope_info", Options: infoOptions}
)

// Distribution tells what a distribution is known for.
type Distribution struct {
	Name  string   `yaml:"name"`
	IDs   []string `yaml:"ids"`
	Below int      `yaml:"below"`
	// KernelDefault is the value its kernels start with, nil where that is not known.
	KernelDefault *int     `yaml:"kernel_default"`
	Managers      []string `yaml:"managers"`
	Enablers      []string `yaml:"enablers"`
	// DropIns are the names of the drop-ins by which enablers set 0.
	DropIns []string `yaml:"drop_ins"`
}

// Kernel is a kernel that starts with a value of its own.
type Kernel struct {
	// Version is a text that only /proc/version of such a kernel has.
	Version string `yaml:"version"`
	Default int    `yaml:"default"`
}

// Debugger is a tool that attaches to processes it did not start. Its packages and programs are
// names or patterns.
type Debugger struct {
	Name     string   `yaml:"name"`
	Packages []string `yaml:"packages"`
	Programs []string `yaml:"programs"`
}

// Catalog is what is known about distributions and debuggers.
type Catalog struct {
	Distributions     []Distribution `yaml:"distributions"`
	Unknown           Distribution   `yaml:"unknown"`
	Kernels           []Kernel       `yaml:"kernels"`
	EnablerCapability string         `yaml:"enabler_capability"`
	Debuggers         []Debugger     `yaml:"debuggers"`
	// ProgramDirs are the directories of programs that no package brings. A * stands for the name
	// of a directory.
	ProgramDirs []string `yaml:"program_dirs"`
	// Companions are packages that come with a tool and are none. A pattern does not match them.
	Companions []string `yaml:"companions"`
	// IncidentalRequirers are packages that require a debugger for their own work. One that only
	// they require does not count.
	IncidentalRequirers []string `yaml:"incidental_requirers"`
	// Tracers are tools that trace only their own children, or who let them.
	Tracers  []string  `yaml:"tracers"`
	Auditors []Auditor `yaml:"auditors"`

	// ignored are names and patterns of debuggers, packages and programs that do not count.
	ignored []string
}

// Auditor is what a benchmark or a scanner accepts.
type Auditor struct {
	Name     string `yaml:"name"`
	Accepts  []int  `yaml:"accepts"`
	Explicit bool   `yaml:"explicit"`
}

// Known returns the catalog.
func Known() Catalog { return catalog }

// Complete fills in what an entry leaves out, and refuses what cannot be meant.
func (c *Catalog) Complete() error {
	for i := range c.Debuggers {
		d := &c.Debuggers[i]
		if d.Name == "" {
			return errors.New("a debugger has no name")
		}
		*d = d.complete()
	}
	return nil
}

// complete gives a debugger a package and a program of its own name where none is named.
func (d Debugger) complete() Debugger {
	if d.Packages == nil {
		d.Packages = []string{d.Name}
	}
	if d.Programs == nil {
		d.Programs = []string{d.Name}
	}
	return d
}

// Distribution returns the first entry that matches ID and VERSION_ID of os-release(5), or the
// unknown one. ID_LIKE does not count: a relative may have another kernel default and another
// enabler.
func (c Catalog) Distribution(id, versionID string) Distribution {
	version := leadingNumber(versionID)
	for _, d := range c.Distributions {
		if slices.Contains(d.IDs, id) && (d.Below == 0 || (version != 0 && version < d.Below)) {
			return d
		}
	}
	return c.Unknown
}

// leadingNumber returns the number a version begins with, 0 where it begins with none.
func leadingNumber(version string) int {
	n := 0
	for _, r := range version {
		if r < '0' || r > '9' || n > 1<<20 {
			break
		}
		n = n*10 + int(r-'0')
	}
	return n
}

// With returns the catalog with further debuggers, each a name or pattern of packages and of
// programs, and without those that ignore matches, by the name of the debugger, of a package or of
// a program.
func (c Catalog) With(debuggers, ignore []string) Catalog {
	c.ignored = ignore
	all := append([]Debugger{}, c.Debuggers...)
	for _, name := range debuggers {
		all = append(all, Debugger{Name: name, Packages: []string{name}, Programs: []string{name}})
	}
	c.Debuggers = nil
	ignored := NamesOf(ignore)
	for _, d := range all {
		if !ignored.Has(d.Name) {
			c.Debuggers = append(c.Debuggers, d)
		}
	}
	return c
}

// Names returns the sorted names of the packages that bring a debugger, and of the debuggers'
// programs. Patterns are among them that stand for too many names.
func (c Catalog) Names() (packages, programs []string) {
	for _, d := range c.Debuggers {
		packages = append(packages, d.Packages...)
		programs = append(programs, d.Programs...)
	}
	ignored := NamesOf(c.ignored)
	packages = standFor(packages, ignored)
	sort.Strings(packages)
	return packages, standFor(programs, ignored)
}

// TracerNames returns the names of tracers as Names does.
func (c *Catalog) TracerNames() []string { return standFor(c.Tracers, Names{}) }

// Counts reports whether a package or program that was found by one of the names counts. One that a
// pattern matches may be ignored, or be the documentation or a library of a tool.
func (c *Catalog) Counts(names Names, name string) bool {
	if slices.Contains(names.all, name) {
		return true
	}
	pattern := names.Pattern(name)
	if pattern == "" || c.Ignores(name) {
		return false
	}
	companions := NamesOf(c.Companions)
	return !companions.Has(name) || companions.Has(pattern)
}

// Ignores reports whether something is ignored by name or by a pattern.
func (c *Catalog) Ignores(name string) bool { return NamesOf(c.ignored).Has(name) }

// standFor returns the names that patterns stand for, without the ignored ones.
func standFor(patterns []string, ignored Names) []string {
	names := make([]string, 0, 4*len(patterns))
	for _, pattern := range patterns {
		names = expand(names, pattern)
	}
	return slices.DeleteFunc(names, ignored.Has)
}
