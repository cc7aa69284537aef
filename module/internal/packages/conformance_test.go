// SPDX-License-Identifier: GPL-3.0-or-later

package packages

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hardening.yama/module/internal/view"
	"hardening.yama/module/plugin/conformance"
	"hardening.yama/module/plugin/port"
)

// fakeRPM answers as rpm does, about the packages that are files in a directory: their content is
// the version.
const fakeRPM = `#!/bin/sh
root=%s db=$root/var/lib/rpm/packages
while :; do case $1 in --root=*) shift ;; *) break ;; esac; done
names() { while [ "$1" != -- ]; do shift; done; shift; printf '%%s\n' "$@"; }
case "$*" in
*_rpmlock_path*) echo /nowhere ;;
*--whatrequires*) names "$@" | while IFS= read -r name; do echo "no package requires $name"; done; exit 1 ;;
-qf*) names "$@" | while IFS= read -r file; do
	case $file in /proc/version) echo "file $file is not owned by any package" ;; *) echo "error: file $file: No such file or directory" >&2 ;; esac; done ;;
-q*) names "$@" | while IFS= read -r name; do
	if [ -n "$name" ] && [ -f "$db/$name" ]; then printf '%%s\t%%s\n' "$name" "$(cat "$db/$name")"; else echo "package $name is not installed"; fi; done ;;
-e*) names "$@" | while IFS= read -r name; do [ -f "$db/$name" ] || { echo "error: package $name is not installed" >&2; exit 1; }; done ;;
*) echo "error: rpm was asked $*" >&2; exit 1 ;;
esac
`

// fakeDNF5 answers as dnf5 does, offers one package, and writes a log even when it is only asked.
const fakeDNF5 = `#!/bin/sh
root=%s db=$root/var/lib/rpm/packages
echo "$*" >>"$root/var/log/dnf5.log"
for name; do :; done
case "$*" in
*" mark "*) ;;
*repoquery*) echo "$name Weak Dependency" ;;
*" install "*)
	if [ "$name" != enabler ]; then printf 'Failed to resolve the transaction:\nNo match for argument: %%s\n' "$name" >&2; exit 1; fi
	if [ -f "$db/enabler" ]; then echo "Nothing to do."; exit 0; fi
	printf 'Package    Arch   Version Repository Size\nInstalling:\n enabler   noarch 1-1     lab        1 KiB\n\nTransaction Summary:\n Installing: 1 package\n'
	case "$*" in *--assumeno*) exit 1 ;; esac
	echo 1-1 >"$db/enabler" ;;
*" remove "*)
	printf 'Package    Arch   Version Repository Size\nRemoving:\n %%s   noarch 1-1     lab        1 KiB\n\nTransaction Summary:\n Removing: 1 package\n' "$name"
	case "$*" in *--assumeno*) exit 1 ;; esac
	rm -f "$db/$name" ;;
esac
`

// TestConformance: a built-in manager follows the rules that a plugin has to follow, and what it
// writes in check mode is gone.
func TestConformance(t *testing.T) {
	root := t.TempDir()
	for _, dir := range []string{"/bin", "/var/lib/rpm/packages", "/var/log", "/run"} {
		check(t, os.MkdirAll(root+dir, 0o755))
	}
	write(t, root+"/var/lib/rpm/packages/gdb", "17.1-1\n")
	write(t, root+"/var/lib/rpm/packages/filesystem", "3.18-50\n")
	write(t, root+"/var/lib/rpm/rpmdb.sqlite", "database")
	for program, script := range map[string]string{"rpm": fakeRPM, "dnf5": fakeDNF5} {
		check(t, os.WriteFile(root+"/bin/"+program,
			[]byte(strings.ReplaceAll(strings.Replace(script, "%s", root, 1), "%%", "%")), 0o700))
	}
	log := root + "/var/log/dnf5.log"
	database := rpmDatabase
	database.program = root + "/bin/rpm"
	copied := view.Throwaway(root, nil)
	isCopied := os.Geteuid() == 0 && copied.Do(func() error { return nil }) == nil
	copied.Close()
	open := func(_ context.Context, checkMode bool) (port.Manager, error) {
		m := dnf5
		m.files, m.root, m.memory, m.CheckMode = filesOf(t, root), root, &memory{}, checkMode
		m.program, m.database = root+"/bin/dnf5", &database
		if isCopied {
			m.throwaway = view.Throwaway(root, nil)
		}
		if content,
			err := os.ReadFile(log); isCopied && checkMode && err == nil &&
			!strings.Contains(string(content), "--assumeyes") {
			t.Errorf("check mode wrote %s: %s", log, content)
		}
		return &m, nil
	}
	conformance.RunManager(t, conformance.Subject{Open: open, Package: "enabler"})
	if content, err := os.ReadFile(log); err != nil || !strings.Contains(string(content), "mark") {
		t.Errorf("it was not recorded as a dependency: %s, %v", content, err)
	}
	if names, err := filepath.Glob(root + "/var/lib/rpm/packages/*"); err != nil || len(names) != 2 {
		t.Errorf("installed are %q, %v", names, err)
	}
}

// TestConformanceHere: the manager of this machine follows them, too. It changes nothing.
func TestConformanceHere(t *testing.T) {
	files := filesOf(t, "/")
	if m, err := Find(files, "/", Want{Managers: Names()}); err != nil || m.program == "" {
		t.Skipf("this machine has no package manager that is known: %v", err)
	} else if m.checkLists != nil && m.Name == "apt" && m.checkLists(m, t.Context()) != nil {
		t.Skip("apt has no lists, so what is not offered is not known")
	}
	conformance.RunManager(t, conformance.Subject{Open: func(_ context.Context, checkMode bool) (port.Manager, error) {
		m, err := Find(files, "/", Want{Managers: Names()})
		if err == nil {
			m.CheckMode = checkMode
		}
		return m, err
	}})
}
