// SPDX-License-Identifier: GPL-3.0-or-later

package schema

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Site is what a site adds to the catalog: distributions and debuggers of its own.
type Site struct {
	Distributions []Distribution
	Debuggers     []Debugger
	Tracers       []string
	// IncidentalRequirers are packages that require a debugger for their own work.
	IncidentalRequirers []string
}

// ReadSite reads a site's catalog from what a file of YAML or JSON holds, and says everything that
// is wrong with it. The managers are those that there are.
func ReadSite(value any, managers []string) (Site, error) {
	var s Site
	r := &siteReader{}
	top := r.fields("the file", value, "distributions", "debuggers", "incidental_requirers", "tracers")
	for i, entry := range r.list("distributions", top["distributions"]) {
		s.Distributions = append(s.Distributions, r.distribution(fmt.Sprintf("distributions[%d]", i), entry, managers))
	}
	for i, entry := range r.list("debuggers", top["debuggers"]) {
		s.Debuggers = append(s.Debuggers, r.debugger(fmt.Sprintf("debuggers[%d]", i), entry))
	}
	s.IncidentalRequirers = r.names("incidental_requirers", top["incidental_requirers"], IsPackageName,
		"a name of a package")
	s.Tracers = r.names("tracers", top["tracers"], IsPackagePattern, packagePattern)
	if len(r.wrong) > 0 {
		return s, errors.New(strings.Join(r.wrong, "; "))
	}
	return s, nil
}

const packagePattern = "a name or pattern of packages"

// siteReader notes what is wrong, and where.
type siteReader struct{ wrong []string }

func (r *siteReader) fail(where, format string, args ...any) {
	r.wrong = append(r.wrong, where+": "+fmt.Sprintf(format, args...))
}

func (r *siteReader) distribution(where string, value any, managers []string) Distribution {
	f := r.fields(where, value, "name", "ids", "below", "kernel_default", "managers", "enablers", "drop_ins")
	d := Distribution{
		Name: r.name(where, f["name"]),
		IDs:  r.names(where+".ids", f["ids"], IsPackageName, "an ID of os-release(5)"),
		Managers: r.names(where+".managers", f["managers"], func(n string) bool { return slices.Contains(managers, n) },
			"one of "+strings.Join(managers, ", ")),
		Enablers: r.names(where+".enablers", f["enablers"], IsPackageName, "a name of a package"),
		DropIns:  r.names(where+".drop_ins", f["drop_ins"], isDropIn, "a file name that ends in .conf"),
	}
	if below := r.number(where+".below", f["below"], 1, 1<<20); below != nil {
		d.Below = *below
	}
	d.KernelDefault = r.number(where+".kernel_default", f["kernel_default"], 0, 3)
	if f != nil && len(d.IDs) == 0 {
		r.fail(where, "ids is missing: to which hosts does it apply?")
	}
	if len(d.Enablers) > 0 && len(d.DropIns) == 0 {
		r.fail(where, "drop_ins is missing: by which files do the enablers set 0?")
	}
	return d
}

func (r *siteReader) debugger(where string, value any) Debugger {
	f := r.fields(where, value, "name", "packages", "programs")
	d := Debugger{
		Name:     r.name(where, f["name"]),
		Packages: r.names(where+".packages", f["packages"], IsPackagePattern, packagePattern),
		Programs: r.names(where+".programs", f["programs"], IsPackagePattern,
			"a name or pattern of programs, without a directory"),
	}
	if !IsPackagePattern(d.Name) && (f["packages"] == nil || f["programs"] == nil) && d.Name != "" {
		r.fail(where, "name %q is no name of a package or program: give packages and programs", d.Name)
	}
	return d
}

// fields returns a mapping's values, none of which has another name than the allowed ones.
func (r *siteReader) fields(where string, value any, allowed ...string) map[string]any {
	fields, ok := value.(map[string]any)
	if !ok {
		r.fail(where, "this is %s, and should be a mapping of %s", kindOf(value), strings.Join(allowed, ", "))
		return nil
	}
	unknown := make([]string, 0, len(fields))
	for name := range fields {
		if !slices.Contains(allowed, name) {
			unknown = append(unknown, name)
		}
	}
	slices.Sort(unknown)
	for _, name := range unknown {
		r.fail(where, "unknown key %q: there are %s", name, strings.Join(allowed, ", "))
	}
	return fields
}

func (r *siteReader) list(where string, value any) []any {
	list, ok := value.([]any)
	if value != nil && !ok {
		r.fail(where, "this is %s, and should be a list", kindOf(value))
	}
	return list
}

func (r *siteReader) name(where string, value any) string {
	name, _ := value.(string)
	if name = strings.TrimSpace(name); name == "" {
		r.fail(where, "name is missing")
	}
	return name
}

// names returns a list of names, nil where there is none.
func (r *siteReader) names(where string, value any, right func(string) bool, what string) []string {
	list := r.list(where, value)
	if value == nil {
		return nil
	}
	names := make([]string, 0, len(list))
	for i, entry := range list {
		name, ok := entry.(string)
		if !ok || !right(name) {
			r.fail(fmt.Sprintf("%s[%d]", where, i), "%v is not %s", entry, what)
			continue
		}
		names = append(names, name)
	}
	return names
}

func (r *siteReader) number(where string, value any, least, most int) *int {
	n, err := strconv.Atoi(fmt.Sprint(value))
	switch value.(type) {
	case nil:
		return nil
	case int, json.Number:
		if err == nil && n >= least && n <= most {
			return &n
		}
	}
	r.fail(where, "%v is no number from %d to %d", value, least, most)
	return nil
}

func kindOf(value any) string {
	switch value.(type) {
	case nil:
		return "empty"
	case []any:
		return "a list"
	case map[string]any:
		return "a mapping"
	}
	return fmt.Sprintf("%q", fmt.Sprint(value))
}

func isDropIn(name string) bool {
	return strings.HasSuffix(name, ".conf") && !strings.ContainsAny(name, "/\x00\n") && name[0] != '.'
}

// IsPackageName tells what a package or program may be called: a name that no package manager takes
// for an option or a pattern.
func IsPackageName(name string) bool {
	for i, r := range name {
		letter := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
		if !letter && (i == 0 || !strings.ContainsRune("+._-", r)) {
			return false
		}
	}
	return name != ""
}

// Add returns the catalog with a site's. Its distributions come first, and its debuggers replace
// those of their names.
func (c Catalog) Add(s Site) Catalog {
	c.Distributions = slices.Concat(s.Distributions, c.Distributions)
	c.Tracers = slices.Concat(c.Tracers, s.Tracers)
	c.IncidentalRequirers = slices.Concat(c.IncidentalRequirers, s.IncidentalRequirers)
	known := c.Debuggers
	c.Debuggers = nil
	for _, d := range known {
		if !slices.ContainsFunc(s.Debuggers, func(own Debugger) bool { return own.Name == d.Name }) {
			c.Debuggers = append(c.Debuggers, d)
		}
	}
	for _, d := range s.Debuggers {
		c.Debuggers = append(c.Debuggers, d.complete())
	}
	return c
}
