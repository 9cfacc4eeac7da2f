package predicate

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
)

// decode reads JSON into a value of structs, slices, maps and pointers as
// json.Unmarshal does, but matches names byte by byte, and a name that stands
// twice in one object is an error. encoding/json takes "results" for
// "Results" and the last of two: another reader of the same signed bytes sees
// something else.
func decode(raw []byte, into any) error {
	return exact(json.RawMessage(raw), reflect.ValueOf(into).Elem(), "", 0)
}

var (
	rawMessage  = reflect.TypeFor[json.RawMessage]()
	unmarshaler = reflect.TypeFor[json.Unmarshaler]()
)

// maxDepth bounds nesting: each level reads what lies below it again.
const maxDepth = 160

func exact(raw json.RawMessage, into reflect.Value, where string, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("%snests deeper than %d", at(where), maxDepth)
	}
	if into.Type() == rawMessage || into.Addr().Type().Implements(unmarshaler) {
		return leaf(raw, into, where)
	}
	switch into.Kind() {
	case reflect.Pointer:
		if null(raw) {
			return nil
		}
		into.Set(reflect.New(into.Type().Elem()))
		return exact(raw, into.Elem(), where, depth)
	case reflect.Struct:
		if null(raw) {
			return nil
		}
		members, err := members(raw, where)
		if err != nil {
			return err
		}
		for i := range into.NumField() {
			name, _, _ := strings.Cut(into.Type().Field(i).Tag.Get("json"), ",")
			value, found := members[name]
			if !found {
				continue
			}
			if err := exact(value, into.Field(i), join(where, name), depth+1); err != nil {
				return err
			}
		}
		return nil
	case reflect.Slice:
		var items []json.RawMessage
		if err := json.Unmarshal(raw, &items); err != nil {
			return fmt.Errorf("%swant a list, found %.40s", at(where), raw)
		}
		if items == nil {
			return nil
		}
		list := reflect.MakeSlice(into.Type(), len(items), len(items))
		for i, item := range items {
			place := fmt.Sprintf("%s[%d]", where, i)
			if null(item) {
				return fmt.Errorf("%s: is null", place)
			}
			if err := exact(item, list.Index(i), place, depth+1); err != nil {
				return err
			}
		}
		into.Set(list)
		return nil
	case reflect.Map:
		if null(raw) {
			return nil
		}
		members, err := members(raw, where)
		if err != nil {
			return err
		}
		into.Set(reflect.MakeMap(into.Type()))
		for name, value := range members {
			element := reflect.New(into.Type().Elem()).Elem()
			if err := exact(value, element, join(where, name), depth+1); err != nil {
				return err
			}
			into.SetMapIndex(reflect.ValueOf(name), element)
		}
		return nil
	}
	return leaf(raw, into, where)
}

func leaf(raw json.RawMessage, into reflect.Value, where string) error {
	if err := json.Unmarshal(raw, into.Addr().Interface()); err != nil {
		return fmt.Errorf("%s%w", at(where), err)
	}
	return nil
}

// members are the members of an object.
func members(raw json.RawMessage, where string) (map[string]json.RawMessage, error) {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	if token, err := decoder.Token(); err != nil || token != json.Delim('{') {
		return nil, fmt.Errorf("%swant a JSON object, found %.40s", at(where), raw)
	}
	list := map[string]json.RawMessage{}
	for decoder.More() {
		token, err := decoder.Token()
		if err != nil {
			return nil, fmt.Errorf("%s%w", at(where), err)
		}
		name, _ := token.(string) // the decoder has seen to it
		if _, twice := list[name]; twice {
			return nil, fmt.Errorf("%s%.100q stands there twice", at(where), name)
		}
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			return nil, fmt.Errorf("%s%w", at(where), err)
		}
		list[name] = value
	}
	if _, err := decoder.Token(); err != nil { // the closing brace
		return nil, fmt.Errorf("%s%w", at(where), err)
	}
	if rest := bytes.TrimSpace(raw[decoder.InputOffset():]); len(rest) > 0 {
		return nil, fmt.Errorf("%sthe object is followed by %.40s", at(where), rest)
	}
	return list, nil
}

func null(raw json.RawMessage) bool { return string(bytes.TrimSpace(raw)) == "null" }

func join(where, name string) string {
	if where == "" {
		return name
	}
	return where + "." + name
}

func at(where string) string {
	if where == "" {
		return ""
	}
	return where + ": "
}
