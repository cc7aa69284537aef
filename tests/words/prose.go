// SPDX-License-Identifier: GPL-3.0-or-later

// Package words reads the project's own texts: Markdown, the contract in schema/, changelog
// fragments, roles and playbooks. Its tests check the rules that CONTRIBUTING.md lists.
package words

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"unicode"

	"gopkg.in/yaml.v3"
)

// Text is a piece of prose that stands alone: a paragraph, a list item, a heading, a cell of a
// table, or a description.
type Text struct {
	File string
	Line int
	Text string
}

// Sentence is a sentence of a Text.
type Sentence struct {
	File string
	Line int
	Text string
}

func (s Sentence) String() string { return fmt.Sprintf("%s:%d: %s", s.File, s.Line, s.Text) }

// Words returns the number of words. What stands in code font counts as one word.
func (s Sentence) Words() int {
	n := 0
	for _, field := range strings.Fields(s.Text) {
		if strings.ContainsFunc(field, func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }) {
			n++
		}
	}
	return n
}

// First returns the first word, without what surrounds it.
func (s Sentence) First() string {
	first, _, _ := strings.Cut(strings.TrimLeft(s.Text, `"'(*_“‘`), " ")
	return strings.TrimRight(first, `,.:;"'”’)*_`)
}

// IsQuestion tells whether the sentence ends in a question mark.
func (s Sentence) IsQuestion() bool {
	return strings.HasSuffix(strings.TrimRight(s.Text, `"')*_”’ `), "?")
}

// codeWord stands for what a text has in code font.
const codeWord = "CODE"

var (
	codeSpan  = regexp.MustCompile("``[^`]+``|`[^`]+`")
	markup    = regexp.MustCompile(`\b[A-Z]{1,2}\([^)]*\)`)
	link      = regexp.MustCompile(`!?\[([^\]]*)\]\([^)]*\)`)
	emphasis  = regexp.MustCompile(`\*+`)
	lineBreak = regexp.MustCompile(`<br>`)
	listItem  = regexp.MustCompile(`^\s*([-*+]|[0-9]+\.)\s+`)
	endOfOne  = regexp.MustCompile(`[.!?][)"'”’]*\s+`)
	shortForm = regexp.MustCompile(`\b(e\.g|i\.e|etc|vs|cf)\.\s+$`)
)

// Sentences splits a text.
func (t Text) Sentences() []Sentence {
	var all []Sentence
	for _, part := range lineBreak.Split(t.Text, -1) {
		part = codeSpan.ReplaceAllString(part, codeWord)
		part = markup.ReplaceAllString(part, codeWord)
		part = link.ReplaceAllString(part, "$1")
		part = strings.Join(strings.Fields(emphasis.ReplaceAllString(part, "")), " ")
		begin := 0
		for _, end := range endOfOne.FindAllStringIndex(part, -1) {
			if !shortForm.MatchString(part[:end[1]]) {
				all = append(all, Sentence{t.File, t.Line, strings.TrimSpace(part[begin:end[1]])})
				begin = end[1]
			}
		}
		if rest := strings.TrimSpace(part[begin:]); rest != "" {
			all = append(all, Sentence{t.File, t.Line, rest})
		}
	}
	return all
}

// Markdown returns the texts of a document, without its blocks of code and its comments.
func Markdown(file, content string) []Text {
	var all []Text
	var open *Text
	end := func() { open = nil }
	fenced, comment := false, false
	for i, line := range strings.Split(content, "\n") {
		trimmed := strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(trimmed, "```"):
			fenced = !fenced
			end()
			continue
		case fenced:
			continue
		case strings.HasPrefix(trimmed, "<!--") || comment:
			comment = !strings.Contains(trimmed, "-->")
			end()
			continue
		case trimmed == "":
			end()
			continue
		case strings.HasPrefix(trimmed, "#"):
			all = append(all, Text{file, i + 1, strings.TrimLeft(trimmed, "# ")})
			end()
			continue
		case strings.HasPrefix(trimmed, "|"):
			end()
			for _, cell := range cells(trimmed) {
				if strings.Trim(cell, "-: ") != "" {
					all = append(all, Text{file, i + 1, cell})
				}
			}
			continue
		case listItem.MatchString(line):
			end()
			trimmed = listItem.ReplaceAllString(line, "")
		}
		if open == nil {
			all = append(all, Text{File: file, Line: i + 1})
			open = &all[len(all)-1]
		}
		open.Text += trimmed + " "
	}
	return all
}

// cells splits a row of a table at the bars that no backslash escapes.
func cells(row string) []string {
	row = strings.ReplaceAll(strings.Trim(row, "|"), `\|`, "\x00")
	parts := strings.Split(row, "|")
	for i := range parts {
		parts[i] = strings.TrimSpace(strings.ReplaceAll(parts[i], "\x00", "|"))
	}
	return parts
}

// YAML returns the values of a file of YAML that have one of the keys, at any depth.
func YAML(file string, content []byte, keys ...string) ([]Text, error) {
	var all []Text
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	for {
		var document yaml.Node
		if err := decoder.Decode(&document); err != nil {
			if err.Error() == "EOF" {
				return all, nil
			}
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		all = append(all, below(file, &document, keys)...)
	}
}

// below returns the texts below a node.
func below(file string, node *yaml.Node, keys []string) []Text {
	var all []Text
	for i, child := range node.Content {
		if node.Kind == yaml.MappingNode && i%2 == 1 {
			for _, key := range keys {
				if node.Content[i-1].Value == key {
					all = append(all, scalars(file, child)...)
				}
			}
		}
		if child.Kind != yaml.ScalarNode {
			all = append(all, below(file, child, keys)...)
		}
	}
	return all
}

// scalars returns the text of a node that is one, or of each element of a list.
func scalars(file string, node *yaml.Node) []Text {
	switch node.Kind { //nolint:exhaustive // a mapping below such a key is no text
	case yaml.ScalarNode:
		return []Text{{file, node.Line, node.Value}}
	case yaml.SequenceNode:
		var all []Text
		for _, child := range node.Content {
			if child.Kind == yaml.ScalarNode {
				all = append(all, Text{file, child.Line, child.Value})
			}
		}
		return all
	}
	return nil
}

// Comments returns the comments of a file in which they begin with a hash. A text ends at an empty
// comment. A line with more indentation begins a new text.
func Comments(file, content string) []Text {
	var all []Text
	var open *Text
	for i, line := range strings.Split(content, "\n") {
		text, found := strings.CutPrefix(strings.TrimSpace(line), "#")
		trimmed := strings.TrimSpace(text)
		if !found || trimmed == "" || strings.HasPrefix(text, "!") || strings.HasPrefix(trimmed, "SPDX-") {
			open = nil
			continue
		}
		if open == nil || strings.HasPrefix(text, "  ") {
			all = append(all, Text{File: file, Line: i + 1})
			open = &all[len(all)-1]
		}
		open.Text += trimmed + " "
	}
	return all
}

// Link is a link of a document.
type Link struct {
	Line int
	To   string
}

var (
	inlineLink = regexp.MustCompile(`\]\(<?([^)\s>]+)>?(?:\s+"[^"]*")?\)`)
	reference  = regexp.MustCompile(`^\s*\[[^\]]+\]:\s*(\S+)`)
)

// Links returns the links of a document, without those in code.
func Links(content string) []Link {
	var all []Link
	fenced := false
	for i, line := range strings.Split(content, "\n") {
		if strings.HasPrefix(strings.TrimSpace(line), "```") {
			fenced = !fenced
		}
		if fenced {
			continue
		}
		line = codeSpan.ReplaceAllStringFunc(line, func(code string) string {
			return strings.NewReplacer("[", " ", "]", " ", "(", " ", ")", " ").Replace(code)
		})
		for _, found := range inlineLink.FindAllStringSubmatch(line, -1) {
			all = append(all, Link{i + 1, found[1]})
		}
		if found := reference.FindStringSubmatch(line); found != nil {
			all = append(all, Link{i + 1, found[1]})
		}
	}
	return all
}

// Anchors returns the anchors of a document's headings, as GitHub and GitLab make them.
func Anchors(content string) []string {
	var all []string
	seen := map[string]int{}
	fenced := false
	for line := range strings.Lines(content) {
		if strings.HasPrefix(strings.TrimSpace(line), "```") {
			fenced = !fenced
		}
		heading := strings.TrimLeft(line, "#")
		if fenced || heading == line || !strings.HasPrefix(heading, " ") {
			continue
		}
		heading = link.ReplaceAllString(strings.ToLower(strings.TrimSpace(heading)), "$1")
		anchor := strings.Map(func(r rune) rune {
			switch {
			case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
				return r
			case r == ' ':
				return '-'
			}
			return -1
		}, heading)
		if n := seen[anchor]; n > 0 {
			all = append(all, fmt.Sprintf("%s-%d", anchor, n))
		} else {
			all = append(all, anchor)
		}
		seen[anchor]++
	}
	return all
}

// Commands returns a document's blocks of code with an info string, without their indentation.
func Commands(content, info string) []string {
	var all []string
	var block *strings.Builder
	indent := ""
	for line := range strings.Lines(content) {
		trimmed := strings.TrimSpace(line)
		switch {
		case block == nil && trimmed == "```"+info:
			block = &strings.Builder{}
			indent, _, _ = strings.Cut(line, "`")
		case block != nil && trimmed == "```":
			all = append(all, block.String())
			block = nil
		case block != nil:
			block.WriteString(strings.TrimPrefix(line, indent))
		}
	}
	return all
}
