// SPDX-License-Identifier: GPL-3.0-or-later

package logs

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/hashicorp/go-hclog"
)

const (
	// patience is how long all lines of a run together wait for a log daemon that does not read.
	// Then the run goes on without it.
	patience = 100 * time.Millisecond
	// valueLimit bounds a value. With it a line stays far below the longest datagram
	// (net.core.wmem_max, 208 KiB).
	valueLimit = 4 << 10
	// usual is the room that a line needs. It is asked for at once: each further piece of memory is
	// one that the kernel first has to find.
	usual = 1 << 10
	// fieldsLimit bounds how many fields a line has.
	fieldsLimit = 24
)

// entry is a line of the system's log.
type entry struct {
	priority, facility int
	identifier, text   string
	fields             []field
}

// field is a key with its value.
type field struct{ key, value string }

// way is a socket that takes entries, and the form it takes them in.
type way struct {
	path   string
	render func(entry) []byte
}

// systemLog is the sink for the system's log: systemd's journal where there is one, otherwise
// syslog, as for Ansible's own modules. Those log in check mode, too, and so do we: the log is the
// system's, and no file of ours.
type systemLog struct {
	// ways are those that may still take an entry, the best one first.
	ways  []way
	wait  time.Duration // what is left of our patience
	least hclog.Level

	facility           int
	identifier, prefix string
}

// Accept implements hclog.SinkAdapter. The logger calls it for one line after the other. A logger
// with a name is somebody else's: its lines begin with that, and their fields are none of ours.
func (s *systemLog) Accept(name string, level hclog.Level, msg string, args ...any) {
	if level < s.least || len(s.ways) == 0 {
		return
	}
	fields := fieldsOf(args)
	if name != "" {
		msg = word(name) + ": " + msg
		for i := range fields {
			fields[i].key = othersPrefix + fields[i].key
		}
	}
	text := make([]byte, 0, usual)
	if s.prefix != "" {
		text = append(append(text, s.prefix...), ' ')
	}
	text = append(text, msg...)
	for _, f := range fields {
		text = append(append(append(text, ' '), f.key...), '=')
		text = appendWord(text, f.value)
	}
	s.send(entry{priority: priorityOf(level), facility: s.facility, identifier: s.identifier, text: cut(string(text)),
		fields: fields})
}

// send gives an entry to the first socket that takes it.
func (s *systemLog) send(e entry) {
	for len(s.ways) > 0 {
		err := s.deliver(s.ways[0].path, s.ways[0].render(e))
		switch {
		case err == nil:
			return
		case errors.Is(err, syscall.EAGAIN):
			s.ways = nil // it is there and does not read; usually both sockets are the journal's
		default:
			s.ways = s.ways[1:] // not there, or not for us
		}
	}
}

// deliver sends a datagram, and waits a little where the queue is full.
func (s *systemLog) deliver(path string, datagram []byte) error {
	for pause := time.Millisecond; ; pause *= 2 {
		err := sendTo(path, syscall.SOCK_DGRAM, datagram)
		// a syslog that listens on a stream, where lines end with a NUL: syslog(3) does the same
		if errors.Is(err, syscall.EPROTOTYPE) {
			err = sendTo(path, syscall.SOCK_STREAM, append(datagram, 0))
		}
		if !errors.Is(err, syscall.EAGAIN) || s.wait <= 0 {
			return err
		}
		pause = min(pause, s.wait)
		s.wait -= pause
		time.Sleep(pause)
	}
}

func sendTo(path string, kind int, line []byte) error {
	socket, err := syscall.Socket(syscall.AF_UNIX, kind|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer syscall.Close(socket) //nolint:errcheck // it is sent or not
	if err := syscall.Connect(socket, &syscall.SockaddrUnix{Name: path}); err != nil {
		return err
	}
	_, err = syscall.Write(socket, line)
	return err
}

// priorityOf returns what syslog(3) calls a level.
func priorityOf(level hclog.Level) int {
	switch level {
	case hclog.Error:
		return 3
	case hclog.Warn:
		return 4
	case hclog.Info:
		return 6
	case hclog.NoLevel, hclog.Trace, hclog.Debug, hclog.Off:
	}
	return 7
}

// facilities are those of syslog(3) by the names that Ansible's setting syslog_facility takes, in
// the order of their codes.
var facilities = []string{
	"LOG_KERN", "LOG_USER", "LOG_MAIL", "LOG_DAEMON", "LOG_AUTH", "LOG_SYSLOG", "LOG_LPR", "LOG_NEWS", "LOG_UUCP",
	"LOG_CRON",
	"LOG_AUTHPRIV", "LOG_FTP", "", "", "", "",
	"LOG_LOCAL0", "LOG_LOCAL1", "LOG_LOCAL2", "LOG_LOCAL3", "LOG_LOCAL4", "LOG_LOCAL5", "LOG_LOCAL6", "LOG_LOCAL7",
}

// facilityOf returns the code of a facility, LOG_USER's for an unknown name, as ansible-core does.
func facilityOf(name string) int {
	for code, known := range facilities {
		if name == known && name != "" {
			return code
		}
	}
	return 1
}

// fieldsOf returns a line's keys and values as text.
func fieldsOf(args []any) []field {
	fields := make([]field, 0, len(args)/2)
	for i := 0; i+1 < len(args) && len(fields) < fieldsLimit; i += 2 {
		key, _ := args[i].(string)
		fields = append(fields, field{key, cut(valueOf(args[i+1]))})
	}
	return fields
}

func valueOf(value any) string {
	switch v := value.(type) {
	case string:
		return v
	case bool:
		return strconv.FormatBool(v)
	case int64:
		return strconv.FormatInt(v, 10)
	case []string:
		return strings.Join(v, ", ")
	default:
		return fmt.Sprint(v)
	}
}

// appendWord adds a value as one word.
func appendWord(text []byte, value string) []byte {
	special := func(r rune) bool { return r <= ' ' || r == '"' || r == '=' || r == '\\' || !strconv.IsPrint(r) }
	if value == "" || strings.ContainsFunc(value, special) {
		return strconv.AppendQuote(text, value)
	}
	return append(text, value...)
}

// word returns a name that ends nothing early where it stands in a line.
func word(name string) string {
	return cut(strings.Map(func(r rune) rune {
		if r <= ' ' || strings.ContainsRune(":[]", r) || !strconv.IsPrint(r) {
			return '_'
		}
		return r
	}, name))
}

// cut shortens a text that is too long, between two characters.
func cut(text string) string {
	if len(text) <= valueLimit {
		return text
	}
	end := valueLimit
	for end > valueLimit-utf8.UTFMax && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + "…"
}
