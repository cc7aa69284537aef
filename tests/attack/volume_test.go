// SPDX-License-Identifier: GPL-3.0-or-later

//go:build linux

package attack

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hardening.yama/tests/sandbox"
)

// TestVolume gives the program many files, lines or packages, each of which is small enough. The
// program must end within its time and memory, with a report of less than 100 KB. It may fail if
// the message names the file or directory.
func TestVolume(t *testing.T) {
	sandbox.Enter(t)
	layer := hostLayer(t)
	for _, c := range []struct {
		name, tree, state string
		fill              step
		// about is the file or directory that has too much in it.
		about string
	}{
		{
			name: "sparse drop-ins that set the key", tree: "offer", state: "restricted", about: "/etc/sysctl.d",
			fill: numbered(200, "/etc/sysctl.d/%d.conf", func(file string) error {
				if err := os.WriteFile(file, []byte(scopeLine), 0o644); err != nil {
					return err
				}
				return os.Truncate(file, 4<<20) // takes no room on a disk
			}),
		},
		{
			name: "drop-ins with many matching lines", tree: "offer", state: "restricted", about: "/etc/sysctl.d",
			fill: numbered(10, "/etc/sysctl.d/%d.conf", func(file string) error {
				return os.WriteFile(file, []byte(strings.Repeat(scopeLine, 140000)), 0o644)
			}),
		},
		{
			name: "many drop-ins", tree: "offer", state: "restricted", about: "/etc/sysctl.d",
			fill: numbered(20000, "/etc/sysctl.d/%d.conf", func(file string) error {
				return os.WriteFile(file, nil, 0o644)
			}),
		},
		{
			name: "packages of dpkg", tree: "offer", state: "auto", about: "/var/lib/dpkg/status",
			fill: func(dir string) error {
				return write(dir, "/var/lib/dpkg/status", strings.Repeat("Package: a\nStatus: installed\n\n", 2000000))
			},
		},
		{
			name: "dependencies of dpkg", tree: "offer", state: "auto", about: "/var/lib/dpkg/status",
			fill: func(dir string) error {
				depends := "Depends: " + strings.Repeat("a,", 25<<20)
				return write(dir, "/var/lib/dpkg/status", paragraphOf("dpkg", "1", depends))
			},
		},
		{
			name: "packages of apk", tree: "apk", state: "auto", about: "/lib/apk/db/installed",
			fill: func(dir string) error {
				return write(dir, "/lib/apk/db/installed", strings.Repeat("P:a\nV:1\n\n", 6000000))
			},
		},
		{
			name: "packages of pacman", tree: "pacman", state: "auto", about: "/var/lib/pacman/local",
			fill: numbered(30000, "/var/lib/pacman/local/filler-%d-1-1", func(file string) error {
				return os.Mkdir(file, 0o755)
			}),
		},
		{
			name: "links through long links", tree: "offer", state: "restricted", about: "/etc/sysctl.d",
			fill: steps(
				numbered(39, "/etc/sysctl.d/long%d", func(file string) error {
					var number int
					if _, err := fmt.Sscanf(filepath.Base(file), "long%d", &number); err != nil {
						return err
					}
					return os.Symlink(strings.Repeat("./", 2000)+fmt.Sprint("long", number+1), file)
				}),
				numbered(1000, "/etc/sysctl.d/%d.conf", func(file string) error { return os.Symlink("long0", file) }),
			),
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := sandbox.NewHost(t, nil, layer)
			must(t, os.Mkdir(h.Path(image), 0o755), named(c.tree).fill(h.Path(image)), c.fill(h.Path(image)))
			// The managers' own programs take their time with such databases, and are not asked.
			r := restricted("root", image, "packages", "ignore", "_ansible_check_mode", true)
			r.Arguments["state"] = c.state
			o := h.Run(r)
			if how := wrong(o); how != "" {
				t.Errorf("%.400s", how)
			}
			if o.Failed() && !strings.Contains(o.Text("msg"), c.about) {
				t.Errorf("%s is not named: %.400s", c.about, o.Text("msg"))
			}
			if len(o.Stdout) > 100<<10 {
				t.Errorf("the report has %d bytes", len(o.Stdout))
			}
			t.Logf("%s: %.200s", o.Took, o.Text("msg"))
		})
	}
}

// numbered makes files with numbers in their names.
func numbered(count int, name string, make func(file string) error) step {
	return func(dir string) error {
		if err := os.MkdirAll(filepath.Dir(dir+name), 0o755); err != nil {
			return err
		}
		for i := range count {
			if err := make(dir + fmt.Sprintf(name, i)); err != nil {
				return err
			}
		}
		return nil
	}
}
