// SPDX-License-Identifier: GPL-3.0-or-later

package sysctld

import (
	"strings"
	"unicode/utf8"
)

// A text with n pairs of braces can stand for 2ⁿ patterns: GLOB_BRACE of glob(3). So they are not
// written out one by one. The text is read once, and what is noted is how much of the key the
// patterns that end there may have matched.

// bracesReach tells whether any of the patterns that a text with braces stands for matches the key.
// Where its first brace is never closed, none of them is special: then it stands for nothing but
// itself, which matchPath matches.
func bracesReach(text, key string) bool {
	end := closed(text)
	if !strings.Contains(text[:end], "{") {
		return false
	}
	m := newMatcher(key)
	runes := utf8.ValidString(text)
	now := progress{out: 1}
	var groups []group
	escaped := false
	for at := 0; at < len(text) && (now.alive() || len(groups) > 0); {
		r, size := rune(text[at]), 1
		if runes {
			r, size = utf8.DecodeRuneInString(text[at:])
		}
		mark := byte(0) // what it means to braces
		if !escaped && at < end {
			mark = text[at]
		}
		escaped = !escaped && r == '\\'
		last := len(groups) - 1
		switch {
		case mark == '{':
			groups = append(groups, group{before: now})
		case mark == ',' && last >= 0:
			groups[last].after.join(now)
			now = groups[last].before
		case mark == '}' && last >= 0:
			now.join(groups[last].after)
			groups = groups[:last]
		default:
			now = m.read(now, r)
		}
		at += size
	}
	return now.out&m.end != 0
}

// group is a pair of braces that is being read: what was matched before it, and after those of its
// choices that were read.
type group struct{ before, after progress }

// closed returns where the braces of a text end that are special: at the first one that is never
// closed.
func closed(text string) int {
	depth, open := 0, 0
	for at := 0; at < len(text); at++ {
		switch text[at] {
		case '\\':
			at++
		case '{':
			if depth == 0 {
				open = at
			}
			depth++
		case '}':
			depth = max(0, depth-1)
		}
	}
	if depth > 0 {
		return open
	}
	return len(text)
}

// places is a set of places in the key: bit i stands for the place before its character i.
type places uint64

// progress is how much of the key was matched, by any pattern.
type progress struct {
	out, escaped places // outside of brackets, and there behind a backslash
	inside       []inBracket
}

func (p *progress) alive() bool { return p.out != 0 || p.escaped != 0 || len(p.inside) > 0 }

// join adds what other patterns have matched.
func (p *progress) join(other progress) {
	p.out |= other.out
	p.escaped |= other.escaped
	p.inside = p.inside[:len(p.inside):len(p.inside)] // others may have the same ones
	for _, b := range other.inside {
		p.add(b)
	}
}

// add adds a place in a bracket, unless there is no character of the key that it could match.
func (p *progress) add(b inBracket) {
	if b.at == 0 {
		return
	}
	for i, other := range p.inside {
		if other.at = b.at; other == b {
			b.at |= p.inside[i].at
			p.inside = append(append(p.inside[:i:i], b), p.inside[i+1:]...)
			return
		}
	}
	p.inside = append(p.inside, b)
}

// matcher knows the characters of the key, which are letters, underscores and slashes.
type matcher struct {
	// below are the places of all that are less than one.
	below      [utf8.RuneSelf + 1]places
	characters places // those of all but the slashes
	end        places
}

func newMatcher(key string) *matcher {
	m := &matcher{end: 1 << len(key)}
	for i := range len(key) {
		for r := int(key[i]) + 1; r < len(m.below); r++ {
			m.below[r] |= 1 << i
		}
		if key[i] != '/' {
			m.characters |= 1 << i
		}
	}
	return m
}

// upTo returns the places of the characters that are not greater than one.
func (m *matcher) upTo(r rune) places { return m.below[min(r, utf8.RuneSelf-1)+1] }

// at returns the places of a character.
func (m *matcher) at(r rune) places { return m.upTo(r) &^ m.upTo(r-1) }

// read returns the progress once a pattern has one character more.
func (m *matcher) read(now progress, r rune) (next progress) {
	next.out = now.escaped & m.at(r) << 1 // a backslash before a slash says nothing
	switch r {
	case '*':
		next.out |= m.anything(now.out)
	case '?':
		next.out |= now.out & m.characters << 1
	case '\\':
		next.escaped = now.out
	case '[':
		next.add(inBracket{step: stepOpen, at: now.out & m.characters})
	default:
		next.out |= now.out & m.at(r) << 1
	}
	if r != '/' { // a part ends there, and a bracket that is not closed is none
		for _, b := range now.inside {
			m.readInside(&next, b, r)
		}
	}
	return next
}

// anything returns the places that a star reaches.
func (m *matcher) anything(from places) places {
	for {
		further := from | from&m.characters<<1
		if further == from {
			return from
		}
		from = further
	}
}

// inBracket is a bracket expression that is being read, with the places whose character it may
// match. It says the same as bracket.member and bracket.skip, which can look ahead: here, what a
// bracket or a colon begins is tried in each way that it can go on.
type inBracket struct {
	at      places
	step    step
	watch   watch
	negated bool
	first   bool   // a closing bracket is a character here
	least   bool   // the characters are not less than the one that may begin a range, or
	same    bool   // are that one
	most    bool   // they are not greater than the one that ends it
	symbol  bool   // what may begin it was written as a collating symbol
	high    bool   // what is being read ends a range
	class   string // what was read of a class's name
}

// step is what may come next in a bracket.
type step uint8

const (
	stepOpen    step = iota // a negation, or a member
	stepMember              // a character, range or class
	stepDash                // a minus, which makes a range
	stepHigh                // what ends a range
	stepEscaped             // the character behind a backslash
	stepSymbol              // the rest of [.c.]
	stepSymbolCharacter
	stepSymbolDot
	stepSymbolEnd
	stepClass // the rest of [:class:]
	stepClassName
	stepClassEnd
	stepRest // as stepMember, behind a member that matches: what comes then must be well-formed
	stepRestOpen
	stepRestEscaped
	stepRestClass
	stepRestClassEnd
	stepRestSymbol
	stepRestSymbolEnd
)

// watch is what must not follow a bracket that is taken for a character.
type watch uint8

const (
	watchNothing watch = iota
	watchOpen          // a dot; a colon, a name and :]
	watchDot           // a dot
	watchName          // the rest of a name and :]
	watchEnd           // a closing bracket
)

// isClassLetter tells whether className takes a character for one of a name.
func isClassLetter(r rune) bool { return 'a' <= r && r < 'z' }

// passed returns what must not follow once a character does, and whether that one may.
func (w watch) passed(r rune) (watch, bool) {
	switch {
	case w == watchOpen && r == ':', w == watchName && isClassLetter(r):
		return watchName, true
	case w == watchName && r == ':':
		return watchEnd, true
	}
	refused := (w == watchOpen || w == watchDot) && r == '.' || w == watchEnd && r == ']'
	return watchNothing, !refused
}

// readInside adds to the progress what a bracket becomes that has one character more.
func (m *matcher) readInside(next *progress, b inBracket, r rune) {
	var may bool
	if b.watch, may = b.watch.passed(r); !may {
		return
	}
	then := func(step step) {
		b.step = step
		next.add(b)
	}
	switch {
	case b.step == stepOpen:
		b.first = true
		if b.negated = r == '!' || r == '^'; b.negated {
			then(stepMember)
		} else {
			m.member(next, b, r)
		}
	case b.step == stepMember:
		m.member(next, b, r)
	case b.step == stepDash && r == '-':
		then(stepHigh)
	case b.step >= stepRest:
		m.rest(next, b, r)
	case b.step == stepDash && b.same:
		m.rest(next, b.chosen(true), r)
	case b.step == stepDash:
		m.member(next, b.member(), r)
	// the minus is a character, before which a symbol does not count: a slip of glibc's
	case b.step == stepHigh && r == ']':
		m.close(next, b, b.same && !b.symbol)
	case b.step == stepHigh && r == '\\':
		b.high = true
		then(stepEscaped)
	case b.step == stepHigh && r == '[':
		plain := b
		plain.watch = watchDot
		b.high = true
		then(stepSymbol)
		m.ends(next, plain, r)
	case b.step == stepHigh, b.step == stepEscaped && b.high:
		m.ends(next, b, r)
	case b.step == stepEscaped:
		m.begins(next, b, r, stepDash)
	case b.step == stepSymbol && r == '.':
		then(stepSymbolCharacter)
	case b.step == stepSymbolCharacter && b.high:
		m.split(next, b, m.upTo(r), func(b *inBracket, most bool) { b.step, b.most = stepSymbolDot, most })
	case b.step == stepSymbolCharacter:
		m.begins(next, b, r, stepSymbolDot)
	case b.step == stepSymbolDot && r == '.':
		then(stepSymbolEnd)
	case b.step == stepSymbolEnd && r == ']' && b.high:
		next.add(b.chosen(b.least && b.most))
	case b.step == stepSymbolEnd && r == ']':
		b.symbol = true
		then(stepDash)
	case b.step == stepClass && r == ':':
		then(stepClassName)
	case b.step == stepClassName && r == ':':
		then(stepClassEnd)
	case b.step == stepClassName && isClassLetter(r):
		if b.class += string(r); beginsClass(b.class) {
			then(stepClassName)
		}
	case b.step == stepClassEnd && r == ']' && classes[b.class] != nil:
		m.split(next, b, m.of(classes[b.class]), func(b *inBracket, in bool) { *b = b.chosen(in) })
	}
}

// beginsClass tells whether a text begins the name of a class.
func beginsClass(text string) bool {
	for name := range classes {
		if strings.HasPrefix(name, text) {
			return true
		}
	}
	return false
}

// of returns the places of the characters of a class.
func (m *matcher) of(class func(rune) bool) (found places) {
	for r := range rune(utf8.RuneSelf) {
		if class(r) {
			found |= m.at(r)
		}
	}
	return found
}

// split adds a bracket for those of its places that are among others, and one for the rest.
func (m *matcher) split(next *progress, b inBracket, among places, become func(b *inBracket, is bool)) {
	yes, no := b, b
	yes.at, no.at = b.at&among, b.at&^among
	become(&yes, true)
	become(&no, false)
	next.add(yes)
	next.add(no)
}

// member returns the bracket where its next member begins.
func (b inBracket) member() inBracket {
	return inBracket{at: b.at, step: stepMember, watch: b.watch, negated: b.negated}
}

// chosen returns the bracket behind a member that matched, or did not.
func (b inBracket) chosen(matched bool) inBracket {
	if b = b.member(); matched {
		b.step = stepRest
	}
	return b
}

// close adds what a bracket matched that ends here.
func (m *matcher) close(next *progress, b inBracket, found bool) {
	if found != b.negated {
		next.out |= b.at << 1
	}
}

// member adds what a bracket becomes when a member begins with a character.
func (m *matcher) member(next *progress, b inBracket, r rune) {
	switch {
	case r == ']' && !b.first:
		m.close(next, b, false)
	case r == '\\':
		b.step = stepEscaped
		next.add(b)
	case r == '[':
		for _, b.step = range []step{stepClass, stepSymbol} {
			next.add(b)
		}
		b.watch = watchOpen
		m.begins(next, b, r, stepDash)
	default:
		m.begins(next, b, r, stepDash)
	}
}

// begins adds what a bracket becomes behind a character that is a member, unless a range begins
// with it.
func (m *matcher) begins(next *progress, b inBracket, r rune, then step) {
	b.first, b.step = false, then
	less, same, greater := b, b, b
	less.at &= m.upTo(r - 1)
	same.at, same.least, same.same = b.at&m.at(r), true, true
	greater.at, greater.least = b.at&^m.upTo(r), true
	next.add(less)
	next.add(same)
	next.add(greater)
}

// ends adds what a bracket becomes behind a range.
func (m *matcher) ends(next *progress, b inBracket, r rune) {
	m.split(next, b, m.upTo(r), func(b *inBracket, most bool) { *b = b.chosen(b.least && most) })
}

// rest adds what a bracket becomes behind a member that matched.
func (m *matcher) rest(next *progress, b inBracket, r rune) {
	b = inBracket{at: b.at, step: b.step, watch: b.watch, negated: b.negated}
	switch {
	case b.step == stepRestEscaped, b.step == stepRestClassEnd && r == ']', b.step == stepRestSymbolEnd && r == ']':
		b.step = stepRest
	case b.step == stepRestClass && r == ':':
		b.step = stepRestClassEnd
	case b.step == stepRestClass && isClassLetter(r):
	case b.step == stepRestClass, b.step == stepRestClassEnd:
		return
	case (b.step == stepRestSymbol || b.step == stepRestSymbolEnd) && r == '.':
		b.step = stepRestSymbolEnd
	case b.step == stepRestSymbol, b.step == stepRestSymbolEnd, b.step == stepRestOpen && r == '.':
		b.step = stepRestSymbol
	case b.step == stepRestOpen && r == ':':
		class := b
		class.step = stepRestClass
		next.add(class)
		b.step, b.watch = stepRest, watchName
	case r == ']':
		m.close(next, b, true)
		return
	case r == '[':
		b.step = stepRestOpen
	case r == '\\':
		b.step = stepRestEscaped
	default:
		b.step = stepRest
	}
	next.add(b)
}
