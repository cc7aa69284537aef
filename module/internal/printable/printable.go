// SPDX-License-Identifier: GPL-3.0-or-later

// Package printable makes text of others fit for a terminal: names of files, targets of links,
// contents of files, command lines, and the output of other programs. A terminal obeys control
// characters in such text, and bidirectional overrides show it in another order than it has.
package printable

import (
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Text returns text with a visible escape in place of each character that is not printable
// (strconv.IsPrint), and of each byte that is not UTF-8: \x1b, \u202e, \xff. Line breaks and tabs
// stay. Printable text comes back as it is, also a backslash: an escape that is escaped again would
// be another text each time.
func Text(text string) string { return escape(text, true) }

// Line returns Text without line breaks, for what is shown on one line: a line break in the name of
// a file must not begin a line that looks like another message.
func Line(text string) string { return escape(text, false) }

func escape(text string, keepLines bool) string {
	var escaped []byte
	done := 0 // up to there text is in escaped
	for i, size := 0, 0; i < len(text); i += size {
		if size = 1; ' ' <= text[i] && text[i] <= '~' {
			continue
		}
		var r rune
		if r, size = utf8.DecodeRuneInString(text[i:]); !isShown(r, size, keepLines) {
			quoted := strconv.Quote(text[i : i+size])
			escaped = append(append(escaped, text[done:i]...), quoted[1:len(quoted)-1]...)
			done = i + size
		}
	}
	if done == 0 {
		return text
	}
	return string(append(escaped, text[done:]...))
}

// isShown reports whether a decoded character stays. U+FFFD of one byte is a byte that is not
// UTF-8.
func isShown(r rune, size int, keepLines bool) bool {
	switch {
	case r == '\t':
		return true
	case r == '\n':
		return keepLines
	case r == utf8.RuneError && size == 1:
		return false
	}
	return strconv.IsPrint(r)
}

// lineLimit bounds a string that is shown on one line. The longest messages of the module have one
// or two kilobytes; the value in a drop-in can have four megabytes.
const lineLimit = 8 << 10

// All makes every string below value printable, keys of maps too, and returns value. Structs behind
// pointers, slices and maps are changed in place. Strings are Lines and at most lineLimit long.
// Those below a field with the tag lines:"keep" are Text, of any length.
func All(value any) any {
	show(reflect.ValueOf(&value).Elem(), false)
	return value
}

func show(v reflect.Value, keepLines bool) {
	switch v.Kind() { //nolint:exhaustive // the others hold no strings
	case reflect.String:
		if text := shown(v.String(), keepLines); text != v.String() {
			v.SetString(text)
		}
	case reflect.Pointer:
		if !v.IsNil() {
			show(v.Elem(), keepLines)
		}
	case reflect.Interface:
		if !v.IsNil() {
			v.Set(shownCopy(v.Elem(), keepLines))
		}
	case reflect.Slice:
		for i := range v.Len() {
			show(v.Index(i), keepLines)
		}
	case reflect.Map:
		for at := v.MapRange(); at.Next(); {
			key, element := shownCopy(at.Key(), keepLines), shownCopy(at.Value(), keepLines)
			if key.String() != at.Key().String() {
				v.SetMapIndex(at.Key(), reflect.Value{})
			}
			v.SetMapIndex(key, element)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if field := v.Type().Field(i); field.IsExported() {
				show(v.Field(i), keepLines || field.Tag.Get("lines") == "keep")
			}
		}
	}
}

// shownCopy returns a printable copy of what cannot be changed in place.
func shownCopy(v reflect.Value, keepLines bool) reflect.Value {
	c := reflect.New(v.Type()).Elem()
	c.Set(v)
	show(c, keepLines)
	return c
}

func shown(text string, keepLines bool) string {
	if keepLines {
		return Text(text)
	}
	return Cut(Line(text), lineLimit)
}

// Cut returns the beginning of a text that is longer than limit bytes, with an ellipsis.
func Cut(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	return strings.ToValidUTF8(text[:limit], "") + "…"
}
