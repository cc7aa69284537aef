// SPDX-License-Identifier: GPL-3.0-or-later

package packages

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"hardening.yama/module/internal/process"
	"hardening.yama/module/plugin/port"
)

// What rpm answers. Where it cannot open its database it says so, and then that nothing is installed, owned or required: any
// complaint makes the whole answer none.

// complaint returns rpm's own words about why it has no answer, nil where it has one.
func complaint(r process.Result) error {
	for line := range strings.Lines(r.Stdout + "\n" + r.Stderr) {
		if strings.HasPrefix(line, "error:") {
			return errors.New("ask the rpm database: " + strings.TrimSpace(strings.TrimPrefix(line, "error:")))
		}
	}
	return nil
}

// readInstalled reads a line for each installed package, and one for each name that is none. Every name must be accounted
// for.
func readInstalled(r process.Result, names []string) ([]port.Package, error) {
	if err := complaint(r); err != nil {
		return nil, err
	}
	answered := map[string]bool{}
	var installed []port.Package
	for line := range strings.Lines(r.Stdout) {
		line = strings.TrimSuffix(line, "\n")
		if name, ok := cutAround(line, "package ", " is not installed"); ok {
			answered[name] = true
			continue
		}
		if name, version, ok := strings.Cut(line, "\t"); ok && !answered[name] {
			answered[name] = true
			installed = append(installed, port.Package{Name: name, Version: version})
		}
	}
	for _, name := range names {
		if !answered[name] {
			return nil, fmt.Errorf("ask the rpm database for %s: no answer (exit code %d): %s", name, r.Code, r.LastLines())
		}
	}
	return installed, nil
}

// errOwners says that the lines cannot be told apart: a file has several owners.
var errOwners = errors.New("more owners than files")

// readOwners reads a line for each file, in their order.
func readOwners(r process.Result, files []string) (map[string]string, error) {
	if err := complaint(r); err != nil {
		return nil, err
	}
	lines := strings.Split(strings.TrimSuffix(r.Stdout+r.Stderr, "\n"), "\n")
	// An old kind of database is read with a warning.
	lines = slices.DeleteFunc(lines, func(line string) bool { return strings.HasPrefix(line, "warning: ") })
	if len(lines) != len(files) {
		return nil, errOwners
	}
	owners := map[string]string{}
	for i, file := range files {
		if _, unowned := cutAround(lines[i], "file ", " is not owned by any package"); unowned {
			continue
		}
		if lines[i] == "" || strings.ContainsAny(lines[i], " \t") {
			return nil, fmt.Errorf("ask the rpm database who owns %s: %s", file, r.LastLines())
		}
		owners[file] = lines[i]
	}
	return owners, nil
}

// readUnchanged reads one line for each file that differs: nine marks, of which the third is 5 for other content, and the
// path last.
func readUnchanged(r process.Result, file string) (bool, error) {
	if err := complaint(r); err != nil {
		return false, err
	}
	for line := range strings.Lines(r.Stdout) {
		if line = strings.TrimSpace(line); strings.HasSuffix(line, " "+file) && strings.HasPrefix(line[min(2, len(line)):], "5") {
			return false, nil
		}
	}
	return true, nil
}

// readRequirers adds to the requirers those who require what a provider has, and returns what the new ones provide: a
// block for each, begun by N, with what it requires (R) and provides (P).
func readRequirers(r process.Result, provider map[string]string, requirers map[string][]string) (map[string]string, error) {
	if err := complaint(r); err != nil {
		return nil, err
	}
	next := map[string]string{}
	current := ""
	for line := range strings.Lines(r.Stdout) {
		kind, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		switch required := provider[value]; kind {
		case "N":
			current = value
		case "R":
			if required != "" && required != current && !slices.Contains(requirers[required], current) {
				requirers[required] = append(requirers[required], current)
			}
		case "P":
			if _, asked := provider[value]; !asked && requirers[current] == nil {
				next[value] = current
			}
		}
	}
	return next, nil
}

// readRemoval reads who needs a package, nothing where nobody does.
func readRemoval(r process.Result) ([]string, error) {
	if r.Code == 0 {
		return nil, nil
	}
	var with []string
	for line := range strings.Lines(r.Stdout + "\n" + r.Stderr) {
		if _, needer, ok := strings.Cut(strings.TrimSpace(line), " is needed by (installed) "); ok {
			with = append(with, needer)
		}
	}
	if with == nil {
		return nil, errors.New("ask the rpm database what a removal would take along: " + r.LastLines())
	}
	return with, nil
}

// between returns what stands between a prefix and a suffix, if the text has both.
func cutAround(text, prefix, suffix string) (string, bool) {
	text, begins := strings.CutPrefix(text, prefix)
	text, ends := strings.CutSuffix(text, suffix)
	return text, begins && ends
}
