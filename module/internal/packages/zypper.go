// SPDX-License-Identifier: GPL-3.0-or-later

package packages

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"strings"

	"hardening.yama/module/internal/process"
	"hardening.yama/module/plugin/port"
)

// zypper's exit codes are documented in zypper(8).
var zypper = Manager{
	Name: "zypper", program: "/usr/bin/zypper", database: &rpmDatabase, rootOptions: rootOption, runsScriptlets: true,
	simulate: []string{"--non-interactive", "--xmlout", "install", "--dry-run", "--no-recommends"}, parse: readZypper,
	removal: (*Manager).rpmRemoval,
	simulateRemoval: []string{"--non-interactive", "--no-refresh", "--xmlout", "remove", "--dry-run",
		"--no-clean-deps"},
	asDependency:  []string{"--userdata", zyppUserData},
	install:       []string{"--non-interactive", "install", "--no-recommends", "--auto-agree-with-licenses"},
	remove:        []string{"--non-interactive", "--no-refresh", "remove", "--no-clean-deps"},
	userInstalled: (*Manager).zypperUserInstalled,
	busy:          func(r process.Result) bool { return r.Code == zypperLocked },
	// 102 and 103 suggest a reboot, or a restart of zypper; with 106, a repository was skipped.
	successCodes: []int{102, 103, 106},
}

const (
	zypperLocked   = 7
	zypperNotFound = 104
)

// readZypper returns the names of all packages that a transaction would change: each has an XML
// element.
func readZypper(r process.Result) ([]string, error) {
	var names []string
	known := map[string]bool{}
	_, summary, _ := strings.Cut(r.Stdout, "<install-summary")
	summary, _, whole := strings.Cut(summary, "</install-summary>")
	for _, element := range strings.Split(summary, "<solvable ") {
		_, name, found := strings.Cut(element, ` name="`)
		name, _, ended := strings.Cut(name, `"`)
		if found && ended && name != "" && !known[name] {
			known[name] = true
			names = append(names, name)
		}
	}
	switch {
	case r.Code == zypperNotFound && strings.Contains(r.Stdout, "have not been refreshed because of an error"):
		return nil, errors.New(textOf(r.Stdout))
	case r.Code == zypperNotFound && strings.Contains(r.Stdout, "No repositories defined"):
		return nil, errors.New("no repository is enabled")
	case r.Code == zypperNotFound:
		return nil, port.ErrNotOffered
	case r.Code != 0 && r.Code != 106 || !whole || names == nil:
		return nil, errors.New(textOf(r.Stdout + r.Stderr))
	}
	return names, nil
}

// textOf returns the text of the error messages and descriptions in an XML answer, on one line.
func textOf(xml string) string {
	var said []string
	for _, tag := range []string{`<message type="error">`, `<description>`} {
		for _, part := range strings.Split(xml, tag)[1:] {
			if text, _, ended := strings.Cut(part, "</"); ended && !strings.HasPrefix(text, "<") {
				said = append(said, strings.Join(strings.Fields(text), " "))
			}
		}
	}
	if said == nil {
		return process.Result{Stdout: xml}.LastLines()
	}
	return strings.NewReplacer("&apos;", "'", "&quot;", `"`, "&lt;", "<", "&gt;", ">", "&amp;",
		"&").Replace(strings.Join(said, " | "))
}

// zypper records in its history which user installed a package, and the user data of the command
// (zyppUserData is the module's). The history is rotated. Packages that were installed as
// dependencies are in a list of their own.
const (
	zyppHistory  = "/var/log/zypp/history"
	zyppAuto     = "/var/lib/zypp/AutoInstalled"
	zyppUserData = "hardening.yama"
)

func (m *Manager) zypperUserInstalled(_ context.Context, name string) (bool, error) {
	history, err := m.readFile(zyppHistory)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	if byUser, recorded := readHistory(history, name); recorded {
		return byUser, nil
	}
	list, err := m.readFile(zyppAuto)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	if readAutoInstalled(list, name) {
		return false, nil
	}
	return false, errNotRecorded
}

// errNotRecorded says that a manager's record does not go back far enough.
var errNotRecorded = errors.New("its history does not go back that far")

// readHistory reports whether a user installed a package after it was last removed, and whether the
// history says so. Its lines are date|install|name|edition|arch|requested
// by|repository|checksum|user data; for an upgrade, "requested by" is empty.
func readHistory(content, name string) (byUser, recorded bool) {
	for content != "" {
		var line string
		line, content, _ = strings.Cut(content, "\n")
		fields := strings.Split(strings.TrimSpace(line), "|")
		if len(fields) < 6 || fields[2] != name {
			continue
		}
		switch action := strings.TrimSpace(fields[1]); {
		case action == "remove":
			byUser, recorded = false, false
		case action == "install" && fields[5] != "":
			byUser, recorded = len(fields) < 9 || fields[8] != zyppUserData, true
		}
	}
	return byUser, recorded
}

// readAutoInstalled reports whether a package is in the list, which has a name on each line.
func readAutoInstalled(content, name string) bool {
	return slices.Contains(strings.Split(content, "\n"), name)
}
