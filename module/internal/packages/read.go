// SPDX-License-Identifier: GPL-3.0-or-later

package packages

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"hardening.yama/module/internal/process"
	"hardening.yama/module/plugin/port"
	"hardening.yama/schema"
)

// If rpm cannot open its database, it prints an error and then answers that nothing is installed,
// owned or required. So an answer with such an error in it is not used.

// rpmNoise are parts of errors about the files that configure rpm. It passes over their lines, and
// then answers.
var rpmNoise = []string{"Macro %", "macro file", "rpmrc:"}

// rpmError returns the error that rpm printed, nil where it printed none.
func rpmError(r process.Result) error {
	for _, line := range strings.Split(r.Stdout+"\n"+r.Stderr, "\n") {
		noise := slices.ContainsFunc(rpmNoise, func(part string) bool { return strings.Contains(line, part) })
		if strings.HasPrefix(line, "error:") && !noise {
			return errors.New("cannot query the rpm database: " + strings.TrimSpace(strings.TrimPrefix(line, "error:")))
		}
	}
	return nil
}

// readInstalled returns the installed packages: rpm prints a line for each, and one for each name
// that is not installed. A name without a line is an error. Because of a pattern, rpm is asked for
// all packages, and prints a line for each.
func readInstalled(r process.Result, names []string) ([]port.Package, error) {
	if err := rpmError(r); err != nil {
		return nil, err
	}
	asked, exact, answered := schema.NamesOf(names), setOf(names), map[string]bool{}
	var installed []port.Package
	for _, line := range strings.Split(r.Stdout, "\n") {
		line = strings.TrimSuffix(line, "\n")
		if name, ok := cutAround(line, "package ", " is not installed"); ok {
			answered[name] = true
			continue
		}
		if name, version, ok := strings.Cut(line, "\t"); ok && !answered[name] {
			if answered[name] = true; exact[name] || asked.Pattern(name) != "" {
				installed = append(installed, port.Package{Name: name, Version: version})
			}
		}
	}
	all := asked.Open() && len(answered) > 0 && len(r.Stdout) < allLimit
	for _, name := range names {
		if !answered[name] && !all && !isLabel(name, installed) {
			return nil,
				fmt.Errorf("cannot query the rpm database for %s: no answer (exit code %d): %s", name, r.Code,
					r.LastLines())
		}
	}
	return installed, nil
}

// isLabel reports whether rpm took a name for that of an installed package with its version:
// lldb-19 can be version 19 of lldb.
func isLabel(name string, installed []port.Package) bool {
	for _, p := range installed {
		if strings.HasPrefix(p.Name+"-"+p.Version[strings.IndexByte(p.Version, ':')+1:]+"-", name+"-") {
			return true
		}
	}
	return false
}

// allLimit bounds the list of all packages. Of a longer one only the end may be there. 10,000
// packages have half of it.
const allLimit = 1 << 19

// errOwners says that a file has several owners, so that it is not clear which line belongs to
// which file.
var errOwners = errors.New("more owners than files")

// readOwners returns the owners of files: rpm prints a line for each, in their order.
func readOwners(r process.Result, files []string) (map[string][]string, error) {
	if err := rpmError(r); err != nil {
		return nil, err
	}
	lines := strings.Split(strings.TrimSuffix(r.Stdout, "\n"), "\n")
	if len(lines) != len(files) && len(files) > 1 {
		return nil, errOwners
	}
	owners := map[string][]string{}
	for i, line := range lines {
		file := files[min(i, len(files)-1)]
		if _, unowned := cutAround(line, "file ", " is not owned by any package"); unowned {
			continue
		}
		if line == "" || strings.ContainsAny(line, " \t") {
			return nil, fmt.Errorf("cannot find the package that owns %s: rpm: %s", file, r.LastLines())
		}
		owners[file] = append(owners[file], line)
	}
	return owners, nil
}

// readFile reports whether a file is a package's: rpm prints a line for each of its files, with
// flags of which g is a ghost: a package names it, and does not bring it. One that a package has
// replaced, or that was not installed, has another state than 0. If rpm -V does not compare the
// content of a file, that is the package's where the time is.
func readFile(r process.Result, file string, mtime int64) (bool, error) {
	if err := rpmError(r); err != nil {
		return false, err
	}
	for _, line := range strings.Split(r.Stdout, "\n") {
		if fields := strings.Split(line, "\t"); len(fields) == 5 && fields[4] == file {
			compared := strings.Contains(fields[2], "5")
			own := fields[0] == "0" && !strings.Contains(fields[1], "g")
			return own && (compared || fields[3] == strconv.FormatInt(mtime, 10)), nil
		}
	}
	return true, nil // the package has another name for it
}

// readUnchanged reports whether a file is unchanged: rpm prints a line for each changed file of the
// package, with nine marks, of which the third is 5 if the content is another, and the path at the
// end.
func readUnchanged(r process.Result, file string) (bool, error) {
	if err := rpmError(r); err != nil {
		return false, err
	}
	for _, line := range strings.Split(r.Stdout, "\n") {
		if line = strings.TrimSpace(line); strings.HasSuffix(line, " "+file) &&
			strings.HasPrefix(line[min(2, len(line)):], "5") {
			return false, nil
		}
	}
	return true, nil
}

// providesLimit bounds the capabilities that rpm is asked for at once: they have to fit on a
// command line.
const providesLimit = 10_000

// readRequirers adds packages to the requirers of the providers' packages, and returns what the
// added packages provide. rpm prints a line N for each package, and below it lines R for what it
// requires and P for what it provides.
func readRequirers(r process.Result, provider map[string]string, found *requirers) (map[string]string, error) {
	if err := rpmError(r); err != nil {
		return nil, err
	}
	next := map[string]string{}
	current := ""
	for _, line := range strings.Split(r.Stdout, "\n") {
		kind, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		switch required := provider[value]; kind {
		case "N":
			current = value
		case "R":
			if required != "" && required != current {
				found.add(required, current)
			}
		case "P":
			if _, asked := provider[value]; !asked && !found.has(current) && len(next) < providesLimit {
				next[value] = current
			}
		}
	}
	return next, nil
}

// readRemoval returns the packages that need a package.
func readRemoval(r process.Result) ([]string, error) {
	if r.Code == 0 {
		return nil, nil
	}
	var with []string
	for _, line := range strings.Split(r.Stdout+"\n"+r.Stderr, "\n") {
		if _, needer, ok := strings.Cut(strings.TrimSpace(line), " is needed by (installed) "); ok {
			with = append(with, needer)
		}
	}
	if with == nil {
		return nil, errors.New("cannot find out which packages need it: rpm: " + r.LastLines())
	}
	return with, nil
}

// cutAround returns the text without a prefix and a suffix, if it has both.
func cutAround(text, prefix, suffix string) (string, bool) {
	text, begins := strings.CutPrefix(text, prefix)
	text, ends := strings.CutSuffix(text, suffix)
	return text, begins && ends
}
