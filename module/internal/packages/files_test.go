// SPDX-License-Identifier: GPL-3.0-or-later

package packages

import (
	"context"
	"testing"

	"hardening.yama/module/internal/tree"
)

// ownersOf returns the packages of files.
func ownersOf(m *Manager, files ...string) (map[string]string, error) {
	found, err := m.Owners(context.Background(), files)
	owners := map[string]string{}
	for _, o := range found {
		owners[o.File] = o.Package
	}
	return owners, err
}

// filesOf opens the tree below a directory.
func filesOf(t *testing.T, root string) *tree.Tree {
	t.Helper()
	files, err := tree.Open(root)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { files.Close() })
	return files
}
