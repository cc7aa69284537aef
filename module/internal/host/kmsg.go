// SPDX-License-Identifier: GPL-3.0-or-later

package host

import (
	"errors"
	"io/fs"
	"slices"
	"strings"
	"syscall"

	"hardening.yama/module/internal/attach"
	"hardening.yama/module/internal/ptrace"
)

const (
	// kmsgRecords is more than the log buffer of a kernel of our days holds.
	kmsgRecords = 1 << 17
	// kmsgRecord is more than the longest record, which is PRINTK_MESSAGE_MAX.
	kmsgRecord = 8 << 10
	// denialsLimit bounds how many different ones are told.
	denialsLimit = 20
)

// denials reads Yama's from the kernel log, each read a record: Documentation/ABI/testing/dev-kmsg.
// It is nil where the log cannot be read, as in a container or for an ordinary user.
func (h *Host) denials() ([]ptrace.Denial, error) {
	fd, err := syscall.Open(h.tree.At("/dev/kmsg"), syscall.O_RDONLY|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, nil // an explanation goes without
	}
	defer syscall.Close(fd) //nolint:errcheck // only read
	found := []ptrace.Denial{}
	record := make([]byte, kmsgRecord)
	for range kmsgRecords {
		n, err := syscall.Read(fd, record)
		switch {
		case errors.Is(err, syscall.EPIPE), errors.Is(err, syscall.EINTR): // overwritten while we came to it
			continue
		case errors.Is(err, syscall.EAGAIN), err == nil && n == 0:
			return found, nil
		case err != nil:
			return nil, &fs.PathError{Op: "read", Path: "/dev/kmsg", Err: err}
		}
		if d, ok := parseDenial(string(record[:n])); ok {
			found = counted(found, d)
		}
	}
	return found, nil
}

// parseDenial reads a record of the kernel's own that tells of a denial, as report_access() of
// security/yama/yama_lsm.c writes it. The kernel escapes quotes in the command lines, so the quotes
// are those of the message.
func parseDenial(record string) (ptrace.Denial, bool) {
	prefix, text, _ := strings.Cut(record, ";")
	priority, _, _ := strings.Cut(prefix, ",")
	if len(priority) != 1 || priority[0] > '7' { // from 8 on, another facility: somebody wrote it into the log
		return ptrace.Denial{}, false
	}
	text, _, _ = strings.Cut(text, "\n")
	words := strings.Split(text, `"`)
	if len(words) != 5 || !strings.HasSuffix(words[2], " was attempted by ") {
		return ptrace.Denial{}, false
	}
	what := strings.Fields(words[0])
	if len(what) != 3 || what[0] != "ptrace" || what[2] != "of" {
		return ptrace.Denial{}, false
	}
	if strings.HasPrefix(words[3], attach.Name) {
		return ptrace.Denial{}, false // we ourselves
	}
	return ptrace.Denial{Access: what[1], Target: words[1], Tracer: words[3], Times: 1}, true
}

// counted adds a denial, the latest last.
func counted(found []ptrace.Denial, d ptrace.Denial) []ptrace.Denial {
	same := func(other ptrace.Denial) bool {
		return other.Access == d.Access && other.Target == d.Target && other.Tracer == d.Tracer
	}
	if i := slices.IndexFunc(found, same); i >= 0 {
		d.Times += found[i].Times
		found = slices.Delete(found, i, i+1)
	}
	if len(found) == denialsLimit {
		found = slices.Delete(found, 0, 1)
	}
	return append(found, d)
}
