// SPDX-License-Identifier: GPL-3.0-or-later

package ansible

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"sort"
	"strconv"
	"strings"

	"hardening.yama/schema"
)

// Values are checked arguments: every option of the contract, as string, int64, bool, []string,
// Values for a dict, or nil where it has neither a value nor a default.
type Values map[string]any

// Check holds raw arguments against the options, coerces them as ansible-core does, and fails in
// its words and order (module_utils/common/arg_spec.py): what is no dict, missing, then types, then
// choices, then the same in dicts, then unsupported names. Unlike ansible-core it refuses a boolean
// for an integer.
func Check(module string, options []schema.Option, raw map[string]any) (Values, error) {
	if err := lookIntoDicts(options, raw); err != nil {
		return nil, err
	}
	values, err := checkLevel(options, raw)
	if err != nil {
		return nil, err
	}
	dicts := map[string]map[string]any{}
	for _, o := range options {
		dict, given := values[o.Name].(map[string]any)
		if !given {
			continue
		}
		dicts[o.Name] = dict
		if values[o.Name], err = checkLevel(o.Suboptions, dict); err != nil {
			return nil, fmt.Errorf("%w found in %s", err, o.Name)
		}
	}
	return values, checkSupported(module, options, raw, dicts)
}

// checkLevel checks all but the names that are not supported.
func checkLevel(options []schema.Option, raw map[string]any) (Values, error) {
	var missing []string
	for _, o := range options {
		if _, given := raw[o.Name]; o.Required && !given {
			missing = append(missing, o.Name)
		}
	}
	if len(missing) > 0 {
		sort.Strings(missing)
		return nil, errors.New("missing required arguments: " + strings.Join(missing, ", "))
	}
	values := Values{}
	for _, o := range options {
		value, given := raw[o.Name]
		if !given || (value == nil && !o.Required && o.Default == nil) {
			values[o.Name] = defaultOf(o)
			continue
		}
		converted, err := convert(o, value)
		if err != nil {
			return nil, err
		}
		values[o.Name] = converted
	}
	for _, o := range options {
		if err := checkChoice(o, values[o.Name]); err != nil {
			return nil, err
		}
	}
	return values, nil
}

// defaultOf returns an option's default in the types of Values.
func defaultOf(o schema.Option) any {
	switch d := o.Default.(type) {
	case int:
		return int64(d)
	case []any:
		names := make([]string, 0, len(d))
		for _, v := range d {
			names = append(names, pythonStr(v))
		}
		return names
	default:
		return d
	}
}

func checkChoice(o schema.Option, value any) error {
	if len(o.Choices) == 0 || value == nil {
		return nil
	}
	names := make([]string, 0, len(o.Choices))
	for _, c := range o.Choices {
		names = append(names, pythonStr(c))
	}
	if slices.Contains(names, pythonStr(value)) {
		return nil
	}
	return fmt.Errorf("value of %s must be one of: %s, got: %s", o.Name, strings.Join(names, ", "), pythonStr(value))
}

// checkSupported names all that is not supported, and what is at the first level where there is
// such a name.
func checkSupported(module string, options []schema.Option, raw map[string]any, dicts map[string]map[string]any) error {
	supported, unsupported := unsupportedIn("", options, raw)
	for _, o := range options {
		if names, wrong := unsupportedIn(o.Name+".", o.Suboptions, dicts[o.Name]); len(wrong) > 0 {
			if len(unsupported) == 0 {
				supported = names
			}
			unsupported = append(unsupported, wrong...)
		}
	}
	if len(unsupported) == 0 {
		return nil
	}
	sort.Strings(supported)
	sort.Strings(unsupported)
	//nolint:staticcheck,revive // ansible-core's words
	return fmt.Errorf("Unsupported parameters for (%s) module: %s. Supported parameters include: %s.",
		module, strings.Join(unsupported, ", "), strings.Join(supported, ", "))
}

func unsupportedIn(prefix string, options []schema.Option, raw map[string]any) (supported, unsupported []string) {
	for _, o := range options {
		supported = append(supported, o.Name)
	}
	for name := range raw {
		if !slices.Contains(supported, name) {
			unsupported = append(unsupported, prefix+name)
		}
	}
	return supported, unsupported
}

func convert(o schema.Option, value any) (any, error) {
	var converted any
	var problem string
	switch o.Type {
	case "int":
		converted, problem = toInt(value)
	case "bool":
		converted, problem = toBool(value)
	case "list":
		converted, problem = toList(value)
	case "dict":
		converted, problem = toDict(value)
	case "path":
		converted = toPath(value)
	default:
		converted = toStr(value)
	}
	if problem != "" {
		return nil, fmt.Errorf("argument '%s' is of type %s and we were unable to convert to %s: %s",
			o.Name, pythonType(value), o.Type, problem)
	}
	return converted, nil
}

func toStr(value any) string {
	if value == nil {
		return ""
	}
	return pythonStr(value)
}

// toPath replaces variables and the home directory in front, as os.path.expandvars and expanduser
// do.
func toPath(value any) string {
	text := os.Expand(toStr(value), func(name string) string {
		if v, set := os.LookupEnv(name); set {
			return v
		}
		return "$" + name
	})
	if home := os.Getenv("HOME"); home != "" && (text == "~" || strings.HasPrefix(text, "~/")) {
		text = home + text[1:]
	}
	return text
}

func toInt(value any) (int64, string) {
	problem := fmt.Sprintf(`"%s" cannot be converted to an int`, pythonRepr(value))
	var text string
	switch v := value.(type) {
	case json.Number:
		text = v.String()
	case string:
		text = strings.ReplaceAll(strings.TrimSpace(v), "_", "")
	}
	// What Python's Decimal reads: digits, a point, an exponent, and no other base. Numbers that a
	// float cannot hold exactly are nothing that an option of ours could mean.
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || strings.ContainsAny(text, "xXpP") || n != math.Trunc(n) || math.Abs(n) > 1<<53 {
		return 0, problem
	}
	return int64(n), ""
}

var (
	truths   = []string{"y", "yes", "on", "1", "true", "t", "1.0"}
	untruths = []string{"n", "no", "off", "0", "false", "f", "0.0"}
)

func toBool(value any) (bool, string) {
	var text string
	switch v := value.(type) {
	case bool:
		return v, ""
	case json.Number:
		text = v.String()
	case string:
		if text = strings.ToLower(strings.TrimSpace(v)); strings.Contains(text, ".") {
			text = v + " is no number" // 1.0 is a boolean as a number only
		}
	default:
		return false, fmt.Sprintf("<class '%s'> cannot be converted to a bool", pythonType(value))
	}
	switch {
	case slices.Contains(truths, text):
		return true, ""
	case slices.Contains(untruths, text):
		return false, ""
	}
	return false, fmt.Sprintf("The value '%s' is not a valid boolean. Valid booleans include: "+
		"0, 1, '0', '1', 'f', 'false', 'n', 'no', 'off', 'on', 't', 'true', 'y', 'yes'", pythonStr(value))
}

func toList(value any) ([]string, string) {
	names := []string{}
	switch v := value.(type) {
	case []any:
		for _, element := range v {
			names = append(names, toStr(element))
		}
		return names, ""
	case string:
		return strings.Split(v, ","), ""
	case json.Number, bool:
		return []string{pythonStr(v)}, ""
	}
	return nil, fmt.Sprintf("<class '%s'> cannot be converted to a list", pythonType(value))
}

// pythonType names a JSON value's type as Python does.
func pythonType(value any) string {
	switch v := value.(type) {
	case nil:
		return "NoneType"
	case bool:
		return "bool"
	case json.Number:
		if strings.ContainsAny(v.String(), ".eE") {
			return "float"
		}
		return "int"
	case []any:
		return "list"
	case map[string]any:
		return "dict"
	default:
		return "str"
	}
}

// pythonStr prints a value as Python's str does.
func pythonStr(value any) string {
	switch v := value.(type) {
	case string:
		return v
	case bool:
		if v {
			return "True"
		}
		return "False"
	case nil:
		return "None"
	case []any:
		parts := make([]string, 0, len(v))
		for _, element := range v {
			parts = append(parts, pythonRepr(element))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case map[string]any:
		parts := make([]string, 0, len(v))
		for key, element := range v {
			parts = append(parts, pythonRepr(key)+": "+pythonRepr(element))
		}
		sort.Strings(parts)
		return "{" + strings.Join(parts, ", ") + "}"
	default:
		return fmt.Sprint(v)
	}
}

// pythonRepr prints a value as Python's repr does.
func pythonRepr(value any) string {
	text, ok := value.(string)
	if !ok {
		return pythonStr(value)
	}
	quote := "'"
	if strings.Contains(text, "'") && !strings.Contains(text, `"`) {
		quote = `"`
	}
	escape := strings.NewReplacer(`\`, `\\`, quote, `\`+quote, "\n", `\n`, "\r", `\r`, "\t", `\t`)
	return quote + escape.Replace(text) + quote
}
