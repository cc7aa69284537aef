// SPDX-License-Identifier: GPL-3.0-or-later

// Generate makes five things from the contract and the catalog: the program's tables
// (schema/tables.go), the documentation for ansible-doc, the role's argument spec, the role's task,
// and the option table of README.md. It runs in the top directory of the project.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"hardening.yama/schema"
	"hardening.yama/schema/source"
)

func main() {
	if err := run("."); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

func run(top string) error {
	contract, err := source.Contract(top, schema.Scope)
	if err != nil {
		return err
	}
	infoContract, err := source.Contract(top, schema.Info)
	if err != nil {
		return err
	}
	tables, err := source.Tables(top)
	if err != nil {
		return err
	}
	options, err := source.Options(contract)
	if err != nil {
		return err
	}
	argumentSpec, err := roleArgumentSpec(options)
	if err != nil {
		return err
	}
	readme, err := os.ReadFile(filepath.Join(top, "README.md")) // #nosec G304 -- our own file
	if err != nil {
		return err
	}
	table, err := replaceBetween(string(readme), "<!-- options -->\n", "<!-- /options -->\n", optionTable(options))
	if err != nil {
		return fmt.Errorf("README.md: %w", err)
	}
	module, err := moduleDocumentation(schema.Scope, contract)
	if err != nil {
		return err
	}
	info, err := moduleDocumentation(schema.Info, infoContract)
	if err != nil {
		return err
	}
	for name, content := range map[string]string{
		"schema/tables.go":                           string(tables),
		"plugins/modules/ptrace_scope.py":            module,
		"plugins/modules/ptrace_scope_info.py":       info,
		"roles/ptrace_scope/meta/argument_specs.yml": argumentSpec,
		"roles/ptrace_scope/tasks/main.yml":          roleTask(options),
		"README.md":                                  table,
	} {
		name = filepath.Join(top, name)
		if old, err := os.ReadFile(name); err == nil && string(old) == content { // #nosec G304 -- our own files
			continue
		}
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil { // #nosec G301 -- files of a source tree
			return err
		}
		if err := os.WriteFile(name, []byte(content), 0o644); err != nil { // #nosec G306 -- files of a source tree
			return err
		}
	}
	return nil
}

const moduleHeader = `#!/usr/bin/python
# -*- coding: utf-8 -*-

# Copyright: (c) 2026, The hardening.yama authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Made from schema/%s.yml by "make generate": change it there.
# This file is documentation. The module itself is a program, built into plugins/modules/__bin__ and started by the
# action plugin of the same name.

from __future__ import absolute_import, division, print_function

__metaclass__ = type
`

// moduleFooter begins as the code of every Python module, with the options: ansible-test requires
// it.
const moduleFooter = `
from ansible.module_utils.basic import AnsibleModule


def main():
    module = AnsibleModule(
        argument_spec=dict(
%[2]s        ),
        supports_check_mode=True,
    )
    module.fail_json(
        msg='hardening.yama.%[1]s was started without its action plugin: '
            'plugins/action/%[1]s.py is missing from this installation of the collection')


if __name__ == '__main__':
    main()
`

// pythonSpec returns the options as the arguments of AnsibleModule, one line each.
func pythonSpec(options []schema.Option) (string, error) {
	var b strings.Builder
	for _, o := range options {
		fmt.Fprintf(&b, "            %s=dict(type='%s'", o.Name, o.Type)
		if o.Elements != "" {
			fmt.Fprintf(&b, ", elements='%s'", o.Elements)
		}
		if o.Required {
			b.WriteString(", required=True")
		}
		for _, part := range []struct {
			name  string
			value any
			given bool
		}{{"default", o.Default, o.Default != nil}, {"choices", o.Choices, len(o.Choices) > 0}} {
			if !part.given {
				continue
			}
			text, err := python(part.value)
			if err != nil {
				return "", fmt.Errorf("option %s: %w", o.Name, err)
			}
			fmt.Fprintf(&b, ", %s=%s", part.name, text)
		}
		if len(o.Suboptions) > 0 {
			inner, err := pythonSpec(o.Suboptions)
			if err != nil {
				return "", fmt.Errorf("option %s: %w", o.Name, err)
			}
			deeper := regexp.MustCompile(`(?m)^ `).ReplaceAllString(inner, "     ")
			b.WriteString(", options=dict(\n" + deeper + "            )")
		}
		b.WriteString("),\n")
	}
	return b.String(), nil
}

// python returns a default, or the choices, in Python's notation.
func python(value any) (string, error) {
	switch v := value.(type) {
	case bool:
		return map[bool]string{false: "False", true: "True"}[v], nil
	case int:
		return strconv.Itoa(v), nil
	case string:
		if strings.ContainsAny(v, "'\\\n") {
			return "", fmt.Errorf("%q would need escapes in Python", v)
		}
		return "'" + v + "'", nil
	case []any:
		words := make([]string, len(v))
		for i, one := range v {
			var err error
			if words[i], err = python(one); err != nil {
				return "", err
			}
		}
		return "[" + strings.Join(words, ", ") + "]", nil
	default:
		return "", fmt.Errorf("%T has no form in Python here", value)
	}
}

// moduleDocumentation returns the three sections of the contract, unchanged, as a file for
// ansible-doc.
func moduleDocumentation(m schema.Module, contract string) (string, error) {
	_, body, found := strings.Cut(contract, "\n---\n")
	if !found {
		return "", errors.New(m.Name + ".yml: no document start")
	}
	var b strings.Builder
	fmt.Fprintf(&b, moduleHeader, m.Name)
	sections := regexp.MustCompile(`(?m)^([A-Z]+):\n`).FindAllStringSubmatchIndex(body, -1)
	for i, at := range sections {
		end := len(body)
		if i+1 < len(sections) {
			end = sections[i+1][0]
		}
		text := regexp.MustCompile(`(?m)^  `).ReplaceAllString(body[at[1]:end], "")
		if strings.Contains(text, "'''") {
			return "", errors.New(m.Name + ".yml: three quotes would end the text in Python")
		}
		fmt.Fprintf(&b, "\n%s = r'''\n---\n%s\n'''\n", body[at[2]:at[3]], strings.TrimSpace(text))
	}
	options, err := source.Options(contract)
	if err != nil {
		return "", err
	}
	spec, err := pythonSpec(options)
	if err != nil {
		return "", err
	}
	fmt.Fprintf(&b, moduleFooter, m.Name, spec)
	return b.String(), nil
}

// rolePrefix is the beginning of each of the role's variables.
const rolePrefix = "ptrace_scope_"

type (
	argument struct {
		Description []string   `yaml:"description"`
		Type        string     `yaml:"type"`
		Elements    string     `yaml:"elements,omitempty"`
		Choices     []any      `yaml:"choices,flow,omitempty"`
		Default     any        `yaml:"default,omitempty"`
		Required    bool       `yaml:"required"`
		Options     *yaml.Node `yaml:"options,omitempty"`
	}
	entryPoint struct {
		ShortDescription string    `yaml:"short_description"`
		Description      []string  `yaml:"description"`
		Options          yaml.Node `yaml:"options"`
	}
)

// roleArgumentSpec returns the role's variables, one for each option. None is required: the role
// sets state to auto, and the module has defaults for the others.
func roleArgumentSpec(options []schema.Option) (string, error) {
	variables := make([]schema.Option, 0, len(options))
	for _, o := range options {
		if o.Required = false; o.Name == "state" {
			o.Default = "auto"
		}
		o.Name = rolePrefix + o.Name
		variables = append(variables, o)
	}
	nodes, err := argumentNodes(variables)
	if err != nil {
		return "", err
	}
	var b bytes.Buffer
	b.WriteString(yamlHeader)
	encoder := yaml.NewEncoder(&b)
	encoder.SetIndent(2)
	err = encoder.Encode(map[string]map[string]entryPoint{"argument_specs": {"main": {
		ShortDescription: "Manage the Yama ptrace scope, which limits the processes that a debugger may attach to",
		Description: []string{
			"Runs the module hardening.yama.ptrace_scope. Each variable is the option of the same name.",
		},
		Options: *nodes,
	}}})
	return b.String(), errors.Join(err, encoder.Close())
}

// argumentNodes returns options and their suboptions as YAML.
func argumentNodes(options []schema.Option) (*yaml.Node, error) {
	nodes := &yaml.Node{Kind: yaml.MappingNode}
	for _, o := range options {
		a := argument{
			Type: o.Type, Elements: o.Elements, Choices: o.Choices, Default: o.Default, Required: o.Required,
		}
		if list, ok := a.Default.([]any); ok && len(list) == 0 {
			a.Default = nil // the module's own default is an empty list, too
		}
		for _, paragraph := range o.Description {
			a.Description = append(a.Description, forRole(paragraph))
		}
		if len(o.Suboptions) > 0 {
			below, err := argumentNodes(o.Suboptions)
			if err != nil {
				return nil, err
			}
			a.Options = below
		}
		var value yaml.Node
		if err := value.Encode(a); err != nil {
			return nil, err
		}
		nodes.Content = append(nodes.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: o.Name}, &value)
	}
	return nodes, nil
}

const yamlHeader = "# SPDX-License-Identifier: GPL-3.0-or-later\n" +
	"# Made from schema/ptrace_scope.yml by \"make generate\": change it there.\n---\n"

// roleTask returns the role's only task. It passes each variable to the option of the same name.
func roleTask(options []schema.Option) string {
	var b strings.Builder
	b.WriteString(yamlHeader)
	b.WriteString("- name: Manage the Yama ptrace scope\n  hardening.yama.ptrace_scope:\n")
	for _, o := range options {
		otherwise := " | default(omit)"
		if o.Required {
			otherwise = "" // defaults/main.yml of the role sets it
		}
		fmt.Fprintf(&b, "    %s: \"{{ %s%s%s }}\"\n", o.Name, rolePrefix, o.Name, otherwise)
	}
	b.WriteString("  register: " + rolePrefix + "report\n")
	return b.String()
}

// semantic matches Ansible's markup for an option or a return value.
var semantic = regexp.MustCompile(`\b(O|RV)\(([a-z_]+)(=[^)]*)?[^)]*\)`)

// forRole replaces the names of options by those of the role's variables. Return values become
// names in code font.
func forRole(paragraph string) string {
	return semantic.ReplaceAllStringFunc(paragraph, func(m string) string {
		parts := semantic.FindStringSubmatch(m)
		if parts[1] == "RV" {
			return "C(" + parts[2] + ")"
		}
		return "O(" + rolePrefix + parts[2] + parts[3] + ")"
	})
}

// optionTable returns the options as a table for README.md.
func optionTable(options []schema.Option) string {
	var b strings.Builder
	b.WriteString("| option | type | default | meaning |\n|---|---|---|---|\n")
	for _, o := range options {
		kind := "`" + o.Type + "`"
		if len(o.Choices) > 0 {
			names := make([]string, 0, len(o.Choices))
			for _, c := range o.Choices {
				names = append(names, fmt.Sprintf("`%v`", c))
			}
			kind = strings.Join(names, " ")
		}
		standard := "required"
		if !o.Required {
			standard = fmt.Sprintf("`%v`", o.Default)
			if o.Default == nil {
				standard = "–"
			}
		}
		meaning := plain(strings.Join(o.Description, " "))
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", o.Name, kind, standard, meaning)
	}
	return b.String()
}

var markup = regexp.MustCompile(`\b([A-Z]+)\(([^)]*)\)`)

// plain returns Ansible's markup as Markdown.
func plain(text string) string {
	return markup.ReplaceAllStringFunc(text, func(m string) string {
		parts := markup.FindStringSubmatch(m)
		if parts[1] == "I" {
			return "*" + parts[2] + "*"
		}
		return "`" + parts[2] + "`"
	})
}

// replaceBetween replaces the text between two markers.
func replaceBetween(text, begin, end, with string) (string, error) {
	before, rest, begins := strings.Cut(text, begin)
	_, after, ends := strings.Cut(rest, end)
	if !begins || !ends {
		return "", fmt.Errorf("the markers %q and %q are missing", begin, end)
	}
	return before + begin + with + end + after, nil
}
