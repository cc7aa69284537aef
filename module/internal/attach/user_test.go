// SPDX-License-Identifier: GPL-3.0-or-later

package attach

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestUnusedID(t *testing.T) {
	const (
		all    = "         0          0 4294967295\n"
		small  = "         0     100000      65536\n"
		passwd = "root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n"
	)
	var every strings.Builder // account of the second range
	for id := range low.count {
		fmt.Fprintf(&every, "user%d:x:%[1]d:%[1]d:::\n", low.first+id)
	}
	self := fmt.Sprintf("proc/%d/", os.Getpid())
	maps := func(users, groups string) map[string]string {
		return map[string]string{self + "uid_map": users, self + "gid_map": groups}
	}
	in := func(users, file, content string) map[string]string {
		return map[string]string{self + "uid_map": users, file: content}
	}
	thousand := "0 1000 1\n1 100000 999\n"
	one := func(id int) span { return span{id, 1} }
	for _, c := range []struct {
		name  string
		files map[string]string
		busy  []span
		want  span // count 0: an error
		text  string
	}{
		{"a host", in(all, "etc/passwd", passwd), nil, high, ""},
		{"a kernel without user namespaces", nil, nil, high, ""},
		{"Podman's containers", in(all, "etc/subuid", "containers:2147483647:2147483648\n"), nil, high, ""},
		{"containers with most IDs", in(all, "etc/subuid", "a:1:9\nincus:1000000:4000000000\n"), nil, low, ""},
		{"containers with most groups", in(all, "etc/subgid", "incus:1000000:4000000000"), nil, low, ""},
		{
			"no newline at the end", map[string]string{"etc/subuid": "a:1:9", "etc/subgid": "incus:1000000:4000000000"},
			nil, low, "",
		},
		{"processes of the first range", nil, []span{high}, low, ""},
		{"a container", maps(small, small), nil, low, ""},
		{"fewer groups than users", maps(all, small), nil, low, ""},
		{"accounts everywhere", in(small, "etc/passwd", every.String()), nil, one(overflow), ""},
		{"groups everywhere", in(small, "etc/group", every.String()), nil, one(overflow), ""},
		{"a container for containers", in(small, "etc/subuid", "podman:1:65535\n"), nil, one(overflow), ""},
		{"no nobody", in("0 100000 65534\n", "etc/subuid", "podman:1:65535\n"), nil, one(65533), ""},
		{
			"nobody has processes", in("0 100000 65535\n", "etc/subuid", "podman:1:60000\n"),
			[]span{low, one(overflow)}, span{}, "no user ID",
		},
		{"a thousand IDs", maps(thousand, ""), nil, one(999), ""},
		{"the last has processes", maps(thousand, ""), []span{one(999)}, span{}, "no user ID"},
		{"one ID", maps("0 1000 1\n", ""), nil, span{}, "no user ID"},
		{"one group ID", maps("", "0 1000 1\n"), nil, span{}, "no user ID"},
		{"processes everywhere", nil, []span{{0, math.MaxUint32}}, span{}, "no user ID"},
	} {
		root := t.TempDir()
		for name, content := range c.files {
			name = filepath.Join(root, name)
			if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		id, err := unusedID(root, func(id int) bool { return has(c.busy, id) })
		switch {
		case c.text == "" && err == nil && c.want.has(id):
		case c.text != "" && err != nil && strings.Contains(err.Error(), c.text):
		default:
			t.Errorf("%s: got %d, %v; want one of %v%s", c.name, id, err, c.want, c.text)
		}
	}
}

// TestUnusedIDReadsFilesOnly: what is no file, or too much, is named at once.
func TestUnusedIDReadsFilesOnly(t *testing.T) {
	for name, make := range map[string]func(file string) error{
		"not a regular file": func(file string) error { return syscall.Mkfifo(file, 0o644) },
		"more than 16777216 bytes": func(file string) error {
			f, err := os.Create(file)
			if err != nil {
				return err
			}
			defer f.Close()
			return f.Truncate(1 << 40)
		},
	} {
		root := t.TempDir()
		file := filepath.Join(root, "etc/subgid")
		if err := os.Mkdir(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := make(file); err != nil {
			t.Fatal(err)
		}
		id, err := unusedID(root, hasProcesses)
		if err == nil || !strings.Contains(err.Error(), file) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: got %d, %v", name, id, err)
		}
	}
}

func TestHasProcesses(t *testing.T) {
	if !hasProcesses(os.Getuid()) {
		t.Error("this process has no user ID")
	}
	if id := high.first + os.Getpid(); hasProcesses(id) {
		t.Errorf("user ID %d has processes", id)
	}
}

func FuzzSpans(f *testing.F) {
	f.Add("containers:2147483647:2147483648\n", 2147483648)
	f.Add("a:-1:9223372036854775807\nb:9223372036854775807:9223372036854775807", 1)
	f.Fuzz(func(t *testing.T, content string, id int) {
		for _, s := range spans(content, 1) {
			if s.has(id) && (id < s.first || s.count <= 0) {
				t.Errorf("%v has %d", s, id)
			}
		}
	})
}
