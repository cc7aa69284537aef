// SPDX-License-Identifier: GPL-3.0-or-later

// Package source reads the contract and the catalog as they are written, for whoever makes
// something from them.
package source

import (
	"errors"
	"fmt"
	"go/format"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"hardening.yama/schema"
)

// Contract returns the text of a module's contract file, below the top of the project.
func Contract(top string, m schema.Module) (string, error) {
	text, err := os.ReadFile(filepath.Join(top, "schema", m.Name+".yml")) // #nosec G304 -- our own file
	return string(text), err
}

// Options returns the options that a contract documents, in their order.
func Options(contract string) ([]schema.Option, error) {
	var parsed struct {
		Documentation struct {
			Options orderedOptions `yaml:"options"`
		} `yaml:"DOCUMENTATION"`
	}
	err := yaml.Unmarshal([]byte(contract), &parsed)
	return parsed.Documentation.Options, err
}

// orderedOptions keeps the order in which a mapping is written.
type orderedOptions []schema.Option

// UnmarshalYAML implements yaml.Unmarshaler.
func (o *orderedOptions) UnmarshalYAML(node *yaml.Node) error {
	for i := 0; i+1 < len(node.Content); i += 2 {
		option := schema.Option{Name: node.Content[i].Value, Type: "str"}
		var more struct {
			Suboptions orderedOptions `yaml:"suboptions"`
		}
		if err := errors.Join(node.Content[i+1].Decode(&option), node.Content[i+1].Decode(&more)); err != nil {
			return fmt.Errorf("option %s: %w", option.Name, err)
		}
		option.Suboptions = more.Suboptions
		*o = append(*o, option)
	}
	return nil
}

// Catalog reads a catalog.
func Catalog(r io.Reader) (schema.Catalog, error) {
	var c schema.Catalog
	decoder := yaml.NewDecoder(r)
	decoder.KnownFields(true)
	err := decoder.Decode(&c)
	if err == nil {
		err = c.Complete()
	}
	if err != nil {
		return schema.Catalog{}, fmt.Errorf("parse catalog: %w", err)
	}
	return c, nil
}

// Tables returns the file of what the program is built with of it all, in Go: data that is there
// without any work when it starts.
func Tables(top string) ([]byte, error) {
	var text strings.Builder
	text.WriteString("// SPDX-License-Identifier: GPL-3.0-or-later\n\n" +
		"// Code generated from schema/*.yml by \"make generate\". DO NOT EDIT.\n\npackage schema\n\n" +
		"// scopes are for what points to one.\nvar scopes = [...]int{0, 1, 2, 3}\n")
	for _, m := range []struct {
		module schema.Module
		table  string
	}{{schema.Scope, "scopeOptions"}, {schema.Info, "infoOptions"}} {
		contract, err := Contract(top, m.module)
		if err != nil {
			return nil, err
		}
		options, err := Options(contract)
		if err != nil {
			return nil, fmt.Errorf("%s.yml: %w", m.module.Name, err)
		}
		text.WriteString("\nvar " + m.table + " = " + literal(reflect.ValueOf(forProgram(options))) + "\n")
	}
	f, err := os.Open(filepath.Join(top, "schema", "catalog.yml")) // #nosec G304 -- our own file
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // only read
	catalog, err := Catalog(f)
	if err != nil {
		return nil, err
	}
	text.WriteString("\nvar catalog = " + literal(reflect.ValueOf(catalog)) + "\n")
	return format.Source([]byte(text.String()))
}

// forProgram leaves out what is for people.
func forProgram(options []schema.Option) []schema.Option {
	options = slices.Clone(options)
	for i := range options {
		options[i].Description = nil
		if options[i].Suboptions != nil {
			options[i].Suboptions = forProgram(options[i].Suboptions)
		}
	}
	return options
}

// literal returns a value as Go has it in package schema.
func literal(v reflect.Value) string {
	name := strings.NewReplacer("schema.", "", "interface {}", "any").Replace(v.Type().String())
	var b strings.Builder
	switch v.Kind() { //nolint:exhaustive // the rest is written as Go writes it
	case reflect.Interface:
		return literal(v.Elem())
	case reflect.Pointer:
		return fmt.Sprintf("&scopes[%d]", v.Elem().Int())
	case reflect.Struct:
		b.WriteString(name + "{")
		for i := range v.NumField() {
			if !v.Field(i).IsZero() {
				b.WriteString(v.Type().Field(i).Name + ": " + literal(v.Field(i)) + ", ")
			}
		}
		return strings.TrimSuffix(b.String(), ", ") + "}"
	case reflect.Slice:
		begin, end, known := "", ", ", ""
		if v.Type().Elem().Kind() == reflect.Struct {
			// a line each, and its type need not be said again
			begin, end, known = "\n", ",\n", strings.TrimPrefix(name, "[]")
		}
		b.WriteString(name + "{" + begin)
		for i := range v.Len() {
			b.WriteString(strings.TrimPrefix(literal(v.Index(i)), known) + end)
		}
		return strings.TrimSuffix(b.String(), ", ") + "}"
	}
	return fmt.Sprintf("%#v", v.Interface())
}
