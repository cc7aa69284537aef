// SPDX-License-Identifier: GPL-3.0-or-later

// Package source reads the contract and the catalogue as they are written, for whoever makes something from them.
package source

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
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

// Catalog reads a catalogue.
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

// Embedded returns the file of what the program embeds of it all: JSON, a line for each option and entry, so that a difference
// can be read.
func Embedded(top string) ([]byte, error) {
	e := schema.Embedded{Options: map[string][]schema.Option{}}
	for _, m := range []schema.Module{schema.Scope, schema.Info} {
		contract, err := Contract(top, m)
		if err != nil {
			return nil, err
		}
		if e.Options[m.Name], err = Options(contract); err != nil {
			return nil, fmt.Errorf("%s.yml: %w", m.Name, err)
		}
	}
	f, err := os.Open(filepath.Join(top, "schema", "catalog.yml")) // #nosec G304 -- our own file
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // only read
	if e.Catalog, err = Catalog(f); err != nil {
		return nil, err
	}
	text, err := json.Marshal(e)
	lined := strings.ReplaceAll(string(text), `{"name":`, "\n{\"name\":")
	if !json.Valid([]byte(lined)) {
		err = errors.Join(err, errors.New("a text looks like the begin of an entry"))
	}
	return []byte(lined + "\n"), err
}
