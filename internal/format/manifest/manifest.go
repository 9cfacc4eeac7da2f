// Package manifest finds the images that Kubernetes manifests ask for.
//
// Entry points are [Read] and [ReadSurroundings]. Read knows where Pods, the built-in controllers
// (Deployment, DaemonSet, StatefulSet, ReplicaSet, ReplicationController, Job,
// CronJob), PodTemplates and lists of them keep their pods. Every other kind
// is looked through for what is shaped like a pod: an object with a list of
// containers, init containers or ephemeral containers of which one has an
// image. In kinds that Kubernetes itself does not define (Argo, Tekton, Ray,
// KServe) a text at a key "image", "images" or "...Image" counts too, and any
// text that begins with "oci://". Images that are mounted as volumes count
// (spec.volumes[].image).
//
// An image that should be there and is not is an error, and so is one that is
// named in parts (repository and tag): what cannot be judged is not passed
// over. A file that asks for no image at all gives an empty list, and the
// caller says what that means.
//
// The package does not parse references, render templates or talk to a
// cluster. What a controller would put in later (a sidecar) is not in a
// manifest, and not found.
package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/format/strictyaml"
)

// Workload is one object that asks for images.
type Workload struct {
	// Kind, APIVersion, Namespace and Name are as written; Namespace is ""
	// where the manifest does not say, Name where it has generateName.
	Kind       string
	APIVersion string
	Namespace  string
	Name       string
	// File and Line say where the object starts; lines count from 1. Document
	// counts the file's documents from 0, empty ones too, as yamledit does.
	File     string
	Document int
	Line     int
	// Images are in the order of the file; there is at least one.
	Images []ImageUse
	// Object is the whole object as JSON values. Pod is the pod that it makes:
	// the object itself where it is one, of a built-in controller its template
	// with apiVersion, kind and the controller's namespace; nil of other kinds.
	Object, Pod map[string]any
}

// ImageUse is one place that names an image.
type ImageUse struct {
	// Path is the field, such as "spec.template.spec.containers[0].image", in
	// the form that yamledit.ParsePath reads.
	Path string
	// Reference is the text that stands there, never empty.
	Reference string
	Line      int
}

// Read finds the workloads of all documents of a file, in order. The name is
// used in results and errors. Content is bounded by limit.Policy bytes and
// limit.YAMLNodes nodes. A document that is no Kubernetes object (a mapping
// with apiVersion and kind), a key given twice, a merge key and a container
// without an image are errors.
func Read(name string, content []byte) ([]Workload, error) {
	return read(&reader{file: name}, name, content)
}

// Objects is Read with the objects in which no image was found, too: somebody
// else may know where their kinds name images.
func Objects(name string, content []byte) ([]Workload, error) {
	return read(&reader{file: name, all: true}, name, content)
}

func read(r *reader, name string, content []byte) ([]Workload, error) {
	// Bounds, keys given twice and merge keys are strictyaml's to refuse.
	if _, err := strictyaml.Documents(name, content); err != nil {
		return nil, err
	}
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	for ; ; r.document++ {
		var document yaml.Node
		err := decoder.Decode(&document)
		if errors.Is(err, io.EOF) {
			return r.workloads, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %s", name, strings.TrimPrefix(err.Error(), "yaml: "))
		}
		if len(document.Content) == 0 || document.Content[0].Tag == "!!null" {
			continue
		}
		if err := r.object(document.Content[0], "", "", ""); err != nil {
			return nil, err
		}
	}
}

type reader struct {
	file      string
	document  int
	workloads []Workload
	// images bounds what one file may ask for, also through lists.
	images int
	// keys says that texts at keys like "image" count in this object; all, that
	// objects without images do.
	keys, all bool
}

func (r *reader) fail(node *yaml.Node, format string, arguments ...any) error {
	return fmt.Errorf("%s:%d: %w", r.file, node.Line, fmt.Errorf(format, arguments...))
}

// object reads one object. Kind and apiVersion are what a typed list implies
// for elements that do not repeat them; at is the element's path in a list.
func (r *reader) object(node *yaml.Node, kind, version, at string) error {
	node = resolve(node)
	if node.Kind != yaml.MappingNode {
		return r.fail(node, "%sis no Kubernetes object: want a mapping with apiVersion and kind", place(at))
	}
	if written := scalar(get(node, "kind")); written != "" {
		kind = written
	}
	if written := scalar(get(node, "apiVersion")); written != "" {
		version = written
	}
	if kind == "" || version == "" {
		return r.fail(node, "%sis no Kubernetes object: apiVersion or kind is missing", place(at))
	}
	if items := get(node, "items"); strings.HasSuffix(kind, "List") && items != nil && items.Kind == yaml.SequenceNode {
		element := strings.TrimSuffix(kind, "List")
		for i, item := range items.Content {
			if err := r.object(item, element, version, fmt.Sprintf("%sitems[%d].", at, i)); err != nil {
				return err
			}
		}
		return nil
	}
	metadata := get(node, "metadata")
	w := Workload{Kind: kind, APIVersion: version, File: r.file, Document: r.document, Line: node.Line,
		Namespace: scalar(get(metadata, "namespace")), Name: scalar(get(metadata, "name"))}
	var err error
	if path, known := pods[group(version)+"/"+kind]; known {
		err = r.builtin(&w, node, at, path)
	} else {
		r.keys = !core(group(version))
		err = r.search(&w, node, &trail{step: strings.TrimSuffix(at, ".")})
	}
	if err != nil || len(w.Images) == 0 && !r.all {
		return err
	}
	value, err := strictyaml.Value(r.file, node)
	if err != nil {
		return err
	}
	w.Object, _ = value.(map[string]any)
	w.Pod = w.pod()
	r.workloads = append(r.workloads, w)
	return nil
}

// pod is the pod that a built-in kind makes.
func (w *Workload) pod() map[string]any {
	path := pods[group(w.APIVersion)+"/"+w.Kind]
	if len(path) == 1 {
		return w.Object
	}
	if path == nil {
		return nil
	}
	template := w.Object
	for _, key := range path[:len(path)-1] {
		template, _ = template[key].(map[string]any)
	}
	metadata := map[string]any{}
	if written, ok := template["metadata"].(map[string]any); ok {
		maps.Copy(metadata, written)
	}
	// A template's own name and namespace say nothing: the controller's count.
	delete(metadata, "name")
	delete(metadata, "namespace")
	if w.Name != "" {
		metadata["generateName"] = w.Name + "-"
	}
	if w.Namespace != "" {
		metadata["namespace"] = w.Namespace
	}
	return map[string]any{"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}
}

func place(at string) string {
	if at == "" {
		return ""
	}
	return strings.TrimSuffix(at, ".") + " "
}

// pods says where each built-in kind keeps the specification of its pods.
var pods = map[string][]string{
	"/Pod":                   {"spec"},
	"/ReplicationController": {"spec", "template", "spec"},
	"/PodTemplate":           {"template", "spec"},
	"apps/Deployment":        {"spec", "template", "spec"},
	"apps/DaemonSet":         {"spec", "template", "spec"},
	"apps/StatefulSet":       {"spec", "template", "spec"},
	"apps/ReplicaSet":        {"spec", "template", "spec"},
	"extensions/Deployment":  {"spec", "template", "spec"},
	"extensions/DaemonSet":   {"spec", "template", "spec"},
	"extensions/ReplicaSet":  {"spec", "template", "spec"},
	"batch/Job":              {"spec", "template", "spec"},
	"batch/CronJob":          {"spec", "jobTemplate", "spec", "template", "spec"},
}

// group is the API group of "apps/v1", and "" of "v1".
func group(version string) string {
	before, _, found := strings.Cut(version, "/")
	if !found {
		return ""
	}
	return before
}

// core says whether Kubernetes itself defines the kinds of a group. Those that
// have pods are listed above, and the data of the others (a ConfigMap's, a
// custom resource's schema) asks for no image.
func core(group string) bool {
	switch group {
	case "", "apps", "batch", "autoscaling", "policy", "extensions":
		return true
	}
	return strings.HasSuffix(group, ".k8s.io") && !strings.HasSuffix(group, ".x-k8s.io")
}

// lists are the fields of a pod that hold containers.
var lists = []string{"containers", "initContainers", "ephemeralContainers"}

func (r *reader) builtin(w *Workload, node *yaml.Node, at string, path []string) error {
	spec := node
	for i, key := range path {
		next := get(spec, key)
		if next == nil || next.Kind != yaml.MappingNode {
			return r.fail(spec, "%s %s: %s%s is missing or no mapping", w.Kind, w.Name, at, strings.Join(path[:i+1], "."))
		}
		spec = next
	}
	where := at + strings.Join(path, ".")
	if containers := get(spec, "containers"); containers == nil || containers.Kind != yaml.SequenceNode || len(containers.Content) == 0 {
		return r.fail(spec, "%s %s: %s.containers is missing or empty", w.Kind, w.Name, where)
	}
	return r.pod(w, spec, where)
}

// pod reads every image of one pod specification.
func (r *reader) pod(w *Workload, spec *yaml.Node, where string) error {
	for _, list := range lists {
		containers := get(spec, list)
		if containers == nil || containers.Tag == "!!null" {
			continue
		}
		if containers.Kind != yaml.SequenceNode {
			return r.fail(containers, "%s: %s is no list", title(w), join(where, list))
		}
		for i, container := range containers.Content {
			if err := r.use(w, resolve(container), "image", fmt.Sprintf("%s[%d]", join(where, list), i)); err != nil {
				return err
			}
		}
	}
	volumes := get(spec, "volumes")
	if volumes == nil || volumes.Kind != yaml.SequenceNode {
		return nil
	}
	for i, volume := range volumes.Content {
		source := get(resolve(volume), "image")
		if source == nil {
			continue
		}
		if err := r.use(w, source, "reference", fmt.Sprintf("%s[%d].image", join(where, "volumes"), i)); err != nil {
			return err
		}
	}
	return nil
}

func title(w *Workload) string { return strings.TrimSpace(w.Kind + " " + w.Name) }

func join(where, key string) string {
	if where == "" {
		return key
	}
	return where + "." + key
}

// use adds the image in a field of holder.
func (r *reader) use(w *Workload, holder *yaml.Node, field, where string) error {
	value := get(holder, field)
	switch {
	case value == nil, value.Kind == yaml.ScalarNode && (value.Tag == "!!null" || value.Value == ""):
		return r.fail(holder, "%s: %s.%s is missing or empty", title(w), where, field)
	case value.Kind != yaml.ScalarNode || value.Tag != "!!str":
		return r.fail(value, "%s: %s.%s: want a string that names an image", title(w), where, field)
	}
	return r.add(w, value, value.Value, where+"."+field)
}

func (r *reader) add(w *Workload, value *yaml.Node, reference, path string) error {
	if r.images++; r.images > images {
		return &limit.Error{What: r.file, Bound: images, Unit: "images"}
	}
	w.Images = append(w.Images, ImageUse{Path: path, Reference: reference, Line: value.Line})
	return nil
}

// images is how many images one file may ask for.
const images = 100_000

// trail is a path that is spelled only where it is needed: keys may be long,
// and many nodes lie below each.
type trail struct {
	parent *trail
	step   string
}

func (t *trail) String() string {
	var steps []string
	for ; t != nil; t = t.parent {
		steps = append(steps, t.step)
	}
	slices.Reverse(steps)
	var b strings.Builder
	for _, step := range steps {
		if b.Len() > 0 && step != "" && step[0] != '[' {
			b.WriteByte('.')
		}
		b.WriteString(step)
	}
	return b.String()
}

// escape spells a key so that its dots and brackets are no steps.
func escape(key string) string {
	return strings.NewReplacer(`\`, `\\`, ".", `\.`, "[", `\[`).Replace(key)
}

// search looks through an object of a kind that is not known, for pods and for
// images beside them.
func (r *reader) search(w *Workload, node *yaml.Node, where *trail) error {
	node = resolve(node)
	switch node.Kind {
	case yaml.SequenceNode:
		for i, child := range node.Content {
			if err := r.search(w, child, &trail{where, fmt.Sprintf("[%d]", i)}); err != nil {
				return err
			}
		}
	case yaml.ScalarNode:
		if reference, found := strings.CutPrefix(node.Value, "oci://"); found && r.keys {
			return r.add(w, node, reference, where.String())
		}
	case yaml.MappingNode:
		pod := likePod(node)
		if pod {
			if err := r.pod(w, node, where.String()); err != nil {
				return err
			}
		}
		return r.members(w, node, where, func(key string) bool {
			return pod && (key == "volumes" || slices.Contains(lists, key))
		})
	}
	return nil
}

// members searches the values of a mapping. Of the elements of a list that was
// read the image is known already.
func (r *reader) members(w *Workload, node *yaml.Node, where *trail, read func(key string) bool) error {
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := resolve(node.Content[i]).Value, resolve(node.Content[i+1])
		step := &trail{where, escape(key)}
		var err error
		switch {
		case read(key) && value.Kind == yaml.SequenceNode:
			err = r.elements(w, value, step)
		case r.keys && (key == "image" || strings.HasSuffix(key, "Image")):
			err = r.named(w, value, step)
		case r.keys && key == "images" && value.Kind == yaml.SequenceNode:
			for i, element := range value.Content {
				if err == nil {
					err = r.named(w, resolve(element), &trail{step, fmt.Sprintf("[%d]", i)})
				}
			}
		case slices.Contains(labels, key) && value.Kind == yaml.MappingNode:
			// words that people choose
		default:
			err = r.search(w, value, step)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// labels are keys whose values are words about an object, not parts of it.
var labels = []string{"metadata", "labels", "annotations", "matchLabels", "nodeSelector"}

func (r *reader) elements(w *Workload, list *yaml.Node, where *trail) error {
	for i, element := range list.Content {
		element = resolve(element)
		if element.Kind != yaml.MappingNode {
			continue
		}
		rest := &yaml.Node{Kind: yaml.MappingNode, Line: element.Line}
		for j := 0; j+1 < len(element.Content); j += 2 {
			if resolve(element.Content[j]).Value != "image" {
				rest.Content = append(rest.Content, element.Content[j], element.Content[j+1])
			}
		}
		if err := r.search(w, rest, &trail{where, fmt.Sprintf("[%d]", i)}); err != nil {
			return err
		}
	}
	return nil
}

// named reads the value of a key that is called after an image.
func (r *reader) named(w *Workload, value *yaml.Node, where *trail) error {
	switch {
	case value.Kind == yaml.MappingNode && slices.ContainsFunc(parts, func(key string) bool { return get(value, key) != nil }):
		return r.fail(value, "%s: %s names an image in parts, which cannot be judged; render it to one reference first", title(w), where)
	case get(value, "reference") != nil:
		return r.use(w, value, "reference", where.String())
	case value.Kind != yaml.ScalarNode:
		return r.search(w, value, where)
	case value.Tag == "!!null", value.Tag == "!!bool", value.Value == "":
		return nil
	case value.Tag != "!!str":
		return r.fail(value, "%s: %s: want a string that names an image", title(w), where)
	}
	return r.add(w, value, strings.TrimPrefix(value.Value, "oci://"), where.String())
}

// parts are the keys of an image that is written in parts.
var parts = []string{"repository", "tag", "digest", "newName", "newTag"}

// likePod says whether a mapping has a list of containers with an image.
func likePod(node *yaml.Node) bool {
	return slices.ContainsFunc(lists, func(list string) bool {
		containers := get(node, list)
		return containers != nil && containers.Kind == yaml.SequenceNode && slices.ContainsFunc(containers.Content, func(container *yaml.Node) bool {
			return get(resolve(container), "image") != nil
		})
	})
}

func resolve(node *yaml.Node) *yaml.Node {
	for node != nil && node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	return node
}

// get is the value of a key of a mapping, with aliases followed, or nil.
func get(node *yaml.Node, key string) *yaml.Node {
	if node == nil || node.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		if resolve(node.Content[i]).Value == key {
			return resolve(node.Content[i+1])
		}
	}
	return nil
}

// scalar is the text of a string node, or "".
func scalar(node *yaml.Node) string {
	if node == nil || node.Kind != yaml.ScalarNode || node.Tag == "!!null" {
		return ""
	}
	return node.Value
}
