// SPDX-License-Identifier: GPL-3.0-or-later

package ptrace

import "strings"

// Explanation is what is asked only where somebody wants to know why.
type Explanation struct {
	// Owners names the package of each file that names the key and belongs to one.
	Owners map[string]string
	// Requirers names for a package the installed ones that require it.
	Requirers map[string][]string
	// Denials are Yama's in the kernel log, the latest last; nil where the log could not be read.
	Denials []Denial
	// SELinuxDenyPtrace is the boolean deny_ptrace, nil without SELinux.
	SELinuxDenyPtrace *bool
}

// Denial is an attempt that Yama denied, as the kernel logged it.
type Denial struct {
	// Access is what was tried: attach or traceme.
	Access string
	// Target and Tracer are command lines.
	Target, Tracer string
	// Times counts the same one.
	Times int
}

// Why says why a debugger is on the host, as far as it is known.
func (e Explanation) Why(d Debugger) string {
	if d.Path != "" {
		return "no package contains it"
	}
	left := whyListed
	if chain := e.chain(d.Name, map[string]bool{d.Name: true}, &left); chain != "" {
		return "required by " + chain
	}
	return "no installed package requires it"
}

// whyListed bounds the packages that an explanation names.
const whyListed = 30

// chain names who requires a package, and who requires those, down to what nobody requires. Of the
// names, only so many are left to be given; further ones are counted.
func (e Explanation) chain(name string, seen map[string]bool, left *int) string {
	var names []string
	more := 0
	for _, requirer := range e.Requirers[name] {
		if n, ok := moreOf(requirer); ok {
			more += n
			continue
		}
		if seen[requirer] {
			continue
		}
		seen[requirer] = true
		if *left == 0 {
			more++
			continue
		}
		*left--
		if further := e.chain(requirer, seen, left); further != "" {
			requirer += " (required by " + further + ")"
		}
		names = append(names, requirer)
	}
	if more > 0 {
		names = append(names, More(more))
	}
	return strings.Join(names, ", ")
}

// Cautions are what an administrator should know besides what holds.
func Cautions(o Observed, e Explanation) []string {
	var cautions []string
	say := func(text string) { cautions = append(cautions, text) }
	if o.RuntimeUnknown != "" {
		say(o.notAsked())
	} else if o.Runtime == nil {
		say("this kernel has no Yama, so ptrace is not restricted, whatever the files say: " + howToGetYama(o.LSMs))
	}
	cautions = append(cautions, o.containerCaution()...)
	if e.SELinuxDenyPtrace != nil && *e.SELinuxDenyPtrace {
		say("SELinux denies ptrace to everything but a few domains (deny_ptrace is on), whatever the scope is")
	}
	return append(append(cautions, o.unreadCaution()...), o.bootCautions(o.Tree, nil)...)
}

// containerCaution says whose the running value is.
func (o Observed) containerCaution() []string {
	if o.Container == "" {
		return nil
	}
	return []string{"this is a container (" + o.Container +
		"): the running value is its host's, and only the host can change it"}
}

// notAsked says why the running value is not known, and what to do.
func (o Observed) notAsked() string { return "the running kernel cannot be asked: " + o.RuntimeUnknown }

// unreadCaution says what was not read: unknown is not absent.
func (o Observed) unreadCaution() []string {
	if o.Unread == nil {
		return nil
	}
	return []string{"this user may not read " + Named(o.Unread) + ", so this answer is incomplete: root is needed"}
}

// howToGetYama says what to do about a kernel without it.
func howToGetYama(lsms []string) string {
	if len(lsms) > 0 {
		return "yama is not among its security modules (" + strings.Join(lsms, ",") +
			"): boot with yama in lsm=, or a kernel that is built with CONFIG_SECURITY_YAMA"
	}
	return "boot a kernel built with CONFIG_SECURITY_YAMA and with yama in its lsm= list"
}
