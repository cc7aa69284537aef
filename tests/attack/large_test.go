// SPDX-License-Identifier: GPL-3.0-or-later

//go:build linux

package attack

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"hardening.yama/tests/sandbox"
)

// TestLargeDatabases checks that the bounds on what is read leave room for real databases. These
// are several times as large as those of a full desktop, and a debugger at their end is found.
func TestLargeDatabases(t *testing.T) {
	sandbox.Enter(t)
	layer := hostLayer(t)
	for _, c := range []struct {
		name string
		fill step
	}{
		{"dpkg", steps(system("ID=debian\nVERSION_ID=13\n"), largeDpkg)},
		{"apk", steps(oldSystem("ID=alpine\nVERSION_ID=3\n"), largeAPK)},
		{"pacman", steps(system("ID=arch\n"), archive(alpm), largeAlpm)},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := sandbox.NewHost(t, nil, layer)
			must(t, os.Mkdir(h.Path(image), 0o755), c.fill(h.Path(image)))
			r := restricted("root", image, "_ansible_check_mode", true)
			r.Arguments["state"] = "auto"
			o := h.Run(r)
			if how := wrong(o); how != "" || o.Failed() {
				t.Errorf("%s %.600s", how, o.Stdout)
			}
			if !strings.Contains(o.Stdout, `"debuggers":[{"name":"gdb","version":"16`) {
				t.Errorf("the debugger is not found: %.600s", o.Stdout)
			}
			t.Logf("%s", o.Took)
		})
	}
}

const many = 20000

func largeDpkg(dir string) error {
	var status strings.Builder
	more := strings.TrimSuffix(strings.Repeat("Comment: "+strings.Repeat("x", 90)+"\n", 5), "\n")
	for i := range many {
		name, depends := fmt.Sprint("filler-", i), "Depends: libc6 (>= 2.34), filler-0, dpkg (>= 1.15.4)"
		status.WriteString(paragraphOf(name, "1", depends, more))
	}
	status.WriteString(paragraphOf("gdb", "16") + paragraphOf("dpkg", "1.22"))
	if err := archive(dpkgAlone)(dir); err != nil {
		return err
	}
	return write(dir, "/var/lib/dpkg/status", status.String())
}

func largeAPK(dir string) error {
	var installed strings.Builder
	files := strings.Repeat("F:usr/share/filler\nR:"+strings.Repeat("x", 60)+"\n", 8)
	for i := range many {
		fmt.Fprintf(&installed, "P:filler-%d\nV:1-r0\nD:filler-0\n%s\n", i, files)
	}
	installed.WriteString("P:gdb\nV:16\n\nP:apk-tools\nV:3\n\n")
	return write(dir, "/lib/apk/db/installed", installed.String())
}

func largeAlpm(dir string) error {
	local := dir + "/var/lib/pacman/local/"
	for i := range many / 5 {
		if err := os.Mkdir(fmt.Sprint(local, "filler-", i, "-1-1"), 0o755); err != nil {
			return err
		}
	}
	return os.Mkdir(local+"gdb-16-1", 0o755)
}
