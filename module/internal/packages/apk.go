// SPDX-License-Identifier: GPL-3.0-or-later

package packages

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"hardening.yama/module/internal/process"
	"hardening.yama/module/plugin/port"
)

// apk is Alpine's, see apk(8). A package that is installed by name is in its world file, as if the
// user had installed it.
var apk = Manager{
	Name: "apk", program: apkProgram, database: &apkDatabase, rootOptions: []string{"--root=", "--no-scripts"},
	// Without a terminal it asks no questions. An option for that exists only since 2.12.11.
	simulate: []string{"add", "--simulate", "--no-progress"}, parse: readAPK,
	removal: (*Manager).apkRemoval,
	install: []string{"add", "--no-progress"},
	remove:  []string{"del", "--no-progress"},
	busy: func(r process.Result) bool {
		return r.Code != 0 && strings.Contains(r.Stderr+r.Stdout, "Unable to lock database")
	},
}

var apkDatabase = database{
	files: []string{apk3Installed, apk2Installed}, base: []string{"apk-tools", "alpine-baselayout", "wolfi-baselayout"},
	program: apkProgram, rootOptions: rootOption,
	installed: reading((*Manager).apkInstalled), owners: (*Manager).apkOwners, unchanged: (*Manager).apkUnchanged,
	requirers: (*Manager).apkRequirers,
}

// The database's file: it moved with apk 3.
const (
	apk3Installed = "/usr/lib/apk/db/installed"
	apk2Installed = "/lib/apk/db/installed"
)

const apkProgram = "/sbin/apk"

// readAPK returns the names of all packages that a simulated transaction would change, from lines
// like (1/2) Installing name (version).
func readAPK(r process.Result) ([]string, error) {
	var names []string
	known := map[string]bool{}
	for _, line := range strings.Split(r.Stdout, "\n") {
		fields := strings.Fields(line)
		if len(fields) >= 4 && strings.HasPrefix(fields[0], "(") && strings.HasSuffix(fields[0], ")") &&
			!known[fields[2]] {
			known[fields[2]] = true
			names = append(names, fields[2])
		}
	}
	said := r.Stdout + "\n" + r.Stderr
	switch {
	case r.Code == 0 && names != nil:
		return names, nil
	case r.Code != 0 && strings.Contains(said, " (no such package)"):
		for _, words := range apkUnread {
			if line := lineWith(said, words); line != "" {
				return nil, errors.New(line)
			}
		}
		return nil, port.ErrNotOffered
	}
	return nil, errors.New(r.LastLines())
}

// apkUnread are words of warnings about a repository that cannot be read, whose packages are not
// known then.
var apkUnread = []string{": opening ", " opening ", ": Ignoring ", ": updating "}

// apkRemoval returns the other packages that would be removed, or that require the package.
func (m *Manager) apkRemoval(ctx context.Context, name string) ([]string, error) {
	r, err := m.ask(ctx, []string{"del", "--simulate", "--no-progress"}, name)
	if err != nil {
		return nil, err
	}
	return readAPKRemoval(r, name)
}

// readAPKRemoval returns the packages that require a package, which stand below a heading on a line
// each, or those that would be removed with it.
func readAPKRemoval(r process.Result, name string) ([]string, error) {
	if _, requirers, found := strings.Cut(r.Stdout, "are not removed due to:\n"); found {
		var with []string
		for _, line := range strings.Split(requirers, "\n") {
			if who, ok := strings.CutPrefix(strings.TrimSpace(line), name+": "); ok {
				with = append(with, strings.Fields(who)...)
			}
		}
		if with == nil {
			return nil, errors.New(r.LastLines())
		}
		return with, nil
	}
	touched, err := readAPK(r)
	return slices.DeleteFunc(touched, func(n string) bool { return n == name }), err
}

// readAPKInstalled reads the database: a paragraph for each package, a letter and a colon before
// each value. Those of the files that a package owns are handed over.
func readAPKInstalled(content string, files map[string]bool, hand func(owner, file string)) ([]paragraph, error) {
	var all []paragraph
	for content != "" {
		var text string
		text, content, _ = strings.Cut(content, "\n\n")
		if strings.TrimSpace(text) == "" {
			continue
		}
		var p paragraph
		var owned []string
		directory := ""
		for rest := text; rest != ""; {
			var line string
			line, rest, _ = strings.Cut(rest, "\n")
			key, value, _ := strings.Cut(line, ":")
			switch key {
			case "P":
				p.name = value
			case "V":
				p.version = value
			case "D":
				p.depends = append(p.depends, value)
			case "F":
				directory = value
			case "R":
				if len(files) > 0 {
					if file := path.Join("/", directory, value); files[file] {
						owned = append(owned, file)
					}
				}
			}
		}
		if p.name == "" {
			return nil,
				errors.New("read apk's database (/lib/apk/db/installed): a paragraph without a name: " +
					strings.TrimSpace(text)[:min(60, len(strings.TrimSpace(text)))])
		}
		for _, file := range owned {
			hand(p.name, file)
		}
		if all = append(all, p); len(all) > packagesLimit {
			return nil,
				fmt.Errorf("read apk's database (/lib/apk/db/installed): it names more than %d packages", packagesLimit)
		}
	}
	if all == nil {
		return nil, errors.New("read apk's database: it names no installed package")
	}
	return all, nil
}

func (m *Manager) apkPackages(files map[string]bool, hand func(owner, file string)) ([]paragraph, error) {
	content, err := m.readFile(apk3Installed)
	if errors.Is(err, fs.ErrNotExist) {
		content, err = m.readFile(apk2Installed)
	}
	if err != nil {
		return nil, err
	}
	return readAPKInstalled(content, files, hand)
}

func (m *Manager) apkInstalled(names []string) ([]port.Package, error) {
	all, err := m.apkPackages(nil, nil)
	return installedOf(all, names), err
}

func (m *Manager) apkRequirers(_ context.Context, names []string) (map[string][]string, error) {
	all, err := m.apkPackages(nil, nil)
	return requirersOf(all, names, func(depends string, hand func(string)) {
		for _, dependency := range strings.Fields(depends) {
			hand(withoutVersion(dependency))
		}
	}), err
}

func (m *Manager) apkOwners(_ context.Context, files []string) (map[string][]string, error) {
	owners := map[string][]string{}
	_, err := m.apkPackages(setOf(files), func(owner, file string) { owners[file] = append(owners[file], owner) })
	return owners, err
}

// apkUnchanged reports whether a package's file is unchanged. apk audit prints a letter before each
// changed file of a directory: without an option of those that protected paths cover, with --system
// of the others, see apk-protected_paths(5).
func (m *Manager) apkUnchanged(ctx context.Context, _, file string) (bool, error) {
	for _, args := range [][]string{{"audit"}, {"audit", "--system"}} {
		r, err := m.query(ctx, apkProgram, append(args, path.Dir(file))...)
		if err != nil {
			return false, err
		}
		if r.Code != 0 {
			return false, errors.New("cannot find out whether " + file + " was changed: apk audit: " + r.LastLines())
		}
		if strings.Contains("\n"+r.Stdout, " "+strings.TrimPrefix(file, "/")+"\n") {
			return false, nil
		}
	}
	return true, nil
}
