package kyverno

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/engine/policy"
)

// extractor finds images in objects of one kind.
type extractor struct {
	// fields lead to the object that has value; "*" is all elements.
	fields []string
	value  string
	path   *expression
}

// extractors compiles imageExtractors. What name and key would call an image in
// Kyverno is not needed: it is called by its place.
func (l loader) extractors(path []string, specs map[string][]extractorSpec) (map[string][]extractor, error) {
	compiled := map[string][]extractor{}
	for _, kind := range slices.Sorted(maps.Keys(specs)) {
		for i, s := range specs[kind] {
			place := at(path, kind, strconv.Itoa(i))
			var e extractor
			for _, field := range strings.Split(s.Path, "/") {
				if field = strings.TrimSpace(field); field != "" {
					e.fields = append(e.fields, field)
				}
			}
			if len(e.fields) == 0 {
				return nil, l.fail(at(place, "path"), "is missing; want such as /spec/steps/*/image")
			}
			e.value = s.Value
			if e.value == "" {
				last := len(e.fields) - 1
				e.fields, e.value = e.fields[:last], e.fields[last]
			}
			if e.value == "*" {
				return nil, l.fail(at(place, "path"), "ends with *; name the field that has the image, there or with value")
			}
			if s.JMESPath != "" {
				parsed, err := parseExpression(s.JMESPath, 0)
				if err != nil {
					return nil, l.fail(at(place, "jmesPath"), "%w", err)
				}
				e.path = parsed
			}
			compiled[kind] = append(compiled[kind], e)
		}
	}
	return compiled, nil
}

// Extract finds the images of an object that the policy's imageExtractors name,
// each at its place. An error means that the object has not the shape that they
// expect, and that an image may be overlooked.
func (p *verifier) Extract(request policy.Request) ([]policy.Extracted, error) {
	var found []policy.Extracted
	for _, r := range p.rules {
		list := r.extractors[request.Kind]
		if len(list) == 0 || request.Object == nil {
			continue
		}
		if _, applies := r.applies(p, request); !applies {
			continue
		}
		for _, e := range list {
			if err := e.walk(request.Object, "", e.fields, &found); err != nil {
				return nil, fmt.Errorf("%s: rule %s: imageExtractors of %s: %w", p.name, r.name, request.Kind, err)
			}
		}
	}
	return found, nil
}

func (e extractor) walk(node any, place string, fields []string, found *[]policy.Extracted) error {
	if node == nil {
		return nil
	}
	if len(fields) > 0 && fields[0] == "*" {
		switch typed := node.(type) {
		case []any:
			for i, element := range typed {
				if err := e.walk(element, fmt.Sprintf("%s[%d]", place, i), fields[1:], found); err != nil {
					return err
				}
			}
			return nil
		case map[string]any:
			for _, key := range slices.Sorted(maps.Keys(typed)) {
				if err := e.walk(typed[key], step(place, key), fields[1:], found); err != nil {
					return err
				}
			}
			return nil
		}
	}
	object, ok := node.(map[string]any)
	if !ok {
		return fmt.Errorf("%s is no mapping", place)
	}
	if len(fields) > 0 {
		return e.walk(object[fields[0]], step(place, fields[0]), fields[1:], found)
	}
	place = step(place, e.value)
	if object[e.value] == nil {
		return nil
	}
	text, ok := object[e.value].(string)
	if !ok {
		return fmt.Errorf("%s is no text", place)
	}
	if e.path != nil {
		value, err := e.path.apply(&environment{root: map[string]any{}, functions: caller(time.Time{})}, text)
		if err != nil {
			return fmt.Errorf("%s: %w", place, err)
		}
		if text, ok = value.(string); !ok {
			return fmt.Errorf("%s: the jmesPath gives %s, want text", place, brief(value))
		}
	}
	if text = strings.TrimSpace(text); text == "" {
		return nil
	}
	if len(*found) == limit.ExtractedImages {
		return &limit.Error{What: "imageExtractors", Bound: limit.ExtractedImages, Unit: "images"}
	}
	*found = append(*found, policy.Extracted{Path: place, Reference: text})
	return nil
}

// step spells a path as manifests do.
func step(place, key string) string {
	key = strings.NewReplacer(`\`, `\\`, ".", `\.`, "[", `\[`).Replace(key)
	if place == "" {
		return key
	}
	return place + "." + key
}
