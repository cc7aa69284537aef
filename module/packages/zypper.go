// SPDX-License-Identifier: GPL-3.0-or-later

package packages

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"
)

// zypper, whose exit codes zypper(8) documents.
var zypper = Manager{
	Name: "zypper", program: "/usr/bin/zypper", database: &rpmDatabase, atRoot: rootOption,
	ask: []string{"--non-interactive", "--xmlout", "install", "--dry-run", "--no-recommends"}, read: readZypper,
	removal: Manager.rpmRemoval,
	install: []string{"--non-interactive", "--userdata", zyppUserData, "install", "--no-recommends", "--auto-agree-with-licenses"},
	remove:  []string{"--non-interactive", "--no-refresh", "remove", "--no-clean-deps"},
	asked:   Manager.zypperAsked,
	busy:    func(r result) bool { return r.code == zypperLocked },
	// A reboot or a restart of the manager is suggested; a repository was passed over. What came of it says the database.
	fine: []int{102, 103, 106},
}

const (
	zypperLocked   = 7
	zypperNotFound = 104
)

// readZypper returns the names of all packages that a transaction would touch: an element of XML each.
func readZypper(r result) ([]string, error) {
	var names []string
	_, summary, _ := strings.Cut(r.stdout, "<install-summary")
	summary, _, whole := strings.Cut(summary, "</install-summary>")
	for element := range strings.SplitSeq(summary, "<solvable ") {
		_, name, found := strings.Cut(element, ` name="`)
		name, _, ended := strings.Cut(name, `"`)
		if found && ended && name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	switch {
	case r.code == zypperNotFound && strings.Contains(r.stdout, "have not been refreshed because of an error"):
		return nil, errors.New(textOf(r.stdout))
	case r.code == zypperNotFound:
		return nil, errNotOffered
	case r.code != 0 && r.code != 106 || !whole || names == nil:
		return nil, errors.New(textOf(r.stdout + r.stderr))
	}
	return names, nil
}

// textOf returns what the messages and descriptions of an answer in XML say, on one line.
func textOf(xml string) string {
	var said []string
	for _, tag := range []string{`<message type="error">`, `<description>`} {
		for part := range strings.SplitSeq(xml, tag) {
			if text, _, ended := strings.Cut(part, "</"); ended && strings.Contains(xml, tag+text) && !strings.HasPrefix(text, "<") {
				said = append(said, strings.Join(strings.Fields(text), " "))
			}
		}
	}
	if said == nil {
		return result{stdout: xml}.lastLines()
	}
	return strings.NewReplacer("&apos;", "'", "&quot;", `"`, "&lt;", "<", "&gt;", ">", "&amp;", "&").Replace(strings.Join(said, " | "))
}

// zypper notes why a package was installed in its history only: who asked for it, and what we gave it to remember us by.
const (
	zyppHistory  = "/var/log/zypp/history"
	zyppUserData = "hardening.yama"
)

func (m Manager) zypperAsked(_ context.Context, name string) (bool, error) {
	content, err := os.ReadFile(m.under(zyppHistory))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return readHistory(string(content), name), err
}

// readHistory reads the last installation of a package: date|install|name|edition|arch|requested by|repository|checksum|user
// data. The solver's own have nobody who requested them.
func readHistory(content, name string) (asked bool) {
	for line := range strings.Lines(content) {
		fields := strings.Split(strings.TrimSpace(line), "|")
		if len(fields) >= 8 && fields[1] == "install" && fields[2] == name {
			asked = fields[5] != "" && (len(fields) < 9 || fields[8] != zyppUserData)
		}
	}
	return asked
}
