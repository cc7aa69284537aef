// SPDX-License-Identifier: GPL-3.0-or-later

package port

import (
	"path"
	"strings"
	"unicode"
)

// NameLimit bounds the names of packages, and their versions.
const NameLimit = 255

// IsName tells whether something can be a package's name: no option, no pattern, no path, nothing
// that a terminal would obey.
func IsName(name string) bool {
	for i, r := range name {
		letter := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
		if !letter && (i == 0 && r != '_' || !strings.ContainsRune("+._-:@~", r)) {
			return false
		}
	}
	return name != "" && len(name) <= NameLimit
}

// IsVersion tells whether something can be a package's version: printable, without spaces, and not
// long. None is a version, too.
func IsVersion(version string) bool {
	return len(version) <= NameLimit && !strings.ContainsFunc(version, func(r rune) bool { return r <= ' ' || r > '~' })
}

// IsPath tells whether something is an absolute path in its shortest form.
func IsPath(file string) bool {
	return path.IsAbs(file) && path.Clean(file) == file && !strings.ContainsRune(file, 0)
}

// Line makes one line of what somebody else said, and a short one: nothing in it can pass for
// another line, or move a cursor.
func Line(text string, limit int) string {
	text = strings.ToValidUTF8(text, "\ufffd")
	text = strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' }), " | ")
	text = strings.Map(func(r rune) rune {
		if r != ' ' && !unicode.IsGraphic(r) {
			return '\ufffd'
		}
		return r
	}, strings.TrimSpace(text))
	if len(text) > limit {
		text = strings.ToValidUTF8(text[:limit], "") + "…"
	}
	return text
}
