package manifest

import (
	"fmt"
	"maps"

	"github.com/seed-161fc314/assay/internal/format/strictyaml"
)

// Surroundings are what a file says of the cluster beside its workloads.
type Surroundings struct {
	// ConfigMaps are the data of config maps by "NAMESPACE/NAME"; a config map
	// without a namespace is in the one that the caller names.
	ConfigMaps map[string]map[string]string
	// Namespaces are the labels of namespaces by name, with
	// kubernetes.io/metadata.name, which every namespace has.
	Namespaces map[string]map[string]string
}

// ReadSurroundings finds config maps and namespaces among the documents of a
// file. What else is there is passed over.
func ReadSurroundings(name string, content []byte, namespace string) (Surroundings, error) {
	s := Surroundings{ConfigMaps: map[string]map[string]string{}, Namespaces: map[string]map[string]string{}}
	documents, err := strictyaml.Documents(name, content)
	if err != nil {
		return s, err
	}
	for _, document := range documents {
		if document.Field("apiVersion") != "v1" {
			continue
		}
		object := document.Field("metadata", "name")
		switch document.Field("kind") {
		case "ConfigMap":
			in := document.Field("metadata", "namespace")
			if in == "" {
				in = namespace
			}
			if s.ConfigMaps[in+"/"+object], err = texts(document, "data"); err != nil {
				return s, err
			}
		case "Namespace":
			labels, err := texts(document, "metadata", "labels")
			if err != nil {
				return s, err
			}
			s.Namespaces[object] = map[string]string{"kubernetes.io/metadata.name": object}
			maps.Copy(s.Namespaces[object], labels)
		}
	}
	return s, nil
}

// texts is a mapping of strings; none is empty.
func texts(document strictyaml.Document, path ...string) (map[string]string, error) {
	result := map[string]string{}
	value, err := document.Value(path...)
	if err != nil || value == nil {
		return result, err
	}
	object, ok := value.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("%s:%d: %s: want a mapping of strings", document.File, document.LineOf(path...), path[len(path)-1])
	}
	for key, member := range object {
		text, ok := member.(string)
		if !ok {
			return nil, fmt.Errorf("%s:%d: %s: want a string; put it in quotes", document.File, document.LineOf(append(path, key)...), key)
		}
		result[key] = text
	}
	return result, nil
}
