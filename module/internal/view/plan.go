// SPDX-License-Identifier: GPL-3.0-or-later

package view

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// written are the trees that package managers and the rpm database write to even when they only
// answer questions: metadata, logs, locks, and the shared memory of the database.
var written = []string{"/var/cache", "/var/lib", "/var/log", "/var/tmp", "/run", "/usr/lib/sysimage", "/usr/share/rpm",
	"/root", "/etc"}

// scratches are the directories on which the view can mount the file system in memory that it
// writes to.
var scratches = []string{"/tmp", "/mnt", "/media", "/srv"}

// chooseScratch returns the first of scratches that is a directory and does not contain root.
func chooseScratch(root string, isDirectory func(string) bool) (string, error) {
	for _, dir := range scratches {
		if isDirectory(dir) && !strings.HasPrefix(root+"/", dir+"/") {
			return dir, nil
		}
	}
	return "", fmt.Errorf("none of %s is a directory outside of the tree", strings.Join(scratches, ", "))
}

// mount is a line of mountinfo.
type mount struct{ point, kind string }

// readMounts reads mountinfo, see proc(5): the mount point is the fifth field of a line, its type
// the first after a dash alone.
func readMounts(content string) []mount {
	var mounts []mount
	for _, line := range strings.Split(content, "\n") {
		before, after, whole := strings.Cut(line, " - ")
		fields := strings.Split(before, " ")
		kind, _, _ := strings.Cut(after, " ")
		if whole && len(fields) > 4 {
			mounts = append(mounts, mount{mountEscapes.Replace(fields[4]), kind})
		}
	}
	return mounts
}

var mountEscapes = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)

// layer is a directory or file of the view that is not the host's own.
type layer struct {
	target string
	// tree: it is one of the written trees, which is left out where it is missing, or a link into
	// another one.
	tree bool
	// required: without it the view is of no use.
	required bool
	// writable: programs write there, so that a read-only copy is of no use.
	writable bool
	// nested: it contains another layer, or lies in one.
	nested bool
}

// planLayers returns the layers of a view of the host, and of the tree below root, in the order of
// their names: one for each written tree, and one for each mount below, since an overlay does not
// show what is mounted on its lower directory. A mount that cannot hold files of a package manager
// is left out, unless one of the needed files of the tree lies there.
func planLayers(root string, needed []string, mounts []mount) []layer {
	trees := slices.Clone(written)
	if root != "/" {
		for _, tree := range written {
			trees = append(trees, filepath.Join(root, tree))
		}
	}
	required := func(target string) bool {
		return slices.Contains(trees, target) ||
			slices.ContainsFunc(needed,
				func(file string) bool { return strings.HasPrefix(filepath.Join(root, file), target+"/") })
	}
	targets, known := slices.Clone(trees), map[string]bool{}
	for _, tree := range trees {
		known[tree] = true
	}
	for _, m := range mounts {
		below := slices.ContainsFunc(trees, func(tree string) bool { return strings.HasPrefix(m.point, tree+"/") })
		if below && (required(m.point) || !skippedKind(m.kind)) && !known[m.point] {
			known[m.point] = true
			targets = append(targets, m.point)
		}
	}
	slices.Sort(targets) // the outer ones first
	nested := map[string]bool{}
	for _, target := range targets {
		for dir := filepath.Dir(target); dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
			if known[dir] {
				nested[dir], nested[target] = true, true
			}
		}
	}
	layers := make([]layer, 0, len(targets))
	for _, target := range targets {
		layers = append(layers, layer{
			target:   target,
			tree:     slices.Contains(trees, target),
			required: required(target),
			writable: slices.Contains(written, target),
			nested:   nested[target],
		})
	}
	return layers
}

// skippedKind reports whether a file system of this kind is left out of the view: the kernel's own,
// which hold no files of a package manager, or network and FUSE mounts, on which even stat(2) may
// hang.
func skippedKind(kind string) bool {
	return strings.HasPrefix(kind, "fuse") || strings.HasPrefix(kind, "nfs") ||
		slices.Contains(strings.Fields(skippedKinds), kind)
}

const skippedKinds = "proc sysfs cgroup cgroup2 devtmpfs devpts mqueue bpf debugfs tracefs securityfs selinuxfs configfs nsfs autofs " +
	"rpc_pipefs binfmt_misc efivarfs hugetlbfs pstore cifs smb3 ceph 9p afs"
