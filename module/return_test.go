// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"hardening.yama/schema"
	"hardening.yama/schema/source"
)

// returned is a key of RETURN, as the contract documents it.
type returned struct {
	Type     string              `yaml:"type"`
	Elements string              `yaml:"elements"`
	Returned string              `yaml:"returned"`
	Contains map[string]returned `yaml:"contains"`
}

// ofAnsible are the keys that every module may answer with; Ansible documents them itself.
var ofAnsible = map[string]returned{
	"changed":    {Type: "bool"},
	"failed":     {Type: "bool"},
	"invocation": {Type: "dict", Contains: map[string]returned{"module_args": {Type: "dict"}}},
}

// documented returns the keys of a module's RETURN and Ansible's own.
func documented(module schema.Module) (map[string]returned, error) {
	var contract struct {
		Return map[string]returned `yaml:"RETURN"`
	}
	text, err := source.Contract("..", module)
	if err != nil {
		return nil, err
	}
	err = yaml.Unmarshal([]byte(text), &contract)
	maps.Copy(contract.Return, ofAnsible)
	return contract.Return, err
}

// differences returns where a report is not as documented: keys that nothing documents, other
// types, and keys that are documented for this kind of report and missing.
func differences(report []byte, keys map[string]returned) ([]string, error) {
	var values map[string]any
	if err := json.Unmarshal(report, &values); err != nil {
		return nil, err
	}
	var found []string
	for name, key := range keys {
		_, there := values[name]
		_, observed := values["persistent"]
		due := key.Returned == "always" || key.Returned == "when the host could be observed" && observed
		if due && !there {
			found = append(found, name+" is missing")
		}
	}
	found = append(found, differ("", values, keys)...)
	slices.Sort(found)
	return found, nil
}

func differ(path string, values map[string]any, keys map[string]returned) []string {
	var found []string
	for name, value := range values {
		key, ok := keys[name]
		if !ok {
			found = append(found, path+name+" is not documented")
			continue
		}
		found = append(found, differValue(path+name, value, key)...)
	}
	return found
}

func differValue(path string, value any, key returned) []string {
	switch v := value.(type) {
	case nil:
		return nil // the descriptions say where null stands
	case map[string]any:
		if key.Type == "dict" {
			if path == "invocation" {
				return nil // what the user wrote
			}
			for name := range key.Contains {
				if _, there := v[name]; !there {
					return []string{path + "." + name + " is missing"}
				}
			}
			return differ(path+".", v, key.Contains)
		}
	case []any:
		if key.Type == "list" {
			var found []string
			for i, element := range v {
				found = append(found,
					differValue(fmt.Sprintf("%s.%d", path, i), element,
						returned{Type: key.Elements, Contains: key.Contains})...)
			}
			return found
		}
	case string:
		if key.Type == "str" {
			return nil
		}
	case bool:
		if key.Type == "bool" {
			return nil
		}
	case float64:
		if key.Type == "int" && v == float64(int(v)) {
			return nil
		}
	}
	return []string{fmt.Sprintf("%s is %T, documented as %q", path, value, key.Type)}
}

// TestDifferences: the comparison that every script's report goes through finds what it should.
func TestDifferences(t *testing.T) {
	keys := map[string]returned{
		"msg":        {Type: "str", Returned: "always"},
		"persistent": {Type: "dict", Contains: map[string]returned{"boot": {Type: "int"}}},
		"verified":   {Type: "bool", Returned: "when the host could be observed"},
		"debuggers": {Type: "list", Elements: "dict", Contains: map[string]returned{
			"name": {Type: "str"},
		}},
	}
	for report, want := range map[string]string{
		`{"msg":"m"}`: "",
		`{"msg":"m","persistent":{"boot":1},"verified":true,"debuggers":[{"name":"gdb"}]}`: "",
		`{"msg":"m","persistent":{"boot":null},"verified":true}`:                           "",
		`{}`:                                  "msg is missing",
		`{"msg":"m","persistent":{"boot":1}}`: "verified is missing",
		`{"msg":"m","bogus":1}`:               "bogus is not documented",
		`{"msg":1}`:                           `msg is float64, documented as "str"`,
		`{"msg":"m","persistent":{"boot":1.5},"verified":true}`:          `persistent.boot is float64, documented as "int"`,
		`{"msg":"m","persistent":{},"verified":true}`:                    "persistent.boot is missing",
		`{"msg":"m","debuggers":[{"name":"gdb"},{"name":"lldb","x":0}]}`: "debuggers.1.x is not documented",
		`{"msg":"m","debuggers":["gdb"]}`:                                `debuggers.0 is string, documented as "dict"`,
	} {
		found, err := differences([]byte(report), keys)
		if got := strings.Join(found, ", "); err != nil || got != want {
			t.Errorf("%s: got %q, %v; want %q", report, got, err, want)
		}
	}
}
