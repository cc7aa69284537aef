// SPDX-License-Identifier: GPL-3.0-or-later

package packages

import (
	"errors"
	"strings"
)

// The managers of the dnf family. Weak dependencies are left out and unused packages left in: nothing but the enabler
// is to be touched.
var dnfFamily = []Manager{
	{
		Name: "dnf5", program: "/usr/bin/dnf5", rpm: "/usr/bin/rpm",
		ask:     []string{"install", "--assumeno", "--setopt=install_weak_deps=False"},
		install: []string{"install", "--assumeyes", "--setopt=install_weak_deps=False"},
		remove:  []string{"remove", "--assumeyes", "--no-autoremove"},
		read:    readDNF,
	},
	{
		Name: "dnf", program: "/usr/bin/dnf", rpm: "/usr/bin/rpm",
		ask:     []string{"install", "--assumeno", "--setopt=install_weak_deps=False"},
		install: []string{"install", "--assumeyes", "--setopt=install_weak_deps=False"},
		remove:  []string{"remove", "--assumeyes", "--noautoremove"},
		read:    readDNF,
	},
}

// errNotOffered is the answer that no repository has what was asked for.
var errNotOffered = errors.New("not offered")

// readDNF returns the names of all packages that a transaction of dnf or dnf5 would touch, from the table that both
// print below its header: a line at the margin that ends in a colon opens a section, one that is set in by one blank is
// a package, one that is set in further names what it replaces, or goes on with the columns of a long name.
func readDNF(r result) ([]string, error) {
	table, _, summarised := strings.Cut(r.stdout, "\nTransaction Summary")
	if !summarised {
		if strings.Contains(r.stdout+r.stderr, "No match for argument") || strings.Contains(r.stdout+r.stderr, "Unable to find a match") {
			return nil, errNotOffered
		}
		return nil, errors.New(r.lastLines())
	}
	var names []string
	header, section := false, false
	for line := range strings.Lines(table) {
		fields := strings.Fields(line)
		switch {
		case !header: // the progress of loading metadata may stand above
			header = len(fields) > 1 && fields[0] == "Package" && strings.HasPrefix(fields[1], "Arch")
		case len(fields) == 0 || strings.HasPrefix(line, "="):
		case line[0] != ' ':
			section = strings.HasSuffix(strings.TrimSpace(line), ":")
		case section && (!strings.HasPrefix(line, "  ") || fields[0] == "replacing"):
			name := fields[0]
			if name == "replacing" && len(fields) > 1 {
				name = fields[1]
			}
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return nil, errors.New("the transaction names no package: " + r.lastLines())
	}
	return names, nil
}
