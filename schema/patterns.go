// SPDX-License-Identifier: GPL-3.0-or-later

package schema

import (
	"slices"
	"strings"
)

// expandLimit is how many names a pattern may stand for to be replaced by them.
const expandLimit = 100

// wildcards are the characters that make a name a pattern.
const wildcards = "*?["

// IsPattern reports whether a name stands for others.
func IsPattern(name string) bool { return strings.ContainsAny(name, wildcards) }

// IsPackagePattern reports whether something is a name as in IsPackageName, or a shell pattern of
// such names: * for any characters, ? for one, and brackets for a choice. A pattern without a
// letter or digit of its own would match everything.
func IsPackagePattern(pattern string) bool {
	if !IsPattern(pattern) || len(pattern) > patternLimit {
		return IsPackageName(pattern)
	}
	plain := ""
	if strings.IndexAny(pattern, wildcards) == 0 {
		plain = "x"
	}
	own := false
	for pattern != "" {
		length := 1
		switch c := pattern[0]; c {
		case '[':
			if _, length = choose(pattern, 0); length == 0 {
				return false
			}
		case '*', '?':
		default:
			own = own || c > '.' && c != '_'
			plain += pattern[:1]
		}
		pattern = pattern[length:]
	}
	return own && IsPackageName(plain)
}

// choose reports whether a choice in brackets, with which a pattern begins, has a character, and
// the length of the choice. It is 0 if the choice is malformed.
func choose(pattern string, c byte) (has bool, length int) {
	choice, _, closed := strings.Cut(pattern[1:], "]")
	if !closed || choice == "" || choice[0] == '^' && len(choice) == 1 {
		return false, 0
	}
	members := strings.TrimPrefix(choice, "^")
	for i := 0; i < len(members); i++ {
		first, last := members[i], members[i]
		if i+2 < len(members) && members[i+1] == '-' {
			last, i = members[i+2], i+2
		}
		has = has || first <= c && c <= last
	}
	return has == (choice[0] != '^'), len(choice) + 2
}

// match reports whether a name matches a pattern. Of several * only the last one is tried again,
// which is enough, so that the time is at most the product of both lengths.
func match(pattern, name string) bool {
	again, from := -1, 0
	for p, n := 0, 0; p < len(pattern) || n < len(name); {
		if p < len(pattern) {
			matched, length := false, 1
			switch c := pattern[p]; {
			case c == '*':
				again, from = p, n
				p++
				continue
			case n == len(name):
			case c == '[':
				matched, length = choose(pattern[p:], name[n])
			default:
				matched = c == '?' || c == name[n]
			}
			if matched {
				p, n = p+length, n+1
				continue
			}
		}
		if again < 0 || from == len(name) {
			return false
		}
		from++
		p, n = again+1, from
	}
	return true
}

// patternLimit bounds the length of a pattern. No package has a longer name.
const patternLimit = 255

// expand adds the names that a pattern stands for, if it has no wildcards but choices of
// characters, and stands for few names. Otherwise it adds the pattern. To look up some names in an
// index is quicker than to read all packages.
func expand(names []string, pattern string) []string {
	at := strings.IndexAny(pattern, wildcards)
	if at < 0 || pattern[at] != '[' || pattern[at+1] == '^' {
		return append(names, pattern)
	}
	choice, after, _ := strings.Cut(pattern[at+1:], "]")
	begin := len(names)
	for i := 0; i < len(choice); i++ {
		first, last := choice[i], choice[i]
		if i+2 < len(choice) && choice[i+1] == '-' {
			last, i = choice[i+2], i+2
		}
		for c := rune(first); c <= rune(last); c++ {
			one := string(c)
			if !IsPackageName(one) && (at == 0 || !IsPackageName("x"+one)) {
				continue
			}
			end := len(names)
			names = expand(names, pattern[:at]+one+after)
			if len(names)-begin > expandLimit || len(names) > end && IsPattern(names[end]) {
				return append(names[:begin], pattern)
			}
		}
	}
	return names
}

// Names are names, and patterns among them.
type Names struct{ all, patterns []string }

// NamesOf returns names as they are, with the patterns among them known.
func NamesOf(names []string) Names {
	n := Names{all: names}
	for _, name := range names {
		if IsPattern(name) {
			n.patterns = append(n.patterns, name)
		}
	}
	return n
}

// Open reports whether there are patterns among them.
func (n Names) Open() bool { return n.patterns != nil }

// Has reports whether a name is one of them, or matches a pattern.
func (n Names) Has(name string) bool { return slices.Contains(n.all, name) || n.Pattern(name) != "" }

// Pattern returns the pattern that a name matches, "" where it matches none.
func (n Names) Pattern(name string) string {
	for _, pattern := range n.patterns {
		if match(pattern, name) {
			return pattern
		}
	}
	return ""
}
