// SPDX-License-Identifier: GPL-3.0-or-later

package sysctld

import (
	"strings"
	"unicode/utf8"
)

// patternMarks make a name a pattern, to both loaders.
const patternMarks = "*?["

func isPattern(name string) bool { return strings.ContainsAny(name, patternMarks) }

// matchPath matches a pattern with a path, part by part: no mark matches a slash.
func matchPath(pattern, name string) bool {
	for {
		part, patterns, more := strings.Cut(pattern, "/")
		nameOf, names, further := strings.Cut(name, "/")
		if more {
			part = withoutEscapedEnd(part)
		}
		if more != further || !match(part, nameOf) {
			return false
		}
		if !more {
			return true
		}
		pattern, name = patterns, names
	}
}

// withoutEscapedEnd returns a part of a pattern without the backslash that stands before the slash
// behind it, where it says nothing.
func withoutEscapedEnd(part string) string {
	if backslashes := len(part) - len(strings.TrimRight(part, "\\")); backslashes%2 == 1 {
		return part[:len(part)-1]
	}
	return part
}

// match is fnmatch(3) without flags, in a UTF-8 locale: by characters where both are UTF-8,
// otherwise by bytes.
func match(pattern, name string) bool {
	if utf8.ValidString(pattern) && utf8.ValidString(name) {
		return matchRunes([]rune(pattern), []rune(name))
	}
	return matchRunes(bytesOf(pattern), bytesOf(name))
}

func bytesOf(text string) []rune {
	runes := make([]rune, len(text))
	for i := range runes {
		runes[i] = rune(text[i])
	}
	return runes
}

func matchRunes(pattern, name []rune) bool {
	// Where a star matched last: on a mismatch it takes one more.
	star, taken := -1, 0
	p, n := 0, 0
	for n < len(name) {
		length, ok := 0, false
		switch {
		case p == len(pattern):
		case pattern[p] == '*':
			star, taken = p, n
			p++
			continue
		default:
			length, ok = matchOne(pattern[p:], name[n])
		}
		switch {
		case ok:
			p, n = p+length, n+1
		case star >= 0:
			taken++
			p, n = star+1, taken
		default:
			return false
		}
	}
	return strings.Trim(string(pattern[p:]), "*") == ""
}

// matchOne matches the first element of a pattern with a character, and returns the element's
// length.
func matchOne(pattern []rune, c rune) (length int, ok bool) {
	switch {
	case pattern[0] == '?':
		return 1, true
	case pattern[0] == '[':
		if length, ok, closed := matchBracket(pattern, c); closed {
			return length, ok
		}
	case pattern[0] == '\\' && len(pattern) > 1:
		return 2, pattern[1] == c
	}
	return 1, pattern[0] == c
}

// matchBracket matches a bracket expression. One that is not closed is no expression, and an
// ill-formed one matches nothing: fnmatch_loop() in posix/fnmatch_loop.c of glibc, which takes what
// follows a match less exactly than what leads to it.
func matchBracket(pattern []rune, c rune) (length int, ok, closed bool) {
	b := bracket{pattern, 1}
	negated := b.peek(0) == '!' || b.peek(0) == '^'
	if negated {
		b.at++
	}
	found, malformed := false, false
	for first := true; !found && !malformed; first = false {
		switch {
		case b.peek(0) == 0:
			return 0, false, false
		case b.peek(0) == ']' && !first:
			return b.at + 1, negated, true
		default:
			found, malformed = b.member(c)
		}
	}
	for !malformed {
		switch b.peek(0) {
		case 0:
			malformed = true
		case ']':
			return b.at + 1, !negated, true
		default:
			malformed = b.skip()
		}
	}
	return 1, false, true
}

// bracket is a bracket expression that is being read.
type bracket struct {
	text []rune
	at   int
}

// peek returns the character at some distance, 0 behind the end.
func (b *bracket) peek(distance int) rune {
	if i := b.at + distance; i < len(b.text) {
		return b.text[i]
	}
	return 0
}

// member reads a character, range or class, and tells whether it matches.
func (b *bracket) member(c rune) (ok, malformed bool) {
	if b.peek(0) == '[' {
		switch b.peek(1) {
		case ':':
			if name, named := b.className(); named {
				class := classes[name]
				return class != nil && class(c), class == nil
			}
		case '=':
			if b.peek(2) != 0 && b.peek(3) == '=' && b.peek(4) == ']' {
				b.at += len("[=c=]")
				return b.text[b.at-3] == c, false
			}
		}
	}
	symbol := b.peek(0) == '[' && b.peek(1) == '.'
	low, malformed := b.character()
	if malformed || b.peek(0) != '-' || b.peek(1) == ']' || b.peek(1) == 0 {
		lost := symbol && b.peek(0) == '-' // a slip of glibc's: [[.c.]-] does not have c
		return low == c && !lost, malformed
	}
	b.at++
	high, malformed := b.character()
	return low <= c && c <= high, malformed
}

// character reads a character: itself, after a backslash, or as a collating symbol, of which there
// are no others here.
func (b *bracket) character() (c rune, malformed bool) {
	switch {
	case b.peek(0) == '[' && b.peek(1) == '.':
		ok := b.peek(2) != 0 && b.peek(3) == '.' && b.peek(4) == ']'
		c = b.peek(2)
		b.at += len("[.c.]")
		return c, !ok
	case b.peek(0) == '\\':
		b.at++
	}
	c = b.peek(0)
	b.at++
	return c, c == 0
}

// className reads the name of a class. What cannot be a name is a bracket like any other character.
func (b *bracket) className() (name string, ok bool) {
	for i := b.at + len("[:"); i+1 < len(b.text); i++ {
		switch r := b.text[i]; {
		case r == ':' && b.text[i+1] == ']':
			name, b.at = string(b.text[b.at+len("[:"):i]), i+len(":]")
			return name, true
		case r < 'a' || r >= 'z':
			return "", false
		}
	}
	return "", false
}

// skip passes over a character or class.
func (b *bracket) skip() (malformed bool) {
	if b.peek(0) == '[' {
		switch b.peek(1) {
		case ':':
			if _, named := b.className(); named {
				return false
			}
		case '=':
			ok := b.peek(2) != 0 && b.peek(3) == '=' && b.peek(4) == ']'
			b.at += len("[=c=]")
			return !ok
		case '.':
			for b.at += len("[."); b.peek(0) != 0; b.at++ {
				if b.peek(0) == '.' && b.peek(1) == ']' {
					b.at += len(".]")
					return false
				}
			}
			return true
		}
	}
	if b.peek(0) == '\\' {
		b.at++
	}
	b.at++
	return b.at > len(b.text)
}

// classes are the character classes that a part of the key can be in.
var classes = map[string]func(rune) bool{
	"alnum":  func(c rune) bool { return isLower(c) || isUpper(c) || isDigit(c) },
	"alpha":  func(c rune) bool { return isLower(c) || isUpper(c) },
	"digit":  isDigit,
	"lower":  isLower,
	"upper":  isUpper,
	"punct":  func(c rune) bool { return c > ' ' && c < 0x7f && !isLower(c) && !isUpper(c) && !isDigit(c) },
	"graph":  func(c rune) bool { return c > ' ' && c < 0x7f },
	"print":  func(c rune) bool { return c >= ' ' && c < 0x7f },
	"space":  func(c rune) bool { return strings.ContainsRune(reloadBlanks, c) },
	"blank":  func(c rune) bool { return c == ' ' || c == '\t' },
	"cntrl":  func(c rune) bool { return c < ' ' || c == 0x7f },
	"xdigit": func(c rune) bool { return isDigit(c) || c|0x20 >= 'a' && c|0x20 <= 'f' },
}

func isLower(c rune) bool { return c >= 'a' && c <= 'z' }
func isUpper(c rune) bool { return c >= 'A' && c <= 'Z' }
func isDigit(c rune) bool { return c >= '0' && c <= '9' }

// bracesLimit bounds for how many names the name of a drop-in may stand.
const bracesLimit = 1024

// braces returns what a text with GLOB_BRACE of glob(3) stands for: a{b,c}d is abd and acd. Where
// the first brace is never closed, none of them is special; and where nothing matches what they
// stand for, they stand for themselves. The answer is not complete where the text stands for more
// than bracesLimit.
func braces(text string) (done []string, complete bool) {
	for todo := []string{text}; len(todo) > 0; {
		next := todo[0]
		todo = todo[1:]
		choices := choicesOf(next)
		if choices == nil {
			done = append(done, next)
		}
		todo = append(choices, todo...)
		if len(done)+len(todo) > bracesLimit {
			return done, false
		}
	}
	return done, true
}

// choicesOf returns what a text becomes at its first pair of braces, nil where it has none.
func choicesOf(text string) []string {
	open := 0
	for ; open < len(text) && text[open] != '{'; open++ {
		if text[open] == '\\' && open+1 < len(text) {
			open++
		}
	}
	if open >= len(text) {
		return nil
	}
	var choices []string
	depth, start := 0, open+1
	for i := start; i < len(text); i++ {
		switch {
		case text[i] == '\\':
			i++
		case text[i] == '{':
			depth++
		case text[i] == '}' && depth > 0:
			depth--
		case text[i] == ',' && depth == 0:
			choices, start = append(choices, text[start:i]), i+1
		case text[i] == '}':
			choices = append(choices, text[start:i])
			for c := range choices {
				choices[c] = text[:open] + choices[c] + text[i+1:]
			}
			return choices
		}
	}
	return nil
}
