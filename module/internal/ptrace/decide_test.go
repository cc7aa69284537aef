// SPDX-License-Identifier: GPL-3.0-or-later

package ptrace

import (
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"hardening.yama/module/internal/sysctld"
)

var update = flag.Bool("update", false, "write docs/hosts.md from the table of this test")

// observe makes an observed host from what an administrator would tell of it.
func observe(facts ...func(*Observed)) Observed {
	o := Observed{Boot: &Boot{}, Own: map[string]OwnFile{}, Others: map[string]OtherFile{},
		Packaged: map[string]string{}, Enabler: Enabler{Manager: None}}
	for _, f := range facts {
		f(&o)
	}
	return o
}

func kernel(value Scope) func(*Observed) { return func(o *Observed) { o.Runtime = &value } }

func file(path, content string) func(*Observed) {
	return func(o *Observed) {
		f := o.Loaders.Read(path, []byte(content), KeyPath)
		f.ByUFW = path == o.Boot.UFW
		o.Tree = o.Tree.With(f)
		if f.Names() && !slices.Contains(OwnFiles, path) {
			o.Others[path] = OtherFile{Content: content, Target: path,
				Original: "/var/lib/hardening.yama/originals" + path}
		}
	}
}

// sealed is a file that cannot be edited, and why.
func sealed(path, content, why string) func(*Observed) {
	return func(o *Observed) {
		file(path, content)(o)
		o.Others[path] = OtherFile{Content: content, Target: path, NotEditable: why,
			Original: "/var/lib/hardening.yama/originals" + path}
	}
}

// alias is a link to a file.
func alias(path, target string) func(*Observed) {
	return func(o *Observed) {
		o.Others[path] = o.Others[target]
		o.Tree = o.Tree.With(read(path, o.Others[target].Content))
	}
}

// linkAlone is a link to a file elsewhere that sets nothing else.
func linkAlone(path, target, content string) func(*Observed) {
	return func(o *Observed) {
		file(path, content)(o)
		o.Others[path] = OtherFile{Content: content, Target: target, Link: target,
			Original: "/var/lib/hardening.yama/originals" + path}
	}
}

// ufw is a host on which ufw has procps read a file.
func ufw(path, content string) func(*Observed) {
	return func(o *Observed) {
		o.Boot.UFW = path
		file(path, content)(o)
	}
}

// boots is a host of which another boot is known, or none, and why.
func boots(b sysctld.Boot, unknown string) func(*Observed) {
	return func(o *Observed) {
		o.Boot.Unknown = unknown
		o.Loaders.Boot = b
		f := sysctld.ReadCommandLine(nil, KeyPath)
		f.Then = b
		o.Tree = o.Tree.With(f)
	}
}

// tmpfiles is a line of tmpfiles.d that writes the key.
func tmpfiles(path, value string) func(*Observed) {
	return func(o *Observed) {
		o.Boot.Tmpfiles = append(o.Boot.Tmpfiles, sysctld.Setting{Path: path, Line: 1, Value: value})
	}
}

// alpine boots with Alpine's script and busybox.
func alpine(o *Observed) {
	kernel(Restricted)(o)
	boots(sysctld.Alpine, "")(o)
}

func own(path string, state State, value Scope, masks ...string) func(*Observed) {
	return ownNoting(path, state, value, nil, masks...)
}

// ownNoting is own, with notes.
func ownNoting(path string, state State, value Scope, notes []note, masks ...string) func(*Observed) {
	return func(o *Observed) {
		content := render(state, value, "", masks, notes)
		file(path, content)(o)
		o.Own[path] = OwnFile{Content: content, Sound: true}
	}
}

func debuggers(names ...string) func(*Observed) {
	return func(o *Observed) {
		for _, n := range names {
			o.Debuggers = append(o.Debuggers, Debugger{Name: n, Version: "1.0"})
		}
	}
}

// live is a desktop that was installed from a live image: the installer's package requires gdb. Of
// those debuggers it is known whether they count.
func live(found ...Debugger) func(*Observed) {
	return func(o *Observed) {
		o.Incidental = []Debugger{{Name: "anaconda-install-env-deps", Version: "45.9-1"}}
		for _, d := range found {
			d.Version, d.ExcuseKnown = "1.0", true
			o.Debuggers = append(o.Debuggers, d)
		}
	}
}

func enabler(installed string) func(*Observed) {
	return func(o *Observed) {
		o.Enabler.Installed = installed
		file("/usr/lib/sysctl.d/10-default-yama-scope.conf", Key+" = 0\n")(o)
	}
}

func removal(with ...string) func(*Observed) {
	return func(o *Observed) { o.Enabler.Removal = &Removal{With: with} }
}

// asked is the enabler as a package that a person asked for.
func asked(o *Observed) { o.Enabler.Removal = &Removal{UserInstalled: true} }

// repositories were last changed some day.
func repositories(o *Observed) { o.Repositories = someDay }

const someDay = "2026-11-24T06:00:00Z"

func offer(f Offer) func(*Observed) { return func(o *Observed) { o.Enabler.Offer = &f } }

func fedora45(o *Observed) {
	one := Restricted
	o.KernelDefault = &one
	kernel(one)(o)
	o.Enabler.Manager, o.Enabler.Candidates = "dnf5", []string{"yama-ptrace-enable"}
	o.Enabler.DropIns = []string{"10-default-yama-scope.conf"}
}

func fedora44(o *Observed) {
	fedora45(o)
	kernel(Classic)(o)
	o.Enabler.Candidates = []string{"elfutils-default-yama-scope"}
	enabler("elfutils-default-yama-scope")(o)
}

func debian(o *Observed) {
	zero := Classic
	o.KernelDefault = &zero
	kernel(zero)(o)
	o.Enabler.DropIns = []string{"10-default-yama-scope.conf"}
}

// leftBehind: an upgrade has left the old enabler, which is not the distribution's own any more.
func leftBehind(o *Observed) { o.Enabler.Candidates = []string{f45, f44} }

// writable makes a file of ours one that others can write to.
func writable(path string) func(*Observed) {
	return func(o *Observed) {
		own := o.Own[path]
		own.Sound = false
		o.Own[path] = own
	}
}

// startsAt1 is a distribution whose kernels start at 1 and that the module knows no package of.
func startsAt1(o *Observed) {
	one := Restricted
	o.KernelDefault = &one
	kernel(one)(o)
}

// packaged is a drop-in outside /usr/lib that says 1, which a package owns and nobody changed.
func packaged(path, by string) func(*Observed) {
	content := Key + " = 1\n"
	return func(o *Observed) {
		sealed(path, content, "the package "+by+" owns it")(o)
		o.Packaged[path] = by
	}
}

// foreignKernel is a kernel whose default nobody knows.
func foreignKernel(o *Observed) {
	o.KernelDefault = nil
	kernel(Restricted)(o)
}

// unknownRuntime is a running kernel that cannot be asked.
func unknownRuntime(o *Observed) { o.Runtime, o.RuntimeUnknown = nil, "/proc/sys is not mounted" }

func container(o *Observed) { o.Container = "podman" }

func tumbleweed(o *Observed) {
	startsAt1(o)
	o.Enabler.Manager, o.Enabler.Candidates = "zypper", []string{suse}
	o.Enabler.DropIns = []string{"52-yama.conf"}
}

const suse = "aaa_base-yama-enable-ptrace"

// suseEnabler is openSUSE's package, whose drop-in ignores errors.
func suseEnabler(o *Observed) {
	o.Enabler.Installed = suse
	sealed("/usr/lib/sysctl.d/52-yama.conf", "-"+Key+" = 0\n", "it is the distribution's")(o)
}

// apt is the manager of a host that could have an enabler.
func apt(o *Observed) { o.Enabler.Manager, o.Enabler.Candidates = "apt", []string{f45, f44} }

func unknownDistribution(o *Observed) {
	kernel(Restricted)(o)
	o.Enabler.DropIns = []string{"10-default-yama-scope.conf"}
}

var (
	auto = Desired{
		State: StateAuto, RestrictedScope: 1, Packages: PackagesAuto, Conflicts: ConflictsResolve, Persistent: true,
		Runtime: true,
	}
	restricted = with(auto, func(d *Desired) { d.State = StateRestricted })
	permissive = with(auto, func(d *Desired) { d.State = StatePermissive })

	offered    = offer(Offer{Package: "yama-ptrace-enable"})
	notOffered = offer(Offer{})
)

func with(d Desired, change func(*Desired)) Desired { change(&d); return d }

const (
	mask      = "/etc/sysctl.d/10-default-yama-scope.conf"
	ufwConf   = "/etc/ufw/sysctl.conf"
	maskName  = "10-default-yama-scope.conf"
	vendors2  = "/usr/lib/sysctl.d/60-hardened.conf"
	f44       = "elfutils-default-yama-scope"
	f45       = "yama-ptrace-enable"
	setTo0    = "set " + Key + " 0"
	setTo1    = "set " + Key + " 1"
	setTo2    = "set " + Key + " 2"
	dropInTo0 = "write " + DropIn + " 0"
	dropInTo1 = "write " + DropIn + " 1"
	dropInTo2 = "write " + DropIn + " 2"
	floorTo1  = "write " + Floor + " 1"
)

// hosts are the decisions, each named after a host that exists. docs/hosts.md is printed from this
// table.
var hosts = []struct {
	name     string
	desired  Desired
	observed Observed
	scope    Scope
	because  string   // the reason, or the error
	actions  []string // nil: nothing to do
	fails    bool
	reboot   bool // only a reboot brings the scope
	warning  string
}{
	// Fedora 45, as the Change ships it.
	{
		name: "Fedora 45, fresh", desired: auto, observed: observe(fedora45),
		scope: 1, because: "no debugger is installed", actions: []string{floorTo1},
	},
	{
		name: "Fedora 45, after the first run", desired: auto, observed: observe(fedora45, own(Floor, StateAuto, 1)),
		scope: 1, because: "no debugger is installed",
	},
	{
		name: "Fedora 45, strace brought the enabler", desired: auto,
		observed: observe(fedora45, own(Floor, StateAuto, 1), debuggers("strace"), enabler(f45), kernel(0)),
		scope:    0, because: "a debugger is installed: strace 1.0",
	},
	{
		name: "Fedora 45, gdb alone: its weak dependency leads nowhere", desired: auto,
		observed: observe(fedora45, own(Floor, StateAuto, 1), debuggers("gdb"), offered),
		scope:    0, because: "a debugger is installed: gdb 1.0", actions: []string{"install " + f45, floorTo1, setTo0},
	},
	{
		name: "Fedora 45 Workstation from a live image, where only the installer's package requires gdb", desired: auto,
		observed: observe(fedora45, live(Debugger{Name: "gdb", Excused: true}, Debugger{Name: "gdb-headless",
			Excused: true})),
		scope: 1, because: "no debugger counts: only anaconda-install-env-deps 45.9-1 requires gdb 1.0, " +
			"gdb-headless 1.0", actions: []string{floorTo1},
	},
	{
		name: "Fedora 45 Workstation from a live image, and the user installed gdb", desired: auto,
		observed: observe(fedora45, offered, live(Debugger{Name: "gdb"}, Debugger{Name: "gdb-headless"})),
		scope:    0, because: "a debugger is installed: gdb 1.0, gdb-headless 1.0", actions: []string{floorTo1,
			"install " + f45, setTo0},
	},
	{
		name: "Fedora 45 Workstation from a live image, and another package requires gdb, too", desired: auto,
		observed: observe(fedora45, offered, live(Debugger{Name: "gdb"}, Debugger{Name: "gdb-headless"})),
		scope:    0, because: "a debugger is installed: gdb 1.0, gdb-headless 1.0", actions: []string{floorTo1,
			"install " + f45, setTo0},
	},
	{
		name: "Fedora 45 Workstation from a live image, with strace", desired: auto,
		observed: observe(fedora45, enabler(f45), kernel(0), live(Debugger{Name: "gdb", Excused: true},
			Debugger{Name: "strace"})),
		scope: 0, because: "a debugger is installed: strace 1.0", actions: []string{floorTo1},
	},
	{
		name: "Fedora 45 Workstation from a live image, with a hand-built gdb besides", desired: auto,
		observed: observe(fedora45, offered, func(o *Observed) {
			o.Incidental = []Debugger{{Name: "anaconda-install-env-deps"}}
			o.Debuggers = []Debugger{{Name: "gdb", Version: "1.0"}, {Name: "gdb", Path: "/usr/local/bin/gdb"}}
		}),
		scope: 0, because: "a debugger is installed: gdb 1.0, /usr/local/bin/gdb", actions: []string{floorTo1,
			"install " + f45, setTo0},
	},
	{
		name: "Fedora 45 Workstation from a live image, after a person asked for the enabler", desired: auto,
		observed: observe(fedora45, enabler(f45), kernel(0), asked, live(Debugger{Name: "gdb", Excused: true})),
		scope:    0, because: "no debugger counts: only anaconda-install-env-deps 45.9-1 requires gdb 1.0, but the " +
			"user installed yama-ptrace-enable",
		actions: []string{floorTo1},
	},
	{
		name: "Fedora 45, gdb alone, repositories out of reach", desired: auto,
		observed: observe(fedora45, own(Floor, StateAuto, 1), debuggers("gdb"), offer(Offer{Cause: "Curl error (6)"})),
		scope:    0, because: "a debugger is installed: gdb 1.0", actions: []string{dropInTo0, setTo0},
		warning: "cannot install " + f45 + " (Curl error (6)): a drop-in sets 0 instead",
	},
	{
		name: "Fedora 45, debugger removed, enabler and 0 left behind", desired: auto,
		observed: observe(fedora45, own(Floor, StateAuto, 1), enabler(f45), kernel(0), removal()),
		scope:    1, because: "no debugger is installed", actions: []string{"uninstall " + f45, setTo1},
	},
	{
		name: "Fedora 45, no debugger, but the user installed the enabler", desired: auto,
		observed: observe(fedora45, enabler(f45), kernel(0), asked),
		scope:    0, because: "no debugger is installed, but the user installed yama-ptrace-enable",
		actions: []string{floorTo1},
	},
	{
		name: "Fedora 45, restricted before, a person asked for the enabler", desired: auto,
		observed: observe(fedora45, own(DropIn, StateRestricted, 1, maskName), file(mask, ""), enabler(f45), asked),
		scope:    0, because: "no debugger is installed, but the user installed yama-ptrace-enable",
		actions: []string{"unmask " + mask, floorTo1, "remove " + DropIn, setTo0},
	},
	{
		name: "Fedora 45, a removal was ended, and the manager's notes are astray", desired: auto,
		observed: observe(fedora45, own(Floor, StateAuto, 1, maskName), file(mask, ""), enabler(f45), asked),
		scope:    1, because: "no debugger is installed",
		actions: []string{"unmask " + mask, floorTo1, "uninstall " + f45},
	},
	{
		name: "Fedora 45, a drop-in that no known package brought", desired: auto,
		observed: observe(fedora45, enabler(""), kernel(0)),
		scope:    1, because: "no debugger is installed", actions: []string{floorTo1, "mask " + mask, setTo1},
	},
	{
		name: "CentOS Stream 9, dnf is busy and cannot say whether a person asked for the enabler", desired: auto,
		observed: observe(fedora44,
			func(o *Observed) { o.Enabler.Removal = &Removal{Unknown: true, Cause: "dnf is busy"} }),
		scope: 0, because: "no debugger is installed, but the user may have installed " + f44,
		actions: []string{floorTo1},
		warning: f44 + " stays installed: dnf5 does not record whether the user installed it: dnf is busy",
	},
	{
		name: "openSUSE Tumbleweed, whose history of packages was rotated", desired: auto,
		observed: observe(tumbleweed, kernel(0), suseEnabler,
			func(o *Observed) { o.Enabler.Removal = &Removal{Unknown: true} }),
		scope: 0, because: "no debugger is installed, but the user may have installed " + suse,
		actions: []string{floorTo1},
		warning: suse + " stays installed: zypper does not record whether the user installed it",
	},
	{
		name:    "openSUSE Tumbleweed, whose history of packages was rotated since auto installed the enabler",
		desired: auto,
		observed: observe(tumbleweed, kernel(0), suseEnabler,
			ownNoting(Floor, StateAuto, 1, []note{installedNote(suse)}),
			func(o *Observed) { o.Enabler.Removal = &Removal{Unknown: true} }),
		scope: 1, because: "no debugger is installed", actions: []string{floorTo1, "uninstall " + suse, setTo1},
	},
	{
		name: "CentOS Stream 9, the same, and restricted before", desired: auto,
		observed: observe(fedora44, kernel(1), own(DropIn, StateRestricted, 1, maskName), file(mask, ""),
			func(o *Observed) { o.Enabler.Removal = &Removal{Unknown: true, Cause: "dnf is busy"} }),
		scope: 1, because: "no debugger is installed", actions: []string{floorTo1, "remove " + DropIn},
		warning: f44 + " stays installed and its drop-in is masked: dnf is busy",
	},
	{
		name: "Fedora 45, a hand-built gdb in /usr/local/bin", desired: auto,
		observed: observe(fedora45, offered, func(o *Observed) {
			o.Debuggers = []Debugger{{Name: "gdb", Path: "/usr/local/bin/gdb"}}
		}),
		scope: 0, because: "a debugger is installed: /usr/local/bin/gdb",
		actions: []string{floorTo1, "install " + f45, setTo0},
	},
	{
		name: "Fedora 45, the administrator has a drop-in of 2", desired: auto,
		observed: observe(fedora45, kernel(2), file("/etc/sysctl.d/50-site.conf", Key+" = 2\n"), debuggers("gdb")),
		scope:    2, because: "/etc/sysctl.d/50-site.conf:1 sets 2, which is the administrator's setting",
	},
	{
		name: "Fedora 45, 2 on the kernel's command line", desired: auto,
		observed: observe(fedora45, kernel(2), func(o *Observed) {
			o.Tree = o.Tree.With(sysctld.ReadCommandLine([]byte("ro sysctl.kernel.yama.ptrace_scope=2"), KeyPath))
		}),
		scope: 2, because: "/proc/cmdline:1 sets 2, which is the administrator's setting",
	},
	{
		name: "Fedora 45, the administrator has masked the enabler", desired: auto,
		observed: observe(fedora45, file(mask, ""), debuggers("strace"), enabler(f45)),
		scope:    1, because: "the administrator has masked " + maskName, actions: []string{floorTo1},
	},
	{
		name: "Fedora 45, the administrator set 2 by hand", desired: auto,
		observed: observe(fedora45, own(Floor, StateAuto, 1), debuggers("strace"), enabler(f45), kernel(2)),
		scope:    0, because: "a debugger is installed: strace 1.0",
		warning: "the running value 2 is stricter than 0 and is kept (exact=true would set 0)",
	},
	{
		name: "Fedora 45, fresh", desired: restricted, observed: observe(fedora45),
		scope: 1, because: "state=restricted, restricted_scope=1", actions: []string{dropInTo1, "mask " + mask},
	},
	{
		name: "Fedora 45 with strace and the enabler", desired: restricted,
		observed: observe(fedora45, debuggers("strace"), enabler(f45), kernel(0), removal()),
		scope:    1, because: "state=restricted, restricted_scope=1",
		actions: []string{dropInTo1, "mask " + mask, "uninstall " + f45, setTo1},
	},
	{
		name: "Fedora 45, after auto", desired: restricted,
		observed: observe(fedora45, own(Floor, StateAuto, 1)),
		scope:    1, because: "state=restricted, restricted_scope=1",
		actions: []string{dropInTo1, "mask " + mask, "remove " + Floor},
	},
	{
		name: "Fedora 45, restricted, then strace brought the enabler again", desired: restricted,
		observed: observe(fedora45, own(DropIn, StateRestricted, 1, maskName), file(mask, ""), debuggers("strace"),
			enabler(f45), removal()),
		scope: 1, because: "state=restricted, restricted_scope=1", actions: []string{"uninstall " + f45},
	},
	{
		name: "Fedora 45, the administrator has a drop-in of 2", desired: restricted,
		observed: observe(fedora45, kernel(2), file("/etc/sysctl.d/50-site.conf", Key+" = 2\n")),
		scope:    2,
		because:  "/etc/sysctl.d/50-site.conf:1 sets 2, which is stricter than restricted_scope=1, and exact=false keeps it",
		actions:  []string{dropInTo2, "mask " + mask},
	},
	{
		name:     "Fedora 45, the administrator has a drop-in of 2, exact",
		desired:  with(restricted, func(d *Desired) { d.Exact = true }),
		observed: observe(fedora45, kernel(2), file("/etc/sysctl.d/50-site.conf", Key+" = 2\n")),
		scope:    1, because: "state=restricted, restricted_scope=1",
		actions: []string{dropInTo1, "mask " + mask, setTo1},
	},
	{
		name: "Fedora 45, a local file that sorts after ours", desired: restricted,
		observed: observe(fedora45, file("/etc/sysctl.d/zzz-last.conf", Key+" = 0\n")),
		scope:    1, because: "state=restricted, restricted_scope=1",
		actions: []string{dropInTo1, "mask " + mask, "comment /etc/sysctl.d/zzz-last.conf"},
	},
	{
		name: "Fedora 45, one behind the other", desired: restricted,
		observed: observe(fedora45, file("/etc/sysctl.d/zzz-last.conf", Key+" = 2\n"),
			file("/etc/sysctl.d/zzy.conf", Key+" = bogus\n"),
			file("/etc/sysctl.d/99-site.conf", "vm.swappiness=1\n"+Key+" = 0\n"),
			file("/etc/sysctl.d/50-site.conf", Key+" = 1\n")),
		scope: 2, because: "/etc/sysctl.d/zzz-last.conf:1 sets 2, which is stricter than restricted_scope=1, and exact=false keeps it",
		actions: []string{dropInTo2, "mask " + mask, "comment /etc/sysctl.d/99-site.conf", setTo2},
	},
	{
		name: "Fedora 45, exact, one behind the other", desired: with(restricted, func(d *Desired) { d.Exact = true }),
		observed: observe(fedora45, file("/etc/sysctl.d/zzz-last.conf", Key+" = 2\n"),
			file("/etc/sysctl.d/zzy.conf", Key+" = bogus\n")),
		scope: 1, because: "state=restricted, restricted_scope=1",
		actions: []string{dropInTo1, "mask " + mask, "comment /etc/sysctl.d/zzz-last.conf",
			"comment /etc/sysctl.d/zzy.conf"},
	},
	{
		name: "Fedora 45, /etc/sysctl.conf and the link to it", desired: restricted,
		observed: observe(fedora45, own(DropIn, StateRestricted, 1, maskName), file(mask, ""),
			file("/etc/sysctl.conf", Key+"=0\n"),
			alias("/etc/sysctl.d/99-sysctl.conf", "/etc/sysctl.conf")),
		scope: 1, because: "state=restricted, restricted_scope=1",
		actions: []string{"comment /etc/sysctl.conf"},
	},
	{
		name: "Fedora 45, a role that writes its setting back", desired: restricted,
		observed: observe(fedora45, own(DropIn, StateRestricted, 1, maskName), file(mask, ""), func(o *Observed) {
			file("/etc/sysctl.d/99-sysctl.conf", Key+"=0\n")(o)
			other := o.Others["/etc/sysctl.d/99-sysctl.conf"]
			other.Edited = true
			o.Others["/etc/sysctl.d/99-sysctl.conf"] = other
		}),
		scope: 1, because: "state=restricted, restricted_scope=1",
		actions: []string{"comment /etc/sysctl.d/99-sysctl.conf"},
		warning: "/etc/sysctl.d/99-sysctl.conf sets " + Key +
			" again, though an earlier run commented it out: another tool writes this file: " +
			"change it there, or use conflicts=report",
	},
	{
		name: "Fedora 45, a local file that cannot be edited", desired: restricted,
		observed: observe(fedora45,
			sealed("/etc/sysctl.d/zzz-last.conf", Key+" = 0\n", "it is a link to /usr/share/site.conf")), fails: true,
		because: "/etc/sysctl.d/zzz-last.conf:1 sets \"0\" and overrides our drop-in, so the next boot would not set 1. It cannot be commented out, " +
			"because it is a link to /usr/share/site.conf: remove that line, or rename the file so that it sorts before " +
			DropIn,
	},
	{
		name: "Fedora 45, a harmless one that cannot be edited", desired: restricted,
		observed: observe(fedora45, own(DropIn, StateRestricted, 1, maskName), file(mask, ""),
			sealed("/etc/sysctl.d/50-site.conf", Key+" = 0\n", "it is a link to /usr/share/site.conf")),
		scope: 1, because: "state=restricted, restricted_scope=1",
		warning: "/etc/sysctl.d/50-site.conf:1 sets \"0\", which is below 1; it stays, because it is a link to /usr/share/site.conf",
	},
	{
		name:    "Fedora 45, conflicts are to be reported",
		desired: with(restricted, func(d *Desired) { d.Conflicts = ConflictsReport }),
		observed: observe(fedora45, own(DropIn, StateRestricted, 1, maskName), file(mask, ""),
			file("/etc/sysctl.d/zzz-last.conf", Key+" = 0\n")),
		scope: 1, because: "state=restricted, restricted_scope=1",
		warning: "/etc/sysctl.d/zzz-last.conf:1 sets \"0\", which takes effect at the next boot; it stays (conflicts=report)",
	},
	{
		name:    "Fedora 45, conflicts are to fail",
		desired: with(restricted, func(d *Desired) { d.Conflicts = ConflictsFail }),
		observed: observe(fedora45, file("/etc/sysctl.conf", Key+" = 0\n"),
			file("/etc/sysctl.d/50-site.conf", Key+" = 0\n")), fails: true,
		because: "conflicting settings found: /etc/sysctl.conf:1 sets \"0\", which takes effect with `sysctl --system`; " +
			"/etc/sysctl.d/50-site.conf:1 sets \"0\", which is below 1. Nothing was changed (conflicts=fail)",
	},
	{
		name: "Fedora 45, a vendor's drop-in that sorts after ours", desired: restricted,
		observed: observe(fedora45, file("/usr/lib/sysctl.d/zzz-vendor.conf", "# why\n"+Key+" = 0\n")),
		scope:    1, because: "state=restricted, restricted_scope=1",
		actions: []string{dropInTo1, "mask " + mask, "mask /etc/sysctl.d/zzz-vendor.conf"},
	},
	{
		name: "Fedora 45, a vendor's drop-in that sorts after ours and does more", desired: restricted,
		observed: observe(fedora45,
			sealed("/usr/lib/sysctl.d/zzz-vendor.conf", "vm.swappiness = 1\n"+Key+" = 0\n",
				"it is the distribution's")), fails: true,
		because: "/usr/lib/sysctl.d/zzz-vendor.conf:2 sets \"0\" and overrides our drop-in, so the next boot would not set 1. It cannot be commented out, " +
			"because it is the distribution's: copy the file to /etc/sysctl.d under its own name, without that line",
	},
	{
		name: "Ubuntu, with a setting in ufw's own file", desired: restricted,
		observed: observe(unknownDistribution, own(DropIn, StateRestricted, 1), ufw(ufwConf,
			"net/ipv4/ip_forward=1\nkernel/yama/ptrace_scope=0\n")),
		scope: 1, because: "state=restricted, restricted_scope=1", actions: []string{"comment " + ufwConf},
	},
	{
		name: "Ubuntu, IPT_SYSCTL of ufw names a drop-in", desired: restricted,
		observed: observe(startsAt1, own(DropIn, StateRestricted, 1), ufw("/etc/sysctl.d/20-ufw.conf",
			Key+"=1\n"+Key+"=0\n")),
		scope: 1, because: "state=restricted, restricted_scope=1",
		actions: []string{"comment /etc/sysctl.d/20-ufw.conf"},
	},
	{
		name: "Debian, a 0 in ufw's own file", desired: auto, observed: observe(debian, ufw(ufwConf, Key+" = 0\n")),
		scope: 0, because: ufwConf + ":1 sets 0, which is the administrator's setting",
		warning: "the loaders disagree: the next boot sets 0 (" + ufwConf + ":1), `sysctl --system` would set nothing",
	},
	{
		name: "Linux Mint, a 2 in ufw's own file", desired: restricted, observed: observe(startsAt1, ufw(ufwConf,
			Key+" = 2\n")),
		scope: 2, because: ufwConf + ":1 sets 2, which is stricter than restricted_scope=1, and exact=false keeps it",
		actions: []string{dropInTo2, setTo2},
	},
	{
		name: "Ubuntu, a setting in ufw's own file, conflicts are to be reported", desired: with(restricted,
			func(d *Desired) { d.Conflicts = ConflictsReport }),
		observed: observe(startsAt1, own(DropIn, StateRestricted, 1), ufw(ufwConf, Key+" = 0\n")),
		scope:    1, because: "state=restricted, restricted_scope=1",
		warning: ufwConf +
			":1 sets \"0\", which ufw applies each time it starts, after the boot's own settings; " +
			"it stays (conflicts=report)\n" +
			"the loaders disagree: the next boot sets 0 (" + ufwConf + ":1), `sysctl --system` would set 1 (" +
			DropIn + ":2)",
	},
	{
		name: "Ubuntu, a setting in ufw's own file that cannot be edited", desired: restricted,
		observed: observe(startsAt1, own(DropIn, StateRestricted, 1), ufw(ufwConf, Key+" = 0\n"), sealed(ufwConf,
			Key+" = 0\n", "it is writable by others")), fails: true,
		because: ufwConf +
			":1 sets \"0\" and overrides our drop-in, so the next boot would not set 1. It cannot be commented out, " +
			"because it is writable by others: remove that line",
	},
	// Links of an administrator's that lead out of sysctl.d.
	{
		name: "Fedora 45, a link to a file that sets nothing else", desired: restricted,
		observed: observe(fedora45, own(DropIn, StateRestricted, 1, maskName), file(mask, ""),
			linkAlone("/etc/sysctl.d/zzz-site.conf", "/srv/site.conf", Key+" = 0\n")),
		scope: 1, because: "state=restricted, restricted_scope=1",
		actions: []string{"mask /etc/sysctl.d/zzz-site.conf"},
	},
	{
		name: "Ubuntu, a harmless link to a file that sets nothing else", desired: restricted,
		observed: observe(startsAt1, own(DropIn, StateRestricted, 1), linkAlone("/etc/sysctl.d/50-site.conf",
			"/opt/site.conf", Key+" = 0\n")),
		scope: 1, because: "state=restricted, restricted_scope=1",
		actions: []string{"mask /etc/sysctl.d/50-site.conf"},
	},
	{
		name: "Debian, two links to one file that sets nothing else", desired: permissive,
		observed: observe(debian, linkAlone("/etc/sysctl.d/50-site.conf", "/srv/site.conf", Key+" = 1\n"),
			linkAlone("/run/sysctl.d/60-site.conf", "/srv/site.conf", Key+" = 1\n")),
		scope: 0, because: "state=permissive", actions: []string{dropInTo0},
	},
	{
		name: "Debian, a link that sorts last", desired: permissive,
		observed: observe(debian, linkAlone("/etc/sysctl.d/zzz-site.conf", "/srv/site.conf", Key+" = 1\n")),
		scope:    0, because: "state=permissive", actions: []string{dropInTo0, "mask /etc/sysctl.d/zzz-site.conf"},
	},
	{
		name: "Fedora 45, scope 2", desired: with(restricted, func(d *Desired) { d.RestrictedScope = 2 }),
		observed: observe(fedora45),
		scope:    2, because: "state=restricted, restricted_scope=2",
		actions: []string{dropInTo2, "mask " + mask, setTo2},
	},
	{
		name: "Fedora 45, scope 3", desired: with(restricted, func(d *Desired) { d.RestrictedScope = 3 }),
		observed: observe(fedora45),
		scope:    3, because: "state=restricted, restricted_scope=3",
		actions: []string{"write " + DropIn + " 3", "mask " + mask, "set " + Key + " 3"},
		warning: "scope 3 can only be undone by a reboot: until then no process can be traced, not even by root",
	},
	{
		name: "Fedora 45, the kernel locked at 3", desired: with(restricted, func(d *Desired) { d.Exact = true }),
		observed: observe(fedora45, kernel(3)),
		scope:    1, because: "state=restricted, restricted_scope=1", actions: []string{dropInTo1, "mask " + mask},
		reboot:  true,
		warning: "the running value stays 3 until the next boot, which sets 1",
	},
	{
		name: "Fedora 45, the package manager could not remove the enabler", desired: restricted,
		observed: observe(fedora45, own(DropIn, StateRestricted, 1, maskName), file(mask, ""), enabler(f45),
			func(o *Observed) { o.Enabler.Failed(Action{}, errors.New("dnf5 remove: exit code 1")) }),
		scope: 1, because: "state=restricted, restricted_scope=1",
		warning: f45 + " stays installed and its drop-in is masked: dnf5 remove: exit code 1",
	},
	{
		name:     "Fedora 45 with strace, packages left alone",
		desired:  with(restricted, func(d *Desired) { d.Packages = PackagesIgnore }),
		observed: observe(fedora45, debuggers("strace"), enabler(f45), kernel(0)),
		scope:    1, because: "state=restricted, restricted_scope=1",
		actions: []string{dropInTo1, "mask " + mask, setTo1},
	},
	{
		name:     "Fedora 45, only the running kernel",
		desired:  with(restricted, func(d *Desired) { d.Persistent = false }),
		observed: observe(fedora45, enabler(f45), kernel(0)),
		scope:    1, because: "state=restricted, restricted_scope=1", actions: []string{setTo1},
	},
	{
		name: "Fedora 45, only the next boot", desired: with(restricted, func(d *Desired) { d.Runtime = false }),
		observed: observe(fedora45, kernel(0)),
		scope:    1, because: "state=restricted, restricted_scope=1", actions: []string{dropInTo1, "mask " + mask},
	},
	{
		name: "Fedora 45, fresh", desired: permissive, observed: observe(fedora45, offered),
		scope: 0, because: "state=permissive", actions: []string{"install " + f45, setTo0},
	},
	{
		name: "Fedora 45 with the enabler", desired: permissive, observed: observe(fedora45, enabler(f45), kernel(0)),
		scope: 0, because: "state=permissive",
	},
	{
		name: "Fedora 45, after restricted", desired: permissive,
		observed: observe(fedora45, own(DropIn, StateRestricted, 1, maskName), file(mask, ""), offered),
		scope:    0, because: "state=permissive",
		actions: []string{"unmask " + mask, "install " + f45, "remove " + DropIn, setTo0},
	},
	{
		name: "Fedora 45, no repository offers the enabler", desired: permissive,
		observed: observe(fedora45, repositories, notOffered),
		scope:    0, because: "state=permissive", actions: []string{dropInTo0, setTo0},
		warning: "cannot install " + f45 + " (no enabled repository has it): a drop-in sets 0 instead",
	},
	{
		name: "Fedora 45, installing the enabler would upgrade elfutils", desired: permissive,
		observed: observe(fedora45, offer(Offer{Package: f45, With: []string{"elfutils", "elfutils-libs"}})),
		scope:    0, because: "state=permissive", actions: []string{dropInTo0, setTo0},
		warning: "cannot install " + f45 +
			" (installing yama-ptrace-enable would also change elfutils, elfutils-libs): a drop-in sets 0 instead",
	},
	{
		name: "Fedora 45, no repository offers the enabler, packages must be managed", fails: true,
		desired:  with(permissive, func(d *Desired) { d.Packages = PackagesManage }),
		observed: observe(fedora45, notOffered),
		because:  "cannot install the enabler: no enabled repository has it (packages=manage; packages=auto would write a drop-in instead)",
	},
	{
		name: "Fedora 45, the administrator has masked the enabler", desired: permissive,
		observed: observe(fedora45, file(mask, ""), enabler(f45)),
		scope:    0, because: "state=permissive", actions: []string{dropInTo0, setTo0},
	},
	{
		name: "Fedora 45 without the enabler, which the administrator has masked", desired: permissive,
		observed: observe(fedora45, file(mask, ""), offered),
		scope:    0, because: "state=permissive", actions: []string{dropInTo0, setTo0},
	},
	{
		name: "Fedora 45, a killed run left a temporary file", desired: permissive,
		observed: observe(fedora45, enabler(f45), kernel(0),
			func(o *Observed) { o.Leftovers = []Leftover{{Path: "/etc/sysctl.d/.ptrace_scope-1.tmp"}} }),
		scope: 0, because: "state=permissive", actions: []string{"remove /etc/sysctl.d/.ptrace_scope-1.tmp"},
	},
	// Fedora 44: systemd's own dependencies require the enabler.
	{
		name: "Fedora 44, elfutils-libs requires the enabler", desired: restricted,
		observed: observe(fedora44, removal("elfutils-libs-0.195-1.fc44.x86_64")),
		scope:    1, because: "state=restricted, restricted_scope=1",
		actions: []string{dropInTo1, "mask " + mask, setTo1},
		warning: f44 + " stays installed and its drop-in is masked: removing " + f44 +
			" would also remove elfutils-libs-0.195-1.fc44.x86_64",
	},
	{
		name: "Fedora 44, after restricted", desired: restricted,
		observed: observe(fedora44, kernel(1),
			ownNoting(DropIn, StateRestricted, 1, []note{requiredNote(f44)}, maskName), file(mask, "")),
		scope: 1, because: "state=restricted, restricted_scope=1",
	},
	{
		name:     "Fedora 44, packages must be managed",
		desired:  with(restricted, func(d *Desired) { d.Packages = PackagesManage }),
		observed: observe(fedora44, removal("elfutils-libs")), fails: true,
		because: "cannot remove the enabler: removing " + f44 +
			" would also remove elfutils-libs (packages=manage; packages=auto would mask its drop-in instead)",
	},
	{
		name: "Fedora 44, no debugger", desired: auto, observed: observe(fedora44, removal("elfutils-libs")),
		scope: 1, because: "no debugger is installed", actions: []string{floorTo1, "mask " + mask, setTo1},
		warning: f44 + " stays installed and its drop-in is masked: removing " + f44 +
			" would also remove elfutils-libs",
	},
	{
		name: "Fedora 44, masked before, now with gdb", desired: auto,
		observed: observe(fedora44, kernel(1), own(Floor, StateAuto, 1, maskName), file(mask, ""), debuggers("gdb")),
		scope:    0, because: "a debugger is installed: gdb 1.0", actions: []string{"unmask " + mask, floorTo1, setTo0},
	},
	{
		name: "Fedora 44", desired: permissive, observed: observe(fedora44), scope: 0, because: "state=permissive",
	},
	{
		name: "Fedora 45 that was 44: the old enabler is required no more", desired: restricted,
		observed: observe(fedora45, ownNoting(DropIn, StateRestricted, 1, []note{requiredNote(f44)}, maskName),
			file(mask, ""), enabler(f44), leftBehind, removal()),
		scope: 1, because: "state=restricted, restricted_scope=1", actions: []string{dropInTo1, "uninstall " + f44},
	},
	// Distributions without an enabler.
	{
		name: "Debian, whose kernel starts at 0", desired: permissive, observed: observe(debian), scope: 0,
		because: "state=permissive",
	},
	{
		name: "Debian", desired: restricted, observed: observe(debian),
		scope: 1, because: "state=restricted, restricted_scope=1", actions: []string{dropInTo1, setTo1},
	},
	{
		name: "Debian, after restricted", desired: permissive,
		observed: observe(debian, kernel(1), own(DropIn, StateRestricted, 1)),
		scope:    0, because: "state=permissive", actions: []string{"remove " + DropIn, setTo0},
	},
	{
		name: "Debian without a debugger", desired: auto, observed: observe(debian),
		scope: 1, because: "no debugger is installed", actions: []string{dropInTo1, setTo1},
	},
	{
		name: "A distribution nobody described, with strace", desired: auto,
		observed: observe(unknownDistribution, debuggers("strace")),
		scope:    0, because: "a debugger is installed: strace 1.0", actions: []string{dropInTo0, setTo0},
	},
	{
		name: "Kali with dnf and rpm, gdb in dpkg's database", desired: auto,
		observed: observe(unknownDistribution, apt, debuggers("gdb"), notOffered),
		scope:    0, because: "a debugger is installed: gdb 1.0", actions: []string{floorTo1, dropInTo0, setTo0},
		warning: "cannot install yama-ptrace-enable (no enabled repository has it): a drop-in sets 0 instead",
	},
	{
		name: "Gentoo with an empty rpm database, and strace in /usr/bin", desired: auto,
		observed: observe(unknownDistribution, func(o *Observed) {
			o.Debuggers = []Debugger{{Name: "strace", Path: "/usr/bin/strace"}}
		}),
		scope: 0, because: "a debugger is installed: /usr/bin/strace", actions: []string{dropInTo0, setTo0},
	},
	{
		name: "Bedrock Linux, a debugger in each of its databases", desired: auto,
		observed: observe(unknownDistribution, apt, debuggers("gdb", "strace"), notOffered),
		scope:    0, because: "a debugger is installed: gdb 1.0, strace 1.0",
		actions: []string{floorTo1, dropInTo0, setTo0},
		warning: "cannot install yama-ptrace-enable (no enabled repository has it): a drop-in sets 0 instead",
	},
	{
		name: "A distribution nobody described, with a vendor's drop-in of 1", desired: permissive,
		observed: observe(unknownDistribution, file("/usr/lib/sysctl.d/50-default.conf", Key+" = 1\n")),
		scope:    0, because: "state=permissive", actions: []string{dropInTo0, setTo0},
	},
	{
		name: "A packaged drop-in in /etc, unchanged", desired: auto,
		observed: observe(unknownDistribution, debuggers("gdb"), file("/etc/sysctl.d/10-ptrace.conf", Key+" = 1\n"),
			func(o *Observed) { o.Packaged["/etc/sysctl.d/10-ptrace.conf"] = "procps" }),
		scope: 0, because: "a debugger is installed: gdb 1.0", actions: []string{dropInTo0, setTo0},
	},
	// Azure Linux has a package of Fedora's name, with a file in /etc that says 1.
	{
		name: "Azure Linux", desired: permissive,
		observed: observe(startsAt1, packaged("/etc/sysctl.d/10-default-yama-scope.conf", f44)),
		scope:    0, because: "state=permissive", actions: []string{dropInTo0, setTo0},
	},
	{
		name: "Azure Linux", desired: restricted,
		observed: observe(startsAt1, packaged("/etc/sysctl.d/10-default-yama-scope.conf", f44)),
		scope:    1, because: "state=restricted, restricted_scope=1", actions: []string{dropInTo1},
	},
	{
		name: "Azure Linux, with gdb", desired: auto,
		observed: observe(startsAt1, packaged("/etc/sysctl.d/10-default-yama-scope.conf", f44), debuggers("gdb")),
		scope:    0, because: "a debugger is installed: gdb 1.0", actions: []string{dropInTo0, setTo0},
	},
	// openSUSE's drop-in ignores errors.
	{
		name: "openSUSE Tumbleweed, with the enabler", desired: restricted,
		observed: observe(tumbleweed, kernel(0), suseEnabler, removal()),
		scope:    1, because: "state=restricted, restricted_scope=1",
		actions: []string{dropInTo1, "mask /etc/sysctl.d/52-yama.conf", "uninstall " + suse, setTo1},
	},
	{
		name: "openSUSE Tumbleweed, with the enabler", desired: permissive,
		observed: observe(tumbleweed, kernel(0), suseEnabler),
		scope:    0, because: "state=permissive",
	},
	{
		name: "openSUSE Tumbleweed, with gdb", desired: auto,
		observed: observe(tumbleweed, debuggers("gdb"), offer(Offer{Package: suse})),
		scope:    0, because: "a debugger is installed: gdb 1.0",
		actions: []string{floorTo1, "install " + suse, setTo0},
	},
	{
		name: "openSUSE MicroOS, with gdb: /usr changes in snapshots only", desired: auto,
		observed: observe(tumbleweed, debuggers("gdb"), offer(Offer{Cause: "/usr is read-only here"})),
		scope:    0, because: "a debugger is installed: gdb 1.0", actions: []string{floorTo1, dropInTo0, setTo0},
		warning: "cannot install " + suse + " (/usr is read-only here): a drop-in sets 0 instead",
	},
	{
		name: "openSUSE MicroOS, with the enabler in its image", desired: auto,
		observed: observe(tumbleweed, kernel(0), suseEnabler,
			func(o *Observed) { o.Enabler.Removal = &Removal{Cause: "/usr is read-only here"} }),
		scope: 1, because: "no debugger is installed",
		actions: []string{floorTo1, "mask /etc/sysctl.d/52-yama.conf", setTo1},
		warning: suse + " stays installed and its drop-in is masked: /usr is read-only here",
	},
	{
		name: "openSUSE MicroOS, with the enabler in its image, since a person asked for it", desired: auto,
		observed: observe(tumbleweed, kernel(0), suseEnabler,
			func(o *Observed) { o.Enabler.Removal = &Removal{UserInstalled: true, Cause: "/usr is read-only here"} }),
		scope: 0, because: "no debugger is installed, but the user installed " + suse, actions: []string{floorTo1},
	},
	// Ubuntu's procps has a conffile that says 1.
	{
		name: "Ubuntu, scope 2", desired: with(restricted, func(d *Desired) { d.RestrictedScope = 2 }),
		observed: observe(startsAt1, packaged("/etc/sysctl.d/10-ptrace.conf", "procps")),
		scope:    2, because: "state=restricted, restricted_scope=2", actions: []string{dropInTo2, setTo2},
	},
	{
		name: "Ubuntu, an administrator has changed the conffile", desired: restricted,
		observed: observe(startsAt1, kernel(0), file("/etc/sysctl.d/10-ptrace.conf", Key+" = 0\n")),
		scope:    1, because: "state=restricted, restricted_scope=1",
		actions: []string{dropInTo1, "comment /etc/sysctl.d/10-ptrace.conf", setTo1},
	},
	{
		name: "Ubuntu, procps' conffile is diverted, and an administrator's file has its name", desired: restricted,
		observed: observe(startsAt1, kernel(0), file("/etc/sysctl.d/10-ptrace.conf", Key+" = 0\n")),
		scope:    1, because: "state=restricted, restricted_scope=1",
		actions: []string{dropInTo1, "comment /etc/sysctl.d/10-ptrace.conf", setTo1},
	},
	{
		name: "CentOS Stream 9, the administrator wrote a file that its package names only (%ghost)", desired: auto,
		observed: observe(startsAt1, debuggers("gdb"), file("/etc/sysctl.d/10-ptrace.conf", Key+" = 1\n")),
		scope:    1, because: "/etc/sysctl.d/10-ptrace.conf:1 sets 1, which is the administrator's setting",
	},
	{
		name: "Debian, a removed package has left its conffile", desired: auto,
		observed: observe(debian, debuggers("gdb"), packaged("/etc/sysctl.d/10-ptrace.conf", "site")),
		scope:    0, because: "a debugger is installed: gdb 1.0", actions: []string{dropInTo0},
	},
	{
		name: "Ubuntu, without a debugger", desired: auto,
		observed: observe(startsAt1, packaged("/etc/sysctl.d/10-ptrace.conf", "procps")),
		scope:    1, because: "no debugger is installed",
	},
	{
		name: "Debian 12 with lldb-19", desired: auto, observed: observe(debian, kernel(1), debuggers("lldb-19")),
		scope: 0, because: "a debugger is installed: lldb-19 1.0", actions: []string{setTo0},
	},
	{
		name: "CentOS 7 with devtoolset-12-strace", desired: auto, observed: observe(fedora44,
			debuggers("devtoolset-12-strace")),
		scope: 0, because: "a debugger is installed: devtoolset-12-strace 1.0", actions: []string{floorTo1},
	},
	{
		name: "RHEL 9 with gcc-toolset-14-gdb", desired: auto, observed: observe(fedora44,
			debuggers("gcc-toolset-14-gdb")),
		scope: 0, because: "a debugger is installed: gcc-toolset-14-gdb 1.0", actions: []string{floorTo1},
	},
	{
		name: "NixOS with gdb in the profile of the system", desired: auto,
		observed: observe(startsAt1, func(o *Observed) {
			o.Debuggers = []Debugger{{Name: "gdb", Path: "/run/current-system/sw/bin/gdb"}}
		}),
		scope: 0, because: "a debugger is installed: /run/current-system/sw/bin/gdb", actions: []string{dropInTo0,
			setTo0},
	},
	{
		name: "Arch Linux, without a debugger", desired: auto, observed: observe(startsAt1), scope: 1,
		because: "no debugger is installed",
	},
	{
		name: "Arch Linux", desired: permissive, observed: observe(startsAt1), scope: 0, because: "state=permissive",
		actions: []string{dropInTo0, setTo0},
	},
	// A vendor's stricter value, which the file of ours repeats for as long as it is there.
	{
		name: "Fedora 45, a vendor's drop-in of 2", desired: restricted,
		observed: observe(fedora45, kernel(2), file(vendors2, Key+" = 2\n"),
			ownNoting(DropIn, StateRestricted, 2, []note{strictNote}, maskName), file(mask, "")),
		scope:   2,
		because: vendors2 + ":1 sets 2, which is stricter than restricted_scope=1, and exact=false keeps it",
	},
	{
		name: "Fedora 45, a vendor's drop-in of 2 is gone", desired: restricted,
		observed: observe(fedora45, kernel(2), ownNoting(DropIn, StateRestricted, 2, []note{strictNote}, maskName),
			file(mask, "")),
		scope: 1, because: "state=restricted, restricted_scope=1", actions: []string{dropInTo1, setTo1},
	},
	{
		name: "openSUSE Tumbleweed, an administrator's drop-in of 2 is gone", desired: restricted,
		observed: observe(tumbleweed, kernel(2), ownNoting(DropIn, StateRestricted, 2, []note{strictNote})),
		scope:    1, because: "state=restricted, restricted_scope=1",
		actions: []string{dropInTo1, "mask /etc/sysctl.d/52-yama.conf", setTo1},
	},
	{
		name: "Debian, an administrator's drop-in of 2 is gone, and the kernel was set to 3", desired: restricted,
		observed: observe(debian, kernel(3), ownNoting(DropIn, StateRestricted, 2, []note{strictNote})),
		scope:    1, because: "state=restricted, restricted_scope=1", actions: []string{dropInTo1}, reboot: true,
		warning: "the running value stays 3 until the next boot, which sets 1",
	},
	{
		name: "Debian, where restricted_scope was 2 before", desired: restricted,
		observed: observe(debian, kernel(2), own(DropIn, StateRestricted, 2)), scope: 2,
		because: DropIn + ":2 sets 2, which is stricter than restricted_scope=1, and exact=false keeps it",
	},
	{
		name: "Debian, where somebody set 2 in the kernel", desired: restricted,
		observed: observe(debian, kernel(2), own(DropIn, StateRestricted, 1)),
		scope:    1, because: "state=restricted, restricted_scope=1",
		warning: "the running value 2 is stricter than 1 and is kept (exact=true would set 1)",
	},
	// Debian userlands on kernels of others, which start at 1 or have no Yama.
	{
		name: "Proxmox VE, whose kernel is not Debian's", desired: permissive,
		observed: observe(debian, foreignKernel), scope: 0, because: "state=permissive",
		actions: []string{dropInTo0, setTo0},
	},
	{
		name: "Proxmox VE, without a debugger", desired: auto,
		observed: observe(debian, foreignKernel), scope: 1, because: "no debugger is installed",
		actions: []string{dropInTo1},
	},
	{
		name: "Raspberry Pi OS, whose kernel is not Debian's", desired: permissive,
		observed: observe(debian, foreignKernel, kernel(0)), scope: 0, because: "state=permissive",
		actions: []string{dropInTo0},
	},
	{
		name: "Debian's image on a provider's kernel, with gdb", desired: auto,
		observed: observe(debian, foreignKernel, debuggers("gdb")),
		scope:    0, because: "a debugger is installed: gdb 1.0", actions: []string{dropInTo0, setTo0},
	},
	// Kernels that cannot be asked.
	{
		name: "Debian in a chroot without /proc", desired: restricted, observed: observe(debian, unknownRuntime),
		fails:   true,
		because: "the running kernel cannot be asked: /proc/sys is not mounted: mount /proc, or use runtime=false",
	},
	{
		name: "Fedora 45 in a service with ProcSubset=pid", desired: permissive,
		observed: observe(fedora45, unknownRuntime), fails: true,
		because: "the running kernel cannot be asked: /proc/sys is not mounted: mount /proc, or use runtime=false",
	},
	{
		name:     "Fedora 45 in a service with ProcSubset=pid, missing Yama ignored",
		desired:  with(auto, func(d *Desired) { d.IgnoreMissingYama = true }),
		observed: observe(fedora45, unknownRuntime), fails: true,
		because: "the running kernel cannot be asked: /proc/sys is not mounted: mount /proc, or use runtime=false",
	},
	{
		name:     "Arch Linux in a chroot without /proc, files only",
		desired:  with(restricted, func(d *Desired) { d.Runtime = false }),
		observed: observe(startsAt1, unknownRuntime),
		scope:    1, because: "state=restricted, restricted_scope=1", actions: []string{dropInTo1},
	},
	// Containers.
	{
		name: "Fedora 45 in Podman, whose host is at 1", desired: restricted, observed: observe(fedora45, container),
		scope: 1, because: "state=restricted, restricted_scope=1", actions: []string{dropInTo1, "mask " + mask},
		warning: "this is a container (podman): the running value is its host's, and only the host can change it",
	},
	{
		name: "Ubuntu in Podman, files only", desired: with(restricted, func(d *Desired) { d.Runtime = false }),
		observed: observe(startsAt1, container),
		scope:    1, because: "state=restricted, restricted_scope=1", actions: []string{dropInTo1},
	},
	// Boots without systemd.
	{
		name: "Alpine", desired: restricted, observed: observe(alpine),
		scope: 1, because: "state=restricted, restricted_scope=1", actions: []string{dropInTo1},
	},
	{
		name: "Alpine, a 0 in /etc/sysctl.conf, which its boot reads after /etc/sysctl.d", desired: restricted,
		observed: observe(alpine, own(DropIn, StateRestricted, 1), file("/etc/sysctl.conf", Key+" = 0\n")),
		scope:    1, because: "state=restricted, restricted_scope=1", actions: []string{"comment /etc/sysctl.conf"},
	},
	{
		name: "Alpine, a 2 in /run, which its boot reads last", desired: permissive,
		observed: observe(alpine, own(DropIn, StatePermissive, 0), file("/run/sysctl.d/10-site.conf", Key+" = 2\n")),
		scope:    0, because: "state=permissive", actions: []string{"comment /run/sysctl.d/10-site.conf", setTo0},
	},
	{
		name: "Alpine, a distribution's drop-in of a later name, which its boot reads first", desired: restricted,
		observed: observe(alpine, own(DropIn, StateRestricted, 1), sealed("/usr/lib/sysctl.d/zzz-vendor.conf",
			"vm.swappiness = 1\n"+Key+" = 0\n", "it is the distribution's")),
		scope: 1, because: "state=restricted, restricted_scope=1",
	},
	{
		name: "Alpine, a setting of the administrator's under another that comes later", desired: auto,
		observed: observe(alpine, file("/etc/sysctl.d/50-site.conf", Key+" = 0\n"), file("/etc/sysctl.conf",
			Key+" = 1\n")),
		scope: 1, because: "/etc/sysctl.conf:1 sets 1, which is the administrator's setting",
	},
	{
		name: "Gentoo with OpenRC, a 0 in /etc/sysctl.conf", desired: restricted,
		observed: observe(unknownDistribution, boots(sysctld.Procps, ""), own(DropIn, StateRestricted, 1),
			file("/etc/sysctl.conf", Key+" = 0\n")),
		scope: 1, because: "state=restricted, restricted_scope=1", actions: []string{"comment /etc/sysctl.conf"},
	},
	{
		name: "Void, a 0 in /etc/sysctl.conf", desired: auto,
		observed: observe(unknownDistribution, boots(sysctld.Procps, ""), kernel(0), file("/etc/sysctl.conf",
			Key+" = 0\n")),
		scope: 0, because: "/etc/sysctl.conf:1 sets 0, which is the administrator's setting",
	},
	{
		name: "Devuan with strace", desired: auto, observed: observe(unknownDistribution, boots(sysctld.Procps, ""),
			debuggers("strace")),
		scope: 0, because: "a debugger is installed: strace 1.0", actions: []string{dropInTo0, setTo0},
	},
	{
		name: "Ubuntu in WSL without systemd", desired: restricted,
		observed: observe(startsAt1, boots(sysctld.Unknown, "WSL without systemd loads no sysctl settings")),
		scope:    1, because: "state=restricted, restricted_scope=1", actions: []string{dropInTo1},
		warning: "the value after the next boot is not known: WSL without systemd loads no sysctl settings",
	},
	{
		name: "Chimera, whose init is dinit", desired: permissive, observed: observe(unknownDistribution,
			boots(sysctld.Unknown, "this host has no init program that this module knows")),
		scope: 0, because: "state=permissive", actions: []string{dropInTo0, setTo0},
		warning: "the value after the next boot is not known: this host has no init program that this module knows",
	},
	{
		name: "Artix, OpenRC's sysctl in no runlevel, and a conflict", desired: with(restricted,
			func(d *Desired) { d.Conflicts = ConflictsReport }),
		observed: observe(unknownDistribution, boots(sysctld.Unknown,
			"OpenRC's service sysctl is in no runlevel (rc-update add sysctl boot)"),
			own(DropIn, StateRestricted, 1), file("/etc/sysctl.d/zzz.conf", Key+" = 0\n")),
		scope: 1, because: "state=restricted, restricted_scope=1",
		warning: "/etc/sysctl.d/zzz.conf:1 sets \"0\", which may take effect at the next boot; it stays " +
			"(conflicts=report)\nthe value after the next boot is not known: " +
			"OpenRC's service sysctl is in no runlevel (rc-update add sysctl boot)",
	},
	// Lines of tmpfiles.d run at boot as well.
	{
		name: "Fedora 45, a line of tmpfiles.d that writes 0", desired: restricted,
		observed: observe(fedora45, own(DropIn, StateRestricted, 1, maskName), file(mask, ""),
			tmpfiles("/etc/tmpfiles.d/debug.conf", "0")),
		scope: 1, because: "state=restricted, restricted_scope=1",
		warning: "/etc/tmpfiles.d/debug.conf:1 writes \"0\" when systemd-tmpfiles runs, " +
			"at boot and after upgrades: change it there",
	},
	{
		name: "Arch Linux, a line of tmpfiles.d that writes the same", desired: restricted,
		observed: observe(startsAt1, own(DropIn, StateRestricted, 1), tmpfiles("/etc/tmpfiles.d/yama.conf", "1")),
		scope:    1, because: "state=restricted, restricted_scope=1",
	},
	{
		name: "Debian with gdb, a line of tmpfiles.d that writes 1", desired: auto,
		observed: observe(debian, debuggers("gdb"), tmpfiles("/usr/lib/tmpfiles.d/hardening.conf", "1")),
		scope:    0, because: "a debugger is installed: gdb 1.0",
		warning: "/usr/lib/tmpfiles.d/hardening.conf:1 writes \"1\" when systemd-tmpfiles runs, " +
			"at boot and after upgrades: change it there",
	},
	// Kernels without Yama.
	{
		name: "Raspberry Pi OS, a kernel without Yama", desired: restricted, observed: observe(), fails: true,
		because: "restrict ptrace: this kernel has no Yama (/proc/sys/kernel/yama/ptrace_scope does not exist): boot a kernel built with " +
			"CONFIG_SECURITY_YAMA and with yama in its lsm= list, or use yama_missing=ignore",
	},
	{
		name:     "Raspberry Pi OS, missing Yama ignored",
		desired:  with(restricted, func(d *Desired) { d.IgnoreMissingYama = true }),
		observed: observe(), scope: 1, because: "state=restricted, restricted_scope=1",
		warning: "this kernel has no Yama, so it cannot restrict ptrace; nothing was changed",
	},
	{
		name: "Raspberry Pi OS, a kernel without Yama", desired: permissive, observed: observe(), scope: 0,
		because: "state=permissive",
		warning: "this kernel has no Yama, so ptrace is not restricted, and nothing needs to be done",
	},
}

func TestDecideForRealHosts(t *testing.T) {
	for _, h := range hosts {
		t.Run(string(h.desired.State)+"/"+h.name, func(t *testing.T) {
			plan, question, err := Decide(h.desired, h.observed)
			if question != NoQuestion {
				t.Fatalf("asks %d; the row must say what the package manager answers", question)
			}
			if h.fails {
				if err == nil || err.Error() != h.because {
					t.Fatalf("error\n got: %v\nwant: %s", err, h.because)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got, want := fmt.Sprint(plan.Decision), fmt.Sprint(Decision{h.scope, h.because}); got != want {
				t.Errorf("decision\n got: %s\nwant: %s", got, want)
			}
			if got, want := strings.Join(describe(plan.Actions), "\n"), strings.Join(h.actions, "\n"); got != want {
				t.Errorf("actions\n got:\n%s\nwant:\n%s", got, want)
			}
			if got := strings.Join(plan.Warnings, "\n"); got != h.warning {
				t.Errorf("warnings\n got: %s\nwant: %s", got, h.warning)
			}
			if plan.RebootRequired != h.reboot {
				t.Errorf("a reboot is required: %v", plan.RebootRequired)
			}
			if after := settle(h.observed, plan.Actions); len(plan.Actions) > 0 {
				again, question, err := Decide(h.desired, after)
				if err != nil || question != NoQuestion || len(again.Actions) > 0 {
					t.Errorf("the second run is not empty: %v, question %d, error %v", describe(again.Actions),
						question, err)
				}
			}
		})
	}
}

// describe renders actions as the table writes them: verb, object, and the value for files and the
// kernel.
func describe(actions []Action) []string {
	out := make([]string, 0, len(actions))
	for _, a := range actions {
		text := a.Verb() + " " + a.Object
		switch {
		case a.Kind == Value:
			text += " " + *a.After
		case a.Kind == File && a.After != nil:
			set, _ := sysctld.Tree{read(a.Object, *a.After)}.Boot()
			text += " " + set.Value
		}
		out = append(out, text)
	}
	return out
}

// settle returns the host as it is once the actions are done, the way a real host behaves.
func settle(o Observed, actions []Action) Observed {
	after := o
	after.Own = map[string]OwnFile{}
	for k, v := range o.Own {
		after.Own[k] = v
	}
	after.Others = maps.Clone(o.Others)
	if r := o.Enabler.Removal; r != nil && r.With != nil {
		after.Enabler.Removal = nil // noted in our file, so that nobody is asked again
	}
	for _, a := range actions {
		switch a.Kind {
		case File:
			delete(after.Own, a.Object)
			after.Tree = after.Tree.Without(a.Object)
			if a.After != nil {
				file(a.Object, *a.After)(&after)
				after.Own[a.Object] = OwnFile{Content: *a.After, Sound: true}
			}
		case Litter:
			after.Leftovers = nil
		case Mask:
			after.Tree = after.Tree.Without(a.Object)
			if a.After != nil {
				file(a.Object, "")(&after)
			}
		case Comment:
			for name, other := range o.Others {
				if other.Target == a.Object {
					delete(after.Others, name)
					file(name, *a.After)(&after)
				}
			}
		case Package:
			after.Enabler.Installed = ""
			for _, name := range o.Enabler.DropIns {
				after.Tree = after.Tree.Without(vendorPath(name))
			}
			if a.After != nil {
				enabler(*a.After)(&after)
			}
		case Value:
			var n Scope
			fmt.Sscan(*a.After, &n)
			after.Runtime = &n
		}
	}
	return after
}

func TestDecideAsksOnlyWhatItNeeds(t *testing.T) {
	for _, c := range []struct {
		name     string
		desired  Desired
		observed Observed
		want     Question
	}{
		{"permissive on a fresh Fedora 45", permissive, observe(fedora45), AskOffer},
		{"restricted with the enabler", restricted, observe(fedora45, enabler(f45)), AskRemoval},
		{"auto, a person asked", auto, observe(fedora45, enabler(f45), kernel(0)), AskRemoval},
		{"auto, a person asked, and that is noted", auto,
			observe(fedora45, enabler(f45), kernel(0), ownNoting(Floor, StateAuto, 1, []note{askedNote(f45)})),
			NoQuestion},
		{"auto, a person asked, and somebody else has noted that", auto,
			observe(fedora45, enabler(f45), kernel(0), ownNoting(Floor, StateAuto, 1, []note{askedNote(f45)}),
				writable(Floor)), AskRemoval},
		{"permissive, not offered, and that is noted", permissive,
			observe(fedora45, kernel(0), repositories,
				ownNoting(DropIn, StatePermissive, 0, []note{notOfferedNote(someDay)})), NoQuestion},
		{"auto, not offered, and that is noted", auto,
			observe(fedora45, kernel(0), repositories, debuggers("gdb"), own(Floor, StateAuto, 1),
				ownNoting(DropIn, StateAuto, 0, []note{notOfferedNote(someDay)})), NoQuestion},
		{"permissive, not offered, and there are other repositories since", permissive,
			observe(fedora45, kernel(0), repositories,
				ownNoting(DropIn, StatePermissive, 0, []note{notOfferedNote("2026-01-01T00:00:00Z")})), AskOffer},
		{"permissive, not offered, and packages must be managed",
			with(permissive, func(d *Desired) { d.Packages = PackagesManage }),
			observe(fedora45, kernel(0), repositories,
				ownNoting(DropIn, StatePermissive, 0, []note{notOfferedNote(someDay)})), AskOffer},
		{"auto after restricted, required by others", auto,
			observe(fedora44, ownNoting(DropIn, StateRestricted, 1, []note{requiredNote(f44)}, maskName),
				file(mask, "")), AskRemoval},
		{"restricted, upgraded from Fedora 44, whose enabler was required", restricted,
			observe(fedora45, ownNoting(DropIn, StateRestricted, 1, []note{requiredNote(f44)}, maskName),
				file(mask, ""), enabler(f44), leftBehind), AskRemoval},
		{"auto with gdb alone", auto, observe(fedora45, debuggers("gdb")), AskOffer},
		{"auto, nothing to do", auto, observe(fedora45, own(Floor, StateAuto, 1)), NoQuestion},
		{"permissive, nothing to do", permissive, observe(fedora45, enabler(f45), kernel(0)), NoQuestion},
		{"restricted, masked, and required by others", restricted,
			observe(fedora44, ownNoting(DropIn, StateRestricted, 1, []note{requiredNote(f44)}, maskName),
				file(mask, "")), NoQuestion},
		{"restricted, masked, and packages must be managed",
			with(restricted, func(d *Desired) { d.Packages = PackagesManage }),
			observe(fedora44, ownNoting(DropIn, StateRestricted, 1, []note{requiredNote(f44)}, maskName),
				file(mask, "")), AskRemoval},
		{"restricted, killed between mask and removal", restricted,
			observe(fedora45, enabler(f45), own(DropIn, StateRestricted, 1, maskName), file(mask, "")), AskRemoval},
		{"permissive, packages ignored", with(permissive, func(d *Desired) { d.Packages = PackagesIgnore }),
			observe(fedora45), NoQuestion},
		{"permissive without Yama", permissive, observe(fedora45, func(o *Observed) { o.Runtime = nil }), NoQuestion},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, got, err := Decide(c.desired, c.observed); err != nil || got != c.want {
				t.Errorf("got question %d, error %v; want question %d", got, err, c.want)
			}
		})
	}
}

const decisionsFile = "../../../docs/hosts.md"

// TestDecisionsDocument holds docs/hosts.md against the table above; -update prints it.
func TestDecisionsDocument(t *testing.T) {
	var b strings.Builder
	b.WriteString("<!-- Printed by `make generate` from the rows of module/internal/ptrace/decide_test.go. -->\n\n" +
		"# What is decided for which host\n\n" +
		"Each row is a test of the decision. A second run on the resulting host does nothing, which the same test checks.\n\n" +
		"| host | options | scope | because | done, in this order |\n|---|---|---|---|---|\n")
	for _, h := range hosts {
		scope, actions := h.scope.String(), "`"+strings.Join(h.actions, "`<br>`")+"`"
		switch {
		case h.fails:
			scope, actions = "–", "fails, nothing is changed"
		case len(h.actions) == 0:
			actions = "nothing"
		}
		reason := h.because
		if h.warning != "" {
			reason += "<br>Warning: " + strings.ReplaceAll(h.warning, "\n", "<br>Warning: ")
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", h.name, options(h.desired), scope, reason, actions)
	}
	if *update {
		if err := os.WriteFile(decisionsFile, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(decisionsFile)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != b.String() {
		t.Error("docs/hosts.md is not what the table says: run make generate")
	}
}

// options names what differs from the module's defaults.
func options(d Desired) string {
	list := []string{"`state: " + string(d.State) + "`"}
	for _, o := range []struct {
		differs bool
		text    string
	}{
		{d.RestrictedScope != 1, "`restricted_scope: " + d.RestrictedScope.String() + "`"},
		{d.Exact, "`exact: true`"},
		{d.Packages != PackagesAuto, "`packages: " + string(d.Packages) + "`"},
		{!d.Persistent, "`persistent: false`"},
		{!d.Runtime, "`runtime: false`"},
		{d.IgnoreMissingYama, "`yama_missing: ignore`"},
	} {
		if o.differs {
			list = append(list, o.text)
		}
	}
	return strings.Join(list, " ")
}

// FuzzClaims: whatever stands in a file of ours, a claim is the name of a file and leads nowhere
// else.
func FuzzClaims(f *testing.F) {
	f.Add(render(StateRestricted, Restricted, "why", []string{"10-a.conf"},
		[]note{requiredNote("enabler"), askedNote("enabler")}))
	f.Add(strings.Repeat(claim+"/etc/sysctl.d/a\n", 1<<14))
	f.Fuzz(func(t *testing.T, content string) {
		for _, name := range claims(content) {
			if strings.Contains(name, "/") {
				t.Errorf("%q claims %q", content, name)
			}
		}
		notes(content, StateRestricted, requiredNote("enabler"))
	})
}

// TestAskRequirers: whether a debugger counts is asked only where it decides.
func TestAskRequirers(t *testing.T) {
	incidental := func(o *Observed) { o.Incidental = []Debugger{{Name: "anaconda-install-env-deps"}} }
	handBuilt := func(o *Observed) {
		o.Debuggers = append(o.Debuggers, Debugger{Name: "gdb", Path: "/usr/local/bin/gdb"})
	}
	for name, c := range map[string]struct {
		desired  Desired
		observed Observed
		asks     bool
	}{
		"from a live image":     {auto, observe(fedora45, incidental, debuggers("gdb")), true},
		"without the installer": {auto, observe(fedora45, offered, debuggers("gdb")), false},
		"without a debugger":    {auto, observe(fedora45, incidental), false},
		"with a hand-built debugger": {auto, observe(fedora45, offered, incidental, debuggers("gdb"), handBuilt),
			false},
		"an administrator's own value": {auto, observe(fedora45, incidental, debuggers("gdb"),
			file("/etc/sysctl.d/50-site.conf", Key+" = 2\n")), false},
		"restricted": {restricted, observe(fedora45, incidental, debuggers("gdb")), false},
		"permissive": {permissive, observe(fedora45, offered, incidental, debuggers("gdb")), false},
		"answered":   {auto, observe(fedora45, live(Debugger{Name: "gdb", Excused: true})), false},
	} {
		if _, question, err := Decide(c.desired, c.observed); err != nil || (question == AskRequirers) != c.asks {
			t.Errorf("%s: question %d, %v", name, question, err)
		}
	}
}
