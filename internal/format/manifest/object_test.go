package manifest_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/seed-161fc314/assay/internal/format/manifest"
)

// objectsApart leaves the objects to TestObject.
var objectsApart = cmpopts.IgnoreFields(manifest.Workload{}, "Object", "Pod")

func TestObject(t *testing.T) {
	read := func(content string) manifest.Workload {
		t.Helper()
		list, err := manifest.Read("f.yaml", []byte(content))
		if err != nil || len(list) != 1 {
			t.Fatalf("%d workloads, %v", len(list), err)
		}
		return list[0]
	}
	w := read(`apiVersion: apps/v1
kind: Deployment
metadata: {name: d, namespace: ml}
spec:
  replicas: 2
  template:
    metadata: {name: other, namespace: elsewhere, labels: {app: a}, annotations: {at: 2026-01-02}}
    spec: {containers: [{name: c, image: i}]}
`)
	want := map[string]any{"apiVersion": "v1", "kind": "Pod",
		"metadata": map[string]any{"generateName": "d-", "namespace": "ml", "labels": map[string]any{"app": "a"}, "annotations": map[string]any{"at": "2026-01-02"}},
		"spec":     map[string]any{"containers": []any{map[string]any{"name": "c", "image": "i"}}}}
	if diff := cmp.Diff(want, w.Pod); diff != "" {
		t.Errorf("the pod of a deployment (-want +got)\n%s", diff)
	}
	if spec, _ := w.Object["spec"].(map[string]any); w.Object["kind"] != "Deployment" || spec["replicas"] != 2.0 {
		t.Errorf("the object: %v", w.Object)
	}
	if w := read("{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {containers: [{image: i}]}}"); cmp.Diff(w.Object, w.Pod) != "" || w.Pod == nil {
		t.Errorf("a pod is itself: %v", w.Pod)
	}
	if w := read("{apiVersion: argoproj.io/v1alpha1, kind: Workflow, metadata: {name: w}, spec: {templates: [{container: {image: i}}]}}"); w.Pod != nil || w.Object == nil {
		t.Errorf("the pod of a workflow: %v", w.Pod)
	}
}

func TestReadSurroundings(t *testing.T) {
	got, err := manifest.ReadSurroundings("f.yaml", []byte(`apiVersion: v1
kind: ConfigMap
metadata: {name: a}
data: {allowed: '["x"]'}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: b, namespace: ops}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: ml, labels: {team: vision}}}
---
{apiVersion: v1, kind: Service, metadata: {name: s}}
---
{apiVersion: example.com/v1, kind: ConfigMap, metadata: {name: another-kind}, data: {x: y}}
`), "default")
	want := manifest.Surroundings{ConfigMaps: map[string]map[string]string{"default/a": {"allowed": `["x"]`}, "ops/b": {}},
		Namespaces: map[string]map[string]string{"ml": {"kubernetes.io/metadata.name": "ml", "team": "vision"}}}
	if err != nil || cmp.Diff(want, got) != "" {
		t.Errorf("%v (-want +got)\n%s", err, cmp.Diff(want, got))
	}
	for content, want := range map[string]string{
		"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  n: 1\n": "f.yaml:5: n: want a string; put it in quotes",
		"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: [x]\n":     "f.yaml:4: data: want a mapping of strings",
	} {
		if _, err := manifest.ReadSurroundings("f.yaml", []byte(content), "default"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestObjects(t *testing.T) {
	const content = `apiVersion: v1
kind: List
items:
- {apiVersion: tekton.dev/v1, kind: Task, metadata: {name: t}, spec: {stages: [{runs: registry.example.com/a}]}}
- {apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {containers: [{image: i}]}}
`
	all, err := manifest.Objects("f.yaml", []byte(content))
	if err != nil || len(all) != 2 || all[0].Name != "t" || all[0].Object["kind"] != "Task" || len(all[0].Images) != 0 || len(all[1].Images) != 1 {
		t.Errorf("%+v, %v", all, err)
	}
	if some, err := manifest.Read("f.yaml", []byte(content)); err != nil || len(some) != 1 || some[0].Name != "p" {
		t.Errorf("%+v, %v", some, err)
	}
}
