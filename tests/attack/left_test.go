// SPDX-License-Identifier: GPL-3.0-or-later

//go:build linux

package attack

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"hardening.yama/tests/sandbox"
)

// TestNothingLeft checks that no program runs on when a run has ended: on good trees, and where a
// run fails while a query of the package database is under way.
func TestNothingLeft(t *testing.T) {
	sandbox.Enter(t)
	layer := hostLayer(t)
	for _, g := range trees() {
		tree := t.TempDir()
		must(t, os.Chmod(tree, 0o755), g.fill(tree))
		for _, r := range requests(g) {
			for name, spoil := range map[string]func(dir string) error{
				"":                     func(string) error { return nil },
				" with a FIFO of ours": func(dir string) error { return replace(dir, ownFile) },
			} {
				t.Run(g.name+" "+r.name+name, func(t *testing.T) {
					h := sandbox.NewHost(t, func(upper string) error {
						if g.host {
							if err := copyTree(tree, upper); err != nil {
								return err
							}
							return spoil(upper)
						}
						if err := os.Mkdir(upper+image, 0o755); err != nil {
							return err
						}
						if err := copyTree(tree, upper+image); err != nil {
							return err
						}
						return spoil(upper + image)
					}, layer)
					o := h.Run(sandbox.Run{Module: r.module, Arguments: r.arguments, Limit: patience()})
					if how := wrong(o); how != "" {
						t.Error(how)
					}
					for _, command := range o.Left {
						t.Errorf("the run has ended, and this goes on: %.200s", command)
					}
				})
			}
		}
	}
}

// replace puts a FIFO in place of a file.
func replace(dir, name string) error {
	if err := write(dir, name, ""); err != nil {
		return err
	}
	if err := os.Remove(dir + name); err != nil {
		return err
	}
	return unix.Mkfifo(dir+name, 0o644)
}
