// SPDX-License-Identifier: GPL-3.0-or-later

//go:build linux

package attack

import (
	"fmt"
	"maps"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"hardening.yama/tests/sandbox"
)

// naming tells whether a text names a file itself, and not only something below it.
func naming(text, name string) bool {
	const no = `[^A-Za-z0-9_./-]` // part of a name
	return regexp.MustCompile(`(^|` + no + `)` + regexp.QuoteMeta(name) + `($|` + no + `|\.( |$))`).MatchString(text)
}

// TestOthersDirectories checks that the program refuses a tree if others may write to one of its
// directories, or to one above it. The message must name the first such directory, and nothing may
// change. Check mode must refuse the tree, too.
func TestOthersDirectories(t *testing.T) {
	sandbox.Enter(t)
	layer := hostLayer(t)
	const root = "/srv/build/img"
	theirs := func(t *testing.T, h *sandbox.Host, name string) { own(t, h, name) }
	mode := func(mode uint32) func(*testing.T, *sandbox.Host, string) {
		return func(t *testing.T, h *sandbox.Host, name string) { must(t, unix.Chmod(h.Path(name), mode)) }
	}
	for _, c := range []struct {
		name string
		make func(*testing.T, *sandbox.Host, string)
		// offenders are the directories that others may write to, the highest first.
		offenders []string
	}{
		{"of another user", theirs, []string{"/srv"}},
		{"of another user", theirs, []string{"/srv/build"}},
		{"of another user", theirs, []string{root}},
		{"of another user", theirs, []string{root + "/etc"}},
		{"of another user", theirs, []string{root + "/etc/sysctl.d"}},
		{"of another user", theirs, []string{"/srv/build", root + "/etc"}},
		{"of another user", theirs, []string{root + "/etc", root + "/etc/sysctl.d"}},
		{"for all to write", mode(0o777), []string{"/srv"}},
		{"for all to write", mode(0o777), []string{"/srv/build"}},
		{"for all to write", mode(0o777), []string{root}},
		{"for all to write", mode(0o777), []string{root + "/etc"}},
		{"for all to write", mode(0o777), []string{root + "/etc/sysctl.d"}},
		{"for a group to write", mode(0o775), []string{root + "/etc"}},
		{"for all to make files in", mode(0o1777), []string{root + "/etc"}},
		{"for all to make files in", mode(0o1777), []string{root + "/etc/sysctl.d"}},
	} {
		for _, check := range []bool{false, true} {
			t.Run(fmt.Sprint(c.name, c.offenders, map[bool]string{true: " check"}[check]), func(t *testing.T) {
				h, _ := builder(t, layer, trees()[0])
				for _, name := range c.offenders {
					c.make(t, h, name)
				}
				refuses(t, h, restricted("root", root, "_ansible_check_mode", check), naming, c.offenders[0])
			})
		}
	}
	for _, name := range []string{"/etc", "/etc/sysctl.d"} {
		t.Run("the host's "+name, func(t *testing.T) {
			h := sandbox.NewHost(t, nil, layer)
			own(t, h, name)
			refuses(t, h, restricted(), naming, name)
		})
	}
	t.Run("a sticky directory above", func(t *testing.T) {
		h, _ := builder(t, layer, trees()[0])
		must(t, unix.Chmod(h.Path("/srv"), 0o1777))
		if o := h.Run(restricted("root", root)); wrong(o) != "" || o.Failed() {
			t.Errorf("in a sticky directory others cannot rename a directory of root: %s %s", wrong(o), o.Stdout)
		}
	})
}

// refuses runs the program. It must fail, name the offender, and change nothing.
func refuses(t *testing.T, h *sandbox.Host, r sandbox.Run, named func(text, name string) bool, name string) {
	t.Helper()
	// A run can cache the answer of a query before it is refused, except in check mode.
	picture := func() sandbox.Picture {
		return h.Picture().Without(func(name string) bool {
			return name == h.Upper+"/run/hardening.yama.rpm" && r.Arguments["_ansible_check_mode"] != true
		})
	}
	value, before := h.Value(), picture()
	o := h.Run(r)
	if how := wrong(o); how != "" {
		t.Fatal(how)
	}
	if !o.Failed() {
		t.Errorf("it is not refused: %s %s", o.Text("msg"), o.Warnings())
	} else if !named(o.Text("msg"), name) {
		t.Errorf("%s is not named: %s", name, o.Text("msg"))
	}
	if changes := picture().Since(before); changes != "" || h.Value() != value {
		t.Errorf("changed: %.500s, the value from %s to %s", changes, value, h.Value())
	}
}

// TestOthersCache checks that the program is not kept where another user could replace it. The run
// must succeed, and a warning must name the directory.
func TestOthersCache(t *testing.T) {
	sandbox.Enter(t)
	layer := hostLayer(t)
	for _, name := range []string{"/var", "/var/cache", "/var/cache/hardening.yama"} {
		t.Run(name, func(t *testing.T) {
			h := sandbox.NewHost(t, nil, layer)
			must(t, os.MkdirAll(h.Path(name), 0o755))
			own(t, h, name)
			o := h.Run(restricted("_hardening_yama_cache_as", checksum))
			if how := wrong(o); how != "" || o.Failed() {
				t.Fatal(how, o.Stdout)
			}
			if !naming(o.Warnings(), name) {
				t.Errorf("%s is not named: %s", name, o.Warnings())
			}
			if _, err := os.Lstat(h.Path("/var/cache/hardening.yama/ptrace_scope-" + checksum)); err == nil {
				t.Error("the program is kept")
			}
		})
	}
}

// TestOthersCopies checks that a line is not commented out if others could change the copy of its
// file. The message must name the directory.
func TestOthersCopies(t *testing.T) {
	sandbox.Enter(t)
	layer := hostLayer(t)
	const local, copies = "/etc/sysctl.d/20-local.conf", "/var/lib/hardening.yama/originals"
	for _, root := range []string{"", "/srv/build/img"} {
		theirs := func(file string) error { return os.Lchown(file, service, service) }
		for _, c := range []struct {
			name, dir string
			change    func(file string) error
		}{
			{"the directory above is another's", path.Dir(copies), theirs},
			{"the directory is another's", copies, theirs},
			{"everybody may make files", copies, func(file string) error { return unix.Chmod(file, 0o1777) }},
		} {
			t.Run(root+" "+c.name, func(t *testing.T) {
				h, _ := builder(t, layer, named("apt"))
				must(t, write(h.Root, root+local, scopeLine), os.MkdirAll(h.Path(root+copies), 0o755))
				must(t, c.change(h.Path(root+c.dir)))
				before := sandbox.PictureOf(h.Path(root + path.Dir(copies)))
				r := restricted("packages", "ignore")
				if root != "" {
					r.Arguments["root"] = root
				}
				o := h.Run(r)
				if how := wrong(o); how != "" || !o.Failed() {
					t.Fatalf("it is not refused: %s %s", how, o.Text("msg"))
				}
				if !naming(o.Text("msg"), root+c.dir) {
					t.Errorf("%s is not named: %s", root+c.dir, o.Text("msg"))
				}
				if content, err := os.ReadFile(h.Path(root + local)); err != nil || string(content) != scopeLine {
					t.Errorf("%s has %q now, %v", local, content, err)
				}
				if changes := sandbox.PictureOf(h.Path(root + path.Dir(copies))).Since(before); changes != "" {
					t.Errorf("changed: %s", changes)
				}
			})
		}
	}
}

// TestRoots takes links as root: those of the kernel below /proc, and others. The program must
// change the tree that the link leads to, or refuse it. It must never change another tree, or the
// host.
func TestRoots(t *testing.T) {
	sandbox.Enter(t)
	layer := hostLayer(t)
	const tree = "/srv/container"
	for _, c := range []struct {
		name string
		// root returns the value of the option root.
		root func(t *testing.T, h *sandbox.Host) string
		dir  string // in which the program starts
		// host: the link leads to the root of the host itself.
		host bool
		// refused is the name that the message must have, "" if the tree may be changed.
		refused string
	}{
		{name: "the root of a container", root: func(t *testing.T, h *sandbox.Host) string {
			return fmt.Sprintf("/proc/%d/root", h.Container(t, tree))
		}},
		{name: "the root of a container, with a slash", root: func(t *testing.T, h *sandbox.Host) string {
			return fmt.Sprintf("/proc/%d/root/", h.Container(t, tree))
		}},
		{name: "a directory below the root of a container", root: func(t *testing.T, h *sandbox.Host) string {
			return fmt.Sprintf("/proc/%d/root/srv/container", h.Container(t, "/"))
		}},
		{name: "the directory of a container's process", root: func(t *testing.T, h *sandbox.Host) string {
			return fmt.Sprintf("/proc/%d/cwd", h.Container(t, tree))
		}},
		{name: "a link to the root of a container", root: func(t *testing.T, h *sandbox.Host) string {
			must(t, os.Symlink(fmt.Sprintf("/proc/%d/root", h.Container(t, tree)), h.Path("/tree")))
			return "/tree"
		}},
		{name: "the own root", root: always("/proc/self/root"), host: true},
		{name: "a directory of another world", root: always("/proc/1/root/hosts"), refused: "/proc/1/root/hosts"},
		{name: "the own directory", root: always("/proc/self/cwd"), dir: tree},
		{name: "the own directory, the host's", root: always("/proc/self/cwd"), host: true},
		{name: "the directory by a thread", root: always("/proc/thread-self/cwd"), dir: tree},
		{name: "a link", root: func(t *testing.T, h *sandbox.Host) string {
			must(t, os.Symlink(tree, h.Path("/tree")))
			return "/tree"
		}},
		{name: "a link to the host", root: func(t *testing.T, h *sandbox.Host) string {
			must(t, os.Symlink("/", h.Path("/tree")))
			return "/tree"
		}, host: true},
		{name: "another user's link", root: linkOf(tree), refused: "/srv/theirs"},
		{name: "another user's link to the host", root: linkOf("/"), refused: "/srv/theirs"},
		{name: "another user's link in a sticky directory", root: func(t *testing.T, h *sandbox.Host) string {
			const dir, name = "/srv/sticky", "/srv/sticky/tree"
			must(t, os.Mkdir(h.Path(dir), 0o755), os.Symlink(tree, h.Path(name)), unix.Chmod(h.Path(dir), 0o1777))
			own(t, h, name)
			return name
		}, refused: "/srv/sticky/tree"},
		{name: "a link by way of another user's", root: func(t *testing.T, h *sandbox.Host) string {
			must(t, os.Symlink(linkOf(tree)(t, h), h.Path("/tree")))
			return "/tree"
		}, refused: "/srv/theirs"},
		{name: "a link to itself", root: func(t *testing.T, h *sandbox.Host) string {
			must(t, os.Symlink("tree", h.Path("/tree")))
			return "/tree"
		}, refused: "/tree"},
		{name: "a FIFO", root: func(t *testing.T, h *sandbox.Host) string {
			must(t, unix.Mkfifo(h.Path("/tree"), 0o644))
			return "/tree"
		}, refused: "/tree"},
		{name: "a device", root: always("/dev/zero"), refused: "/dev/zero"},
		{name: "a file", root: always("/etc/shadow"), refused: "/etc/shadow"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := sandbox.NewHost(t, nil, layer)
			must(t, os.MkdirAll(h.Path(tree), 0o755), trees()[0].fill(h.Path(tree)), h.SetValue("0"))
			r := restricted("packages", "ignore")
			r.Dir, r.Arguments["root"] = c.dir, c.root(t, h)
			if c.refused != "" {
				refuses(t, h, r, strings.Contains, c.refused)
				return
			}
			inTree, onHost := sandbox.PictureOf(h.Upper+tree), elsewhere(h, tree)
			o := h.Run(r)
			if how := wrong(o); how != "" {
				t.Fatal(how)
			}
			ofTree, ofHost := sandbox.PictureOf(h.Upper+tree).Since(inTree), elsewhere(h, tree).Since(onHost)
			if c.host {
				ofTree, ofHost = ofHost, ofTree
			}
			switch changed := o.Report["changed"] == true; {
			case o.Failed() && ofTree+ofHost != "":
				t.Errorf("it failed, and changed: %s %.500s %.500s", o.Text("msg"), ofTree, ofHost)
			case o.Failed():
				t.Log("refused: ", o.Text("msg"))
			case ofHost != "":
				t.Errorf("it changed another tree: %s %.500s", o.Text("msg"), ofHost)
			case !changed || ofTree == "":
				t.Errorf("it says that it changed the tree (%v), and did not: %s", changed, o.Text("msg"))
			case !c.host && h.Value() != "0":
				t.Errorf("the running value is %s", h.Value())
			default:
				t.Log("changed: ", o.Text("msg"))
			}
		})
	}
}

// always returns the same root.
func always(root string) func(*testing.T, *sandbox.Host) string {
	return func(*testing.T, *sandbox.Host) string { return root }
}

// linkOf makes a link in a directory of the service account.
func linkOf(target string) func(*testing.T, *sandbox.Host) string {
	return func(t *testing.T, h *sandbox.Host) string {
		const dir, name = "/srv/theirs", "/srv/theirs/tree"
		must(t, os.Mkdir(h.Path(dir), 0o755), os.Symlink(target, h.Path(name)))
		own(t, h, dir, name)
		return name
	}
}

// TestPlanted plants things under names that the program uses itself, in an /etc/sysctl.d where
// everybody may make files. The program must refuse the directory by name. Later the directory is
// root's alone again, and the planted things must do no harm.
func TestPlanted(t *testing.T) {
	sandbox.Enter(t)
	layer := hostLayer(t)
	const local, hardLink = "/etc/sysctl.d/20-local.conf", "a hard link to etc shadow"
	names := []string{
		local + backup, ownFile, ownFloor, "/etc/sysctl.d/.ptrace_scope-4711.tmp",
		"/etc/sysctl.d/10-default-yama-scope.conf", "/etc/sysctl.d/35-theirs.conf",
	}
	things := map[string]func(at string) error{
		"a link to etc shadow": func(at string) error { return os.Symlink("/etc/shadow", at) },
		"a link to zero":       func(at string) error { return os.Symlink("/dev/zero", at) },
		"a link to nothing":    func(at string) error { return os.Symlink("/srv/new", at) },
		"a link to a FIFO":     func(at string) error { return os.Symlink("/srv/fifo", at) },
		"a FIFO":               func(at string) error { return unix.Mkfifo(at, 0o666) },
		"a socket":             func(at string) error { return unix.Mknod(at, unix.S_IFSOCK|0o666, 0) },
		"a file":               func(at string) error { return os.WriteFile(at, []byte(scopeLine), 0o644) },
		hardLink:               func(at string) error { return os.Link(path.Dir(at)+"/../shadow", at) },
	}
	for _, root := range []string{"", "/srv/build/img"} {
		for _, name := range names {
			for _, what := range slices.Sorted(maps.Keys(things)) {
				plant := things[what]
				t.Run(fmt.Sprint(root, name, " is ", what), func(t *testing.T) {
					h, _ := builder(t, layer, trees()[0])
					at := h.Path(root + name)
					must(t, write(h.Root, root+local, scopeLine), unix.Mkfifo(h.Path("/srv/fifo"), 0o666))
					must(t, write(h.Root, root+"/etc/shadow", shadow), os.Chmod(h.Path(root+"/etc/shadow"), 0o600))
					_ = os.Remove(at)
					must(t, plant(at), unix.Chmod(h.Path(root+"/etc/sysctl.d"), 0o1777))
					if what != hardLink { // which has the owner of the file
						must(t, os.Lchown(at, service, service))
					}
					r := restricted("packages", "ignore")
					if root != "" {
						r.Arguments["root"] = root
					}
					refuses(t, h, r, naming, root+"/etc/sysctl.d")
					must(t, unix.Chmod(h.Path(root+"/etc/sysctl.d"), 0o755))
					before := secrets(h, root)
					o := h.Run(r)
					if how := wrong(o); how != "" {
						t.Errorf("where the directory is root's again: %s", how)
					}
					if o.Failed() && !strings.Contains(o.Text("msg"), name) {
						t.Errorf("where the directory is root's again: %s is not named: %s", name, o.Text("msg"))
					}
					if changes := secrets(h, root).Since(before); changes != "" {
						t.Errorf("where the directory is root's again: %s", changes)
					}
				})
			}
		}
	}
}

// secrets returns the picture of the files that the planted links lead to. The number of hard links
// may become smaller.
func secrets(h *sandbox.Host, root string) sandbox.Picture {
	picture := sandbox.PictureOf(h.Path("/srv/fifo"), h.Path("/srv/new"))
	for _, name := range []string{"/etc/shadow", root + "/etc/shadow"} {
		content, err := os.ReadFile(h.Path(name))
		info, _ := os.Lstat(h.Path(name))
		picture[h.Path(name)] = fmt.Sprint(string(content), err, info.Mode(), info.ModTime())
		_, missing := os.Lstat(h.Path(name + backup))
		picture[h.Path(name+backup)] = fmt.Sprint(os.IsNotExist(missing))
	}
	return picture
}
