// SPDX-License-Identifier: GPL-3.0-or-later

package packages

import (
	"testing"

	"hardening.yama/module/internal/tree"
)

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
