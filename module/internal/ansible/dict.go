// SPDX-License-Identifier: GPL-3.0-or-later

package ansible

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"hardening.yama/schema"
)

// lookIntoDicts refuses what is no dictionary where there should be one. Ansible-core looks for
// secrets in them before it checks anything, and a list it takes for several.
func lookIntoDicts(options []schema.Option, raw map[string]any) error {
	for _, o := range options {
		value := raw[o.Name]
		if o.Type != "dict" || value == nil {
			continue
		}
		elements, several := value.([]any)
		if !several {
			elements = []any{value}
		}
		for _, element := range elements {
			if text, isText := element.(string); isText {
				if _, problem := toDict(text); problem != "" {
					return errors.New(problem)
				}
			} else if _, isDict := element.(map[string]any); !isDict {
				//nolint:staticcheck // ansible-core's words
				return fmt.Errorf("Value '%s' in the sub parameter field '%s' must be a dict, not '%s'",
					pythonStr(element), o.Name, pythonType(element))
			}
		}
	}
	return nil
}

// toDict reads a dictionary, also from text as ad-hoc calls have it: JSON, a Python dictionary of
// plain words, or key=value.
func toDict(value any) (map[string]any, string) {
	text, isText := value.(string)
	switch dict, isDict := value.(map[string]any); {
	case isDict:
		return dict, ""
	case !isText:
		return nil, fmt.Sprintf("<class '%s'> cannot be converted to a dict", pythonType(value))
	case strings.HasPrefix(text, "{"):
		return dictInBraces(text)
	case strings.Contains(text, "="):
		return dictOfPairs(text)
	}
	return nil, "dictionary requested, could not parse JSON or key=value"
}

func dictInBraces(text string) (map[string]any, string) {
	texts := []string{text}
	if !strings.ContainsAny(text, "\"\\") {
		// Python's quotes, and nothing in them to take care of
		texts = append(texts, strings.ReplaceAll(text, "'", "\""))
	}
	for _, text := range texts {
		var dict map[string]any
		decoder := json.NewDecoder(strings.NewReader(text))
		decoder.UseNumber()
		if decoder.Decode(&dict) == nil && strings.TrimSpace(text[decoder.InputOffset():]) == "" {
			return dict, ""
		}
	}
	return nil, "unable to evaluate string as dictionary"
}

// dictOfPairs reads k1=v1, k2="v 2".
func dictOfPairs(text string) (map[string]any, string) {
	dict := map[string]any{}
	var field strings.Builder
	var quote rune
	escaped, complete := false, true
	end := func() {
		name, value, found := strings.Cut(field.String(), "=")
		if field.Len() > 0 && found {
			dict[name] = value
		}
		complete = complete && (found || field.Len() == 0)
		field.Reset()
	}
	for _, r := range strings.TrimSpace(text) {
		switch {
		case escaped:
			field.WriteRune(r)
			escaped = false
		case r == '\\':
			escaped = true
		case quote == 0 && (r == '\'' || r == '"'):
			quote = r
		case quote != 0 && quote == r:
			quote = 0
		case quote == 0 && (r == ',' || r == ' '):
			end()
		default:
			field.WriteRune(r)
		}
	}
	if end(); !complete {
		return nil, `unable to evaluate string in the "key=value" format as dictionary`
	}
	return dict, ""
}
