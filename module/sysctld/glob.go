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
	patterns, names := strings.Split(pattern, "/"), strings.Split(name, "/")
	if len(patterns) != len(names) {
		return false
	}
	for i := range patterns {
		if !match(patterns[i], names[i]) {
			return false
		}
	}
	return true
}

// match is fnmatch(3) without flags, in a UTF-8 locale: by characters where both are UTF-8, otherwise by bytes.
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

// matchOne matches the first element of a pattern with a character, and returns the element's length.
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

// matchBracket matches a bracket expression. One that is not closed is no expression.
func matchBracket(pattern []rune, c rune) (length int, ok, closed bool) {
	i := 1
	negated := i < len(pattern) && (pattern[i] == '!' || pattern[i] == '^')
	if negated {
		i++
	}
	for first := true; i < len(pattern); first = false {
		if pattern[i] == ']' && !first {
			return i + 1, ok != negated, true
		}
		if class, length := classAt(pattern[i:]); length > 0 {
			ok = ok || class(c)
			i += length
			continue
		}
		low, width := memberAt(pattern[i:])
		i += width
		high := low
		if i+1 < len(pattern) && pattern[i] == '-' && pattern[i+1] != ']' {
			high, width = memberAt(pattern[i+1:])
			i += 1 + width
		}
		ok = ok || low <= c && c <= high
	}
	return 0, false, false
}

// memberAt returns the character that a member of a bracket expression stands for.
func memberAt(pattern []rune) (c rune, width int) {
	if pattern[0] == '\\' && len(pattern) > 1 {
		return pattern[1], 2
	}
	return pattern[0], 1
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

// classAt returns the class that a bracket expression names next, and the length of the name.
func classAt(pattern []rune) (class func(rune) bool, length int) {
	if len(pattern) < 2 || pattern[0] != '[' || pattern[1] != ':' {
		return nil, 0
	}
	name, _, ok := strings.Cut(string(pattern[2:min(len(pattern), 2+len("xdigit:]"))]), ":]")
	if class = classes[name]; !ok || class == nil {
		return nil, 0
	}
	return class, len("[:") + len(name) + len(":]")
}

// bracesLimit bounds what a hostile file can make of a short text.
const bracesLimit = 1024

// braces returns what a text with GLOB_BRACE of glob(3) stands for: a{b,c}d is abd and acd. Braces that do not match are
// nothing special.
func braces(text string) []string {
	done, todo := []string{}, []string{text}
	for len(todo) > 0 && len(done)+len(todo) < bracesLimit {
		next := todo[0]
		todo = todo[1:]
		before, choices, after, ok := firstBraces(next)
		if !ok {
			done = append(done, next)
			continue
		}
		for i := range choices {
			choices[i] = before + choices[i] + after
		}
		todo = append(choices, todo...)
	}
	return done
}

// firstBraces takes a text apart at its first pair of braces that match.
func firstBraces(text string) (before string, choices []string, after string, ok bool) {
	for open := strings.IndexByte(text, '{'); open >= 0 && open < len(text); open++ {
		if text[open] != '{' {
			continue
		}
		depth, start := 0, open+1
		choices = nil
		for i := open + 1; i < len(text); i++ {
			switch {
			case text[i] == '{':
				depth++
			case text[i] == '}' && depth > 0:
				depth--
			case text[i] == ',' && depth == 0:
				choices, start = append(choices, text[start:i]), i+1
			case text[i] == '}':
				return text[:open], append(choices, text[start:i]), text[i+1:], true
			}
		}
	}
	return "", nil, "", false
}
