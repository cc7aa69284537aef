// SPDX-License-Identifier: GPL-3.0-or-later

// Package schema holds the contract of the modules: their options in Ansible's terms, and the catalogue of distributions and
// debuggers. Both are written in YAML, and `make generate` makes tables.go from it: the program needs neither the texts for
// people nor a parser, and it has no time to lose before the package database is asked.
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

// Debugger is a tool that attaches to processes it did not start.
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
	// Tracers are tools that trace only their own children, or who let them.
	Tracers  []string  `yaml:"tracers"`
	Auditors []Auditor `yaml:"auditors"`
}

// Auditor is what a benchmark or a scanner accepts.
type Auditor struct {
	Name     string `yaml:"name"`
	Accepts  []int  `yaml:"accepts"`
	Explicit bool   `yaml:"explicit"`
}

// Known returns the catalogue.
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

// Distribution returns the first entry that matches ID and VERSION_ID of os-release(5), or the unknown one. ID_LIKE does
// not count: a relative may have another kernel default and another enabler.
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

// With returns the catalogue with further debuggers, each a name of a package and of a program, and without those that
// ignore names, by the debugger's own name or by that of a package.
func (c Catalog) With(debuggers, ignore []string) Catalog {
	ignored := make(map[string]bool, len(ignore))
	for _, name := range ignore {
		ignored[name] = true
	}
	all := append([]Debugger{}, c.Debuggers...)
	for _, name := range debuggers {
		all = append(all, Debugger{Name: name, Packages: []string{name}, Programs: []string{name}})
	}
	c.Debuggers = nil
	for _, d := range all {
		if ignored[d.Name] {
			continue
		}
		packages := []string{}
		for _, p := range d.Packages {
			if !ignored[p] {
				packages = append(packages, p)
			}
		}
		d.Packages = packages
		c.Debuggers = append(c.Debuggers, d)
	}
	return c
}

// Names returns the sorted names of the packages that bring a debugger, and of the debuggers' programs.
func (c Catalog) Names() (packages, programs []string) {
	for _, d := range c.Debuggers {
		packages = append(packages, d.Packages...)
		programs = append(programs, d.Programs...)
	}
	return unique(packages), unique(programs)
}

func unique(names []string) []string {
	sort.Strings(names)
	var out []string
	for i, n := range names {
		if i == 0 || n != names[i-1] {
			out = append(out, n)
		}
	}
	return out
}
