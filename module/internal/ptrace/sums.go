// SPDX-License-Identifier: GPL-3.0-or-later

package ptrace

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// What others wrote can be of any length and number. A message names the first ones and counts the
// rest.
const (
	// filesListed bounds the files in a message.
	filesListed = 10
	// linesListed bounds the lines of a file in a message.
	linesListed = 3
	// valueShown bounds what is shown of a value.
	valueShown = 60
)

// Shown returns a text of others, or its beginning where it has more than limit bytes.
func Shown(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	end := limit
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + "… (" + Count(len(text)-end) + " bytes more)"
}

// Count returns a number with a comma between thousands.
func Count(n int) string {
	digits := strconv.Itoa(n)
	for at := len(digits) - 3; at > 0; at -= 3 {
		digits = digits[:at] + "," + digits[at:]
	}
	return digits
}

// namesListed bounds the names in a message.
const namesListed = 20

// Named returns names for a message: the first ones, and how many more there are.
func Named(names []string) string {
	if more := len(names) - namesListed; more > 0 {
		return strings.Join(names[:namesListed], ", ") + " and " + More(more)
	}
	return strings.Join(names, ", ")
}

// More stands in a list of names for those that are not in it.
func More(n int) string { return Count(n) + " more" }

// moreOf returns how many names an element of a list stands for, if it is no name.
func moreOf(name string) (int, bool) {
	digits, ok := strings.CutSuffix(name, " more")
	n, err := strconv.Atoi(strings.ReplaceAll(digits, ",", ""))
	return n, ok && err == nil
}

// fileSums returns one sentence for each of the first files in which there are conflicts, and
// counts the rest. Behind it comes what stays, and why.
func fileSums(conflicts []conflict, then string) (sums []string) {
	for len(conflicts) > 0 {
		n := ofFirstFile(conflicts)
		if len(sums) == filesListed {
			return append(sums, More(len(conflicts))+" lines of other files set it as well"+then)
		}
		texts := make([]string, 0, linesListed)
		for i := range min(n, linesListed) {
			texts = append(texts, conflicts[i].String())
		}
		sums = append(sums, sum(texts, n)+then)
		conflicts = conflicts[n:]
	}
	return sums
}

// ofFirstFile returns how many conflicts are of the first file. Those of a file follow one another.
func ofFirstFile(conflicts []conflict) int {
	n := 1
	for n < len(conflicts) && conflicts[n].Path == conflicts[0].Path {
		n++
	}
	return n
}

// sum returns what the first lines of a file do, and how many more there are.
func sum(first []string, count int) string {
	text := strings.Join(first, "; ")
	if more := count - len(first); more > 0 {
		text += "; " + More(more) + " lines set it as well"
	}
	return text
}
