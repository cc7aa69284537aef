// SPDX-License-Identifier: GPL-3.0-or-later

package host

import (
	"errors"
	"path"
	"slices"
	"strings"

	"hardening.yama/module/internal/sysctld"
	"hardening.yama/module/internal/tree"
)

// Clues are files that may be there, and what each means. Where a text stands behind the file, that
// is a link to a program of this name. The first clue counts.
const (
	// runningInits: sd_booted(3), and what OpenRC and WSL make. Debian's runit makes /run/runit
	// under any init.
	runningInits = "/run/systemd/system::systemd /run/openrc::openrc /run/WSL::wsl"
	// inits are about an image, and a host of which the running init says nothing.
	inits = "/sbin/init:systemd:systemd /sbin/init:runit-init:runit /sbin/init:openrc-init:openrc " +
		"/sbin/openrc::openrc /usr/bin/openrc::openrc /etc/runit/core-services/08-sysctl.sh::runit " +
		"/sbin/init::sysvinit /usr/lib/systemd/systemd::systemd /lib/systemd/systemd::systemd"
	// sysctls tell whose sysctl a boot script runs: the first one in OpenRC's PATH.
	sysctls = "/bin/sysctl:busybox:busybox /bin/sysctl::procps /sbin/sysctl:busybox:busybox /sbin/sysctl::procps " +
		"/usr/bin/sysctl:busybox:busybox /usr/bin/sysctl::procps " +
		"/usr/sbin/sysctl:busybox:busybox /usr/sbin/sysctl::procps"
	// services are OpenRC's in a runlevel.
	services = "/etc/runlevels/boot/sysctl::on /etc/runlevels/sysinit/sysctl::on " +
		"/etc/runlevels/default/sysctl::on /etc/runlevels/sysinit/procps::on"
)

// Causes why it is not known what a boot sets.
const (
	noInit      = "this host has no init program that this module knows"
	noScript    = "this host does not run systemd, and this module does not know its boot script"
	noService   = "OpenRC's service sysctl is in no runlevel (rc-update add sysctl boot)"
	noSysctl    = "its boot script runs sysctl, and there is none that this module knows"
	wslNoLoader = "WSL without systemd loads no sysctl settings"
)

// bootScripts are the scripts that load sysctl settings without systemd, by the init that runs
// them. A script is known by parts of its text, in this order, with a # between them.
var bootScripts = []struct {
	init, script, parts string
	procps, busybox     sysctld.Boot // with that sysctl
}{
	{
		"openrc", "/etc/init.d/sysctl",
		`for f in /lib/sysctl.d/#/usr/lib/sysctl.d/#for f in /etc/sysctl.d/#-p "$f"#-p /etc/sysctl.conf` +
			`#for f in /run/sysctl.d/#-p "$f"`,
		sysctld.AlpineProcps, sysctld.Alpine,
	},
	{"openrc", "/etc/init.d/sysctl", " --system", sysctld.Procps, sysctld.Unknown},
	{"openrc", "/etc/init.d/procps", " --system", sysctld.Procps, sysctld.Unknown},                   // Debian
	{"runit", "/etc/runit/core-services/08-sysctl.sh", " --system", sysctld.Procps, sysctld.Unknown}, // Void
	{"sysvinit", "/etc/init.d/procps", " --system", sysctld.Procps, sysctld.Unknown},                 // Devuan
}

// findBoot finds out what sets the key at boot. Where that is not known, it says why.
func (h *Host) findBoot() (boot sysctld.Boot, why string) {
	init := ""
	if !h.image {
		init = h.first(runningInits)
	}
	if init == "" {
		init = h.first(inits)
	}
	why = noScript
	h.boot.By = h.clue
	switch {
	case init == "systemd", init == "" && h.distro.Name != "" && !slices.Contains(h.distro.Managers, "apk"):
		return sysctld.Systemd, "" // the distribution's, which an image or a container may not have
	case init == "":
		return sysctld.Unknown, noInit
	case init == "wsl":
		return sysctld.Unknown, wslNoLoader
	case init == "openrc" && h.first(services) == "":
		return sysctld.Unknown, noService
	}
	for i := range bootScripts {
		if s := &bootScripts[i]; s.init == init && h.hasParts(s.script, s.parts) {
			h.boot.By += " and " + s.script
			boot = sysctld.Unknown
			switch h.first(sysctls) {
			case "procps":
				boot = s.procps
			case "busybox":
				boot = s.busybox
			}
			if boot != sysctld.Unknown {
				return boot, ""
			}
			why = noSysctl
			break
		}
	}
	return sysctld.Unknown, why
}

// first returns what the first clue means whose file is there, be it a link that leads nowhere
// here; "" where none is.
func (h *Host) first(clues string) string {
	for _, clue := range strings.Fields(clues) {
		file, rest, _ := strings.Cut(clue, ":")
		base, means, _ := strings.Cut(rest, ":")
		info, err := h.tree.Lstat(file)
		link := ""
		if err == nil && base != "" && info.Link() {
			link, err = h.tree.Readlink(file)
		}
		if h.answered(file, err) && (base == "" || path.Base(link) == base) {
			h.clue = file
			return means
		}
	}
	return ""
}

// hasParts tells whether a file has some parts, in this order.
func (h *Host) hasParts(name, parts string) bool {
	text, found := h.text(name), true
	for parts != "" && found {
		var part string
		part, parts, _ = strings.Cut(parts, "#")
		_, text, found = strings.Cut(text, part)
	}
	return found
}

// text returns what a file says, nothing where there is no such file.
func (h *Host) text(name string) string {
	f, err := h.tree.Read(name, factLimit)
	var irregular *tree.NotRegular
	if !errors.As(err, &irregular) {
		h.answered(name, err)
	}
	return string(f.Content)
}

// answered tells whether a question has an answer. Where it has none, and that does not mean that
// the file is not there, the error is kept in failed, or an ordinary user is told.
func (h *Host) answered(name string, err error) bool {
	switch {
	case err == nil:
		return true
	case tree.Nobody(err):
	case h.mayNotRead(err):
		h.unread = append(h.unread, name)
	case h.failed == nil:
		h.failed = err
	}
	return false
}

// tmpfilesDirs are those of tmpfiles.d(5), the higher first.
var tmpfilesDirs = []string{"/etc/tmpfiles.d", "/run/tmpfiles.d", "/usr/local/lib/tmpfiles.d", "/usr/lib/tmpfiles.d"}

// tmpfiles returns the lines of tmpfiles.d that write the key, by a name without patterns.
func (h *Host) tmpfiles() (found []sysctld.Setting) {
	seen := map[string]bool{}
	for _, dir := range tmpfilesDirs {
		d, err := h.tree.Dir(dir)
		if !h.answered(dir, err) {
			continue
		}
		names, err := d.Names()
		h.answered(dir, err)
		for _, name := range names {
			if seen[name] || !strings.HasSuffix(name, ".conf") {
				continue
			}
			seen[name] = true
			file := path.Join(dir, name)
			f, err := d.Read(name, factLimit)
			text := string(f.Content)
			if err != nil {
				text = h.text(file) // a link
			}
			for number := 1; strings.Contains(text, yamaFile); number++ {
				var line string
				line, text, _ = strings.Cut(text, "\n")
				fields := strings.Fields(line)
				if len(fields) > 6 && fields[0][0] == 'w' && strings.Trim(fields[1], `"'`) == yamaFile {
					found = append(found, sysctld.Setting{Path: file, Line: number, Value: fields[6]})
				}
			}
		}
		_ = d.Close() // only read
	}
	return found
}
