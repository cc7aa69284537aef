// SPDX-License-Identifier: GPL-3.0-or-later

package logs

import (
	"encoding/binary"
	"os"
	"strconv"
	"strings"
)

// fieldPrefix keeps fields of ours apart from those that mean something to the journal.
const fieldPrefix = "PTRACE_SCOPE_"

// othersPrefix keeps those of a plugin's lines apart from ours.
const othersPrefix = "plugin_"

// journalEntry renders an entry in the journal's own protocol:
// https://systemd.io/JOURNAL_NATIVE_PROTOCOL.
func journalEntry(e entry) []byte {
	b := make([]byte, 0, 2*usual)
	add := func(name, value string) {
		b = append(b, name...)
		if strings.Contains(value, "\n") {
			b = binary.LittleEndian.AppendUint64(append(b, '\n'), uint64(len(value)))
		} else {
			b = append(b, '=')
		}
		b = append(append(b, value...), '\n')
	}
	add("MESSAGE", e.text)
	add("PRIORITY", strconv.Itoa(e.priority))
	add("SYSLOG_FACILITY", strconv.Itoa(e.facility))
	add("SYSLOG_IDENTIFIER", e.identifier)
	add("SYSLOG_PID", strconv.Itoa(os.Getpid()))
	for _, f := range e.fields {
		add(fieldName(f.key), f.value)
	}
	return b
}

// fieldNameLimit is the journal's.
const fieldNameLimit = 64

// fieldName makes a name that the journal takes.
func fieldName(key string) string {
	name := append(make([]byte, 0, fieldNameLimit), fieldPrefix...)
	for _, c := range []byte(key[:min(len(key), fieldNameLimit-len(fieldPrefix))]) {
		switch {
		case 'a' <= c && c <= 'z':
			c -= 'a' - 'A'
		case c < '0' || '9' < c && c < 'A' || 'Z' < c:
			c = '_'
		}
		name = append(name, c)
	}
	return string(name)
}
