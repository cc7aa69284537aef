// SPDX-License-Identifier: GPL-3.0-or-later

package host

import (
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"
	"syscall"

	"hardening.yama/module/internal/ptrace"
	"hardening.yama/module/internal/sysctld"
	"hardening.yama/module/internal/tree"
)

// originals is where the copies lie of the files in which lines were commented out, each as it was
// before the first time. No loader and no auditor looks there. A copy is pending until the file is
// edited: its name alone proves that this happened.
const originals = "/var/lib/hardening.yama/originals"

// originalsDepth is how many of its directories a minimal image may not have.
const originalsDepth = 4

// pendingPrefix begins the name of a pending copy. Those of finished ones begin with an escaped
// slash.
const pendingPrefix = "pending-"

var escapeName, plainName = strings.NewReplacer("%", "%25", "/", "%2F"), strings.NewReplacer("%25", "%", "%2F", "/")

// originalOf returns where the copy of a file lies.
func originalOf(file string) string { return path.Join(originals, escapeName.Replace(file)) }

// pendingOf returns where the pending copy of a file lies.
func pendingOf(file string) string {
	return path.Join(originals, pendingPrefix+escapeName.Replace(file))
}

// linkPrefix begins the name of a link that has a copy. A file of that name may have one, too.
const linkPrefix = "link-"

// copies are the files of which there are copies, and all names in their directory.
type copies struct{ finished, pending, names []string }

// copies returns what lies among the originals.
func (h *Host) copies() (c copies, err error) {
	if c.names, _, err = h.namesIn(originals); err != nil {
		return c, err
	}
	for _, name := range c.names {
		escaped, pending := strings.CutPrefix(name, pendingPrefix)
		file := plainName.Replace(escaped)
		switch place := strings.TrimPrefix(file, linkPrefix); {
		case !path.IsAbs(place) || path.Clean(place) != place: // none of ours
		case pending:
			c.pending = append(c.pending, file)
		default:
			c.finished = append(c.finished, file)
		}
	}
	slices.Sort(c.pending)
	return c, nil
}

// pendingCopy returns what is to become of a pending copy. The run that made it was killed, before
// or after the edit.
func (h *Host) pendingCopy(file string) (ptrace.Leftover, error) {
	left := ptrace.Leftover{Path: pendingOf(file)}
	if link, ok := strings.CutPrefix(file, linkPrefix); ok {
		target, err := h.tree.Readlink(link)
		if target == devNull {
			left.Becomes = originalOf(file)
		}
		if tree.Nobody(err) || errors.Is(err, syscall.EINVAL) { // it is no link any more
			err = nil
		}
		return left, err
	}
	f, err := h.tree.Read(file, markedLimit)
	switch {
	case err == nil:
		if sysctld.CommentedOut(f.Content) {
			left.Becomes = originalOf(file)
		}
	case !tree.Nobody(err):
		return left, err
	}
	return left, nil
}

// editFile replaces the content of somebody else's file, which keeps its mode, owner and label. A
// copy of it as it was is made before, unless there is one of an earlier edit. Where the edit is
// taken back by the run that made the copy, that goes, too.
func (h *Host) editFile(name, before, after string) error {
	dir, err := h.tree.Trusted(path.Dir(name))
	if err != nil {
		return err
	}
	defer dir.Close() //nolint:errcheck // what it changed is durable by then
	base := path.Base(name)
	f, err := dir.Read(base, markedLimit)
	if err != nil {
		return err
	}
	if string(f.Content) != before || notAlone(f.Info) != "" {
		return errChanged
	}
	attributes, err := dir.AttributesOf(base)
	if err != nil {
		return err
	}
	copyTo := func(d *tree.Dir, as string) error { return d.Put(as, []byte(before), attributes) }
	return h.withCopy(name, copyTo, func() error { return withRemedy(dir.Put(base, []byte(after), attributes)) })
}

// withCopy edits something of others: a pending copy, the edit, the copy's own name. A killed run
// leaves what tells the next one how far it came. Where this run made the copy, the edit takes back
// what it did, and the copy goes.
func (h *Host) withCopy(name string, copyTo func(d *tree.Dir, as string) error, edit func() error) error {
	if h.copied[name] {
		if err := edit(); err != nil {
			return err
		}
		delete(h.copied, name)
		if err := h.dropCopy(name); err != nil {
			return &tree.TookEffect{Cause: err}
		}
		return nil
	}
	kept, takeBack, err := h.directory(originalOf(name), originalsDepth, 0o700)
	if err != nil {
		return err
	}
	defer kept.Close() //nolint:errcheck // what it changed is durable by then
	final, pending := path.Base(originalOf(name)), path.Base(pendingOf(name))
	_, err = kept.Lstat(final)
	earlier := err == nil // the first copy is the one that counts
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return undone(err, takeBack())
	}
	if !earlier {
		if err := copyTo(kept, pending); err != nil {
			return undone(errors.New("copy it to "+h.tree.At(originals)+": "+err.Error()), h.dropCopy(name))
		}
	}
	err = edit()
	switch {
	case err != nil && !tookEffect(err):
		if !earlier {
			err = undone(err, h.dropCopy(name))
		}
		return err
	case earlier:
		return err
	}
	if h.copied == nil {
		h.copied = map[string]bool{}
	}
	h.copied[name] = true
	if problem := kept.Rename(pending, final); err == nil && problem != nil {
		err = &tree.TookEffect{Cause: problem} // the edit is in place, its copy still pending
	}
	return err
}

// dropCopy removes the copy of a file, pending or not, and the directories that this run made for
// it.
func (h *Host) dropCopy(name string) error {
	kept, err := h.tree.Trusted(originals)
	if err != nil {
		return err
	}
	defer kept.Close() //nolint:errcheck // what it changed is durable by then
	for _, copied := range []string{pendingOf(name), originalOf(name)} {
		if problem := kept.Remove(path.Base(copied)); problem != nil && !errors.Is(problem, fs.ErrNotExist) {
			err = errors.Join(err, problem)
		}
	}
	return errors.Join(err, h.dropDirectories(originals))
}
