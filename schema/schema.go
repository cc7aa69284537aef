// SPDX-License-Identifier: GPL-3.0-or-later

// Package schema holds the contract of the module: its options and their documentation in Ansible's own format, and
// the catalogue of distributions and debuggers. Both are data files, embedded, and the only source of what they say.
package schema

import (
	_ "embed" // the two data files below
	"errors"
	"fmt"
	"io"
	"slices"
	"sort"
	"strings"

	"gopkg.in/yaml.v3"
)

//go:embed ptrace_scope.yml
var scopeContract string

//go:embed ptrace_scope_info.yml
var infoContract string

//go:embed catalog.yml
var catalog string

// Option is one option of the module, as DOCUMENTATION describes it.
type Option struct {
	Name     string `yaml:"-"`
	Type     string `yaml:"type"`
	Elements string `yaml:"elements"`
	Required bool   `yaml:"required"`
	Default  any    `yaml:"default"`
	Choices  []any  `yaml:"choices"`
	// Description is in Ansible's markup, a paragraph each.
	Description []string `yaml:"description"`
}

// Module is one of the collection's modules.
type Module struct {
	Name     string
	contract string
}

// The modules.
var (
	Scope = Module{"ptrace_scope", scopeContract}
	Info  = Module{"ptrace_scope_info", infoContract}
)

// Options returns the module's options in the order of the contract.
func (m Module) Options() ([]Option, error) {
	documentation, _, _ := strings.Cut(m.contract, "\nEXAMPLES:\n") // the rest is for people; a run need not parse it
	var parsed struct {
		Documentation struct {
			Options orderedOptions `yaml:"options"`
		} `yaml:"DOCUMENTATION"`
	}
	if err := yaml.Unmarshal([]byte(documentation), &parsed); err != nil {
		return nil, fmt.Errorf("parse %s.yml: %w", m.Name, err)
	}
	return parsed.Documentation.Options, nil
}

// Contract returns the text of the contract file.
func (m Module) Contract() string { return m.contract }

// orderedOptions keeps the order in which a mapping is written.
type orderedOptions []Option

// UnmarshalYAML implements yaml.Unmarshaler.
func (o *orderedOptions) UnmarshalYAML(node *yaml.Node) error {
	for i := 0; i+1 < len(node.Content); i += 2 {
		option := Option{Name: node.Content[i].Value, Type: "str"}
		if err := node.Content[i+1].Decode(&option); err != nil {
			return fmt.Errorf("option %s: %w", option.Name, err)
		}
		*o = append(*o, option)
	}
	return nil
}

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

// LoadCatalog returns the embedded catalogue.
func LoadCatalog() (Catalog, error) { return parseCatalog(strings.NewReader(catalog)) }

func parseCatalog(r io.Reader) (Catalog, error) {
	var c Catalog
	decoder := yaml.NewDecoder(r)
	decoder.KnownFields(true)
	if err := decoder.Decode(&c); err != nil {
		return Catalog{}, fmt.Errorf("parse catalog: %w", err)
	}
	for i := range c.Debuggers {
		d := &c.Debuggers[i]
		if d.Name == "" {
			return Catalog{}, errors.New("parse catalog: a debugger has no name")
		}
		if d.Packages == nil {
			d.Packages = []string{d.Name}
		}
		if d.Programs == nil {
			d.Programs = []string{d.Name}
		}
	}
	return c, nil
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
