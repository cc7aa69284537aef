// SPDX-License-Identifier: GPL-3.0-or-later

// Package schema holds the contract of the modules: their options in Ansible's terms, and the catalogue of distributions and
// debuggers. Both are written in YAML, and `make generate` makes from it what is embedded here: the program needs neither
// the texts for people nor a parser of YAML.
package schema

import (
	_ "embed" // the data file below
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sort"
	"sync"
)

//go:embed embedded.json
var embedded []byte

// Embedded is what the program knows of the contract.
type Embedded struct {
	Options map[string][]Option `json:"options"`
	Catalog Catalog             `json:"catalog"`
}

var load = sync.OnceValues(func() (Embedded, error) {
	var e Embedded
	if err := json.Unmarshal(embedded, &e); err != nil {
		return e, fmt.Errorf("parse what is embedded: %w", err)
	}
	return e, nil
})

// Option is one option of a module, as DOCUMENTATION describes it.
type Option struct {
	Name     string `yaml:"-" json:"name"`
	Type     string `yaml:"type" json:"type"`
	Elements string `yaml:"elements" json:"elements,omitempty"`
	Required bool   `yaml:"required" json:"required,omitempty"`
	Default  any    `yaml:"default" json:"default,omitempty"`
	Choices  []any  `yaml:"choices" json:"choices,omitempty"`
	// Suboptions are those of a dict.
	Suboptions []Option `yaml:"-" json:"suboptions,omitempty"`
	// Description is in Ansible's markup, a paragraph each.
	Description []string `yaml:"description" json:"-"`
}

// UnmarshalJSON implements json.Unmarshaler: the numbers of an option are integers.
func (o *Option) UnmarshalJSON(data []byte) error {
	type plain Option
	if err := json.Unmarshal(data, (*plain)(o)); err != nil {
		return err
	}
	o.Default = integer(o.Default)
	for i, choice := range o.Choices {
		o.Choices[i] = integer(choice)
	}
	return nil
}

func integer(value any) any {
	if number, ok := value.(float64); ok {
		return int(number)
	}
	return value
}

// Module is one of the collection's modules.
type Module struct{ Name string }

// The modules.
var (
	Scope = Module{"ptrace_scope"}
	Info  = Module{"ptrace_scope_info"}
)

// Options returns the module's options in the order of the contract.
func (m Module) Options() ([]Option, error) {
	e, err := load()
	return e.Options[m.Name], err
}

// Distribution tells what a distribution is known for.
type Distribution struct {
	Name  string   `yaml:"name" json:"name"`
	IDs   []string `yaml:"ids" json:"ids"`
	Below int      `yaml:"below" json:"below"`
	// KernelDefault is the value its kernels start with, nil where that is not known.
	KernelDefault *int     `yaml:"kernel_default" json:"kernel_default"`
	Managers      []string `yaml:"managers" json:"managers"`
	Enablers      []string `yaml:"enablers" json:"enablers"`
	// DropIns are the names of the drop-ins by which enablers set 0.
	DropIns []string `yaml:"drop_ins" json:"drop_ins"`
}

// Debugger is a tool that attaches to processes it did not start.
type Debugger struct {
	Name     string   `yaml:"name" json:"name"`
	Packages []string `yaml:"packages" json:"packages"`
	Programs []string `yaml:"programs" json:"programs"`
}

// Catalog is what is known about distributions and debuggers.
type Catalog struct {
	Distributions     []Distribution `yaml:"distributions" json:"distributions"`
	Unknown           Distribution   `yaml:"unknown" json:"unknown"`
	EnablerCapability string         `yaml:"enabler_capability" json:"enabler_capability"`
	Debuggers         []Debugger     `yaml:"debuggers" json:"debuggers"`
	// Tracers are tools that trace only their own children, or who let them.
	Tracers  []string  `yaml:"tracers" json:"tracers"`
	Auditors []Auditor `yaml:"auditors" json:"auditors"`
}

// Auditor is what a benchmark or a scanner accepts.
type Auditor struct {
	Name     string `yaml:"name" json:"name"`
	Accepts  []int  `yaml:"accepts" json:"accepts"`
	Explicit bool   `yaml:"explicit" json:"explicit"`
}

// LoadCatalog returns the embedded catalogue.
func LoadCatalog() (Catalog, error) {
	e, err := load()
	return e.Catalog, err
}

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
