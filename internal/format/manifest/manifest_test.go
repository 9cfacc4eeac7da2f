package manifest_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/format/manifest"
)

func TestRead(t *testing.T) {
	for name, c := range map[string]struct {
		content string
		want    []manifest.Workload
	}{
		"pod": {`apiVersion: v1
kind: Pod
metadata: {name: p, namespace: ml}
spec:
  initContainers:
  - image: init:1
  containers:
  - name: a
    image: registry.example.com/a:v1 # pinned later
  - image: "b@sha256:00"
  ephemeralContainers: [{image: debug}]
  volumes:
  - name: model
    image:
      reference: registry.example.com/model:v2
  - emptyDir: {}
`, []manifest.Workload{{Kind: "Pod", APIVersion: "v1", Namespace: "ml", Name: "p", File: "f.yaml", Line: 1, Images: []manifest.ImageUse{
			{"spec.containers[0].image", "registry.example.com/a:v1", 9},
			{"spec.containers[1].image", "b@sha256:00", 10},
			{"spec.initContainers[0].image", "init:1", 6},
			{"spec.ephemeralContainers[0].image", "debug", 11},
			{"spec.volumes[0].image.reference", "registry.example.com/model:v2", 15},
		}}}},
		"deployment after a service": {`# what runs
apiVersion: v1
kind: Service
metadata: {name: s}
spec: {ports: [{port: 80}]}
---
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: d}
spec: {template: {spec: {containers: [{image: i}]}}}
`, []manifest.Workload{{Kind: "Deployment", APIVersion: "apps/v1", Name: "d", File: "f.yaml", Document: 2, Line: 8,
			Images: []manifest.ImageUse{{"spec.template.spec.containers[0].image", "i", 11}}}}},
		"cron job": {`{apiVersion: batch/v1, kind: CronJob, metadata: {generateName: c-}, spec: {jobTemplate: {spec: {template: {spec: {containers: [{image: i}]}}}}}}`,
			[]manifest.Workload{{Kind: "CronJob", APIVersion: "batch/v1", File: "f.yaml", Line: 1,
				Images: []manifest.ImageUse{{"spec.jobTemplate.spec.template.spec.containers[0].image", "i", 1}}}}},
		"list": {`apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: Pod
  spec: {containers: [{image: a}]}
- apiVersion: v1
  kind: List
  items:
  - {apiVersion: v1, kind: Pod, spec: {containers: [{image: b}]}}
`, []manifest.Workload{
			{Kind: "Pod", APIVersion: "v1", File: "f.yaml", Line: 4, Images: []manifest.ImageUse{{"items[0].spec.containers[0].image", "a", 6}}},
			{Kind: "Pod", APIVersion: "v1", File: "f.yaml", Line: 10, Images: []manifest.ImageUse{{"items[1].items[0].spec.containers[0].image", "b", 10}}},
		}},
		"typed list": {`{apiVersion: apps/v1, kind: DeploymentList, items: [{metadata: {name: d}, spec: {template: {spec: {containers: [{image: a}]}}}}]}`,
			[]manifest.Workload{{Kind: "Deployment", APIVersion: "apps/v1", Name: "d", File: "f.yaml", Line: 1,
				Images: []manifest.ImageUse{{"items[0].spec.template.spec.containers[0].image", "a", 1}}}}},
		"unknown kind": {`apiVersion: serving.example.com/v1
kind: InferenceService
metadata: {name: m}
spec:
  predictor:
    containers:
    - image: registry.example.com/server:v1
  transformers:
  - initContainers: [{image: x}]
  by.name: {containers: [{image: y}]}
`, []manifest.Workload{{Kind: "InferenceService", APIVersion: "serving.example.com/v1", Name: "m", File: "f.yaml", Line: 1, Images: []manifest.ImageUse{
			{"spec.predictor.containers[0].image", "registry.example.com/server:v1", 7},
			{"spec.transformers[0].initContainers[0].image", "x", 9},
			{`spec.by\.name.containers[0].image`, "y", 10},
		}}}},
		"images beside pods": {`apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata: {name: w, labels: {image: not-one}}
spec:
  image: a
  baseImage: b
  images: [c, d]
  model: {storageUri: "oci://registry.example.com/model:1"}
  template: {metadata: {annotations: {image: not-one}}}
  selector: {matchLabels: {image: not-one}}
  debugImage: false
  templates:
  - container: {image: e}
  - script: {image: f}
  - steps: [{image: g}]
    sidecars: [{image: h}]
  predictor:
    containers: [{image: i, worker: {containers: [{image: j}]}}]
    volumes: [{image: {reference: k}, other: {image: l}}]
    workerSpec: {containers: [{image: m}]}
    image: {pull: {image: n}}
  modelImage: {reference: o}
`, []manifest.Workload{{Kind: "Workflow", APIVersion: "argoproj.io/v1alpha1", Name: "w", File: "f.yaml", Line: 1, Images: []manifest.ImageUse{
			{"spec.image", "a", 5}, {"spec.baseImage", "b", 6}, {"spec.images[0]", "c", 7}, {"spec.images[1]", "d", 7},
			{"spec.model.storageUri", "registry.example.com/model:1", 8},
			{"spec.templates[0].container.image", "e", 13}, {"spec.templates[1].script.image", "f", 14},
			{"spec.templates[2].steps[0].image", "g", 15}, {"spec.templates[2].sidecars[0].image", "h", 16},
			{"spec.predictor.containers[0].image", "i", 18}, {"spec.predictor.volumes[0].image.reference", "k", 19},
			{"spec.predictor.containers[0].worker.containers[0].image", "j", 18}, {"spec.predictor.volumes[0].other.image", "l", 19},
			{"spec.predictor.workerSpec.containers[0].image", "m", 20}, {"spec.predictor.image.pull.image", "n", 21},
			{"spec.modelImage.reference", "o", 22},
		}}}},
		"data is no image": {"apiVersion: v1\nkind: ConfigMap\ndata: {image: x, uri: \"oci://x\"}\n---\napiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nspec: {properties: {image: {type: string, default: x}}}\n", nil},
		"a job of another group": {`{apiVersion: batch.example.com/v1, kind: Job, spec: {tasks: [{template: {spec: {containers: [{image: a}]}}}]}}`,
			[]manifest.Workload{{Kind: "Job", APIVersion: "batch.example.com/v1", File: "f.yaml", Line: 1,
				Images: []manifest.ImageUse{{"spec.tasks[0].template.spec.containers[0].image", "a", 1}}}}},
		"aliases": {`apiVersion: v1
kind: Pod
metadata: {labels: {i: &i a:1}}
spec: {containers: &c [{image: *i}], initContainers: *c}
`, []manifest.Workload{{Kind: "Pod", APIVersion: "v1", File: "f.yaml", Line: 1, Images: []manifest.ImageUse{
			{"spec.containers[0].image", "a:1", 3}, {"spec.initContainers[0].image", "a:1", 3}}}}},
		"JSON":                              {`{"apiVersion":"v1","kind":"Pod","spec":{"containers":[{"image":"a"}]}}`, []manifest.Workload{{Kind: "Pod", APIVersion: "v1", File: "f.yaml", Line: 1, Images: []manifest.ImageUse{{"spec.containers[0].image", "a", 1}}}}},
		"no workload":                       {"apiVersion: v1\nkind: ConfigMap\ndata: {a: \"containers: [{image: x}]\"}\n", nil},
		"containers that are no containers": {"apiVersion: example.com/v1\nkind: Report\nspec: {containers: [{name: a}]}\n", nil},
		"nothing":                           {"# nothing\n", nil},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := manifest.Read("f.yaml", []byte(c.content))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got, objectsApart); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestReadRefuses(t *testing.T) {
	const pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n"
	for name, c := range map[string]struct{ content, want string }{
		"missing image":                {pod + "  containers:\n  - name: a\n", "f.yaml:6: Pod p: spec.containers[0].image is missing or empty"},
		"empty image":                  {pod + "  containers:\n  - image: \"\"\n", "spec.containers[0].image is missing or empty"},
		"null image":                   {pod + "  containers:\n  - image:\n", "spec.containers[0].image is missing or empty"},
		"image that is no string":      {pod + "  containers:\n  - image: {a: b}\n", "f.yaml:6: Pod p: spec.containers[0].image: want a string"},
		"image that is a number":       {pod + "  containers:\n  - image: 1.5\n", "want a string"},
		"container that is no mapping": {pod + "  containers: [a]\n", "spec.containers[0].image is missing"},
		"no containers":                {pod + "  volumes: []\n", "spec.containers is missing or empty"},
		"empty containers":             {pod + "  containers: []\n", "spec.containers is missing or empty"},
		"containers as a mapping":      {pod + "  containers: {image: a}\n", "spec.containers is missing or empty"},
		"init containers as a mapping": {pod + "  containers: [{image: a}]\n  initContainers: {image: a}\n", "spec.initContainers is no list"},
		"volume without a reference":   {pod + "  containers: [{image: a}]\n  volumes: [{image: {pullPolicy: Always}}]\n", "spec.volumes[0].image.reference is missing"},
		"no template":                  {"apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\nspec: {}\n", "Deployment d: spec.template is missing"},
		"no spec":                      {"apiVersion: v1\nkind: Pod\n", "spec is missing"},
		"one of two images":            {"apiVersion: x.example.com/v1\nkind: X\nspec: {containers: [{image: a}, {name: b}]}\n", "X: spec.containers[1].image is missing"},
		"an image in parts":            {"apiVersion: helm.example.com/v1\nkind: Release\nspec: {values: {image: {repository: a, tag: b}}}\n", "f.yaml:3: Release: spec.values.image names an image in parts"},
		"an image that is a number":    {"apiVersion: ray.example.com/v1\nkind: R\nspec: {image: 7}\n", "spec.image: want a string"},
		"element of a list":            {"apiVersion: v1\nkind: List\nitems: [1]\n", "items[0] is no Kubernetes object"},
		"no kind":                      {"apiVersion: v1\nspec: {containers: [{image: a}]}\n", "is no Kubernetes object"},
		"no object":                    {"- a\n", "is no Kubernetes object"},
		"a key twice":                  {pod + "  containers: [{image: good, image: bad}]\n", `"image" is given twice`},
		"merge key":                    {"x: &x {image: a}\napiVersion: v1\nkind: Pod\nspec: {containers: [{<<: *x}]}\n", "merge keys"},
		"template":                     {"kind: {{ .Kind }}\n", "f.yaml"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := manifest.Read("f.yaml", []byte(c.content))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %+v, %v; want an error with %q", got, err, c.want)
			}
		})
	}
	t.Run("too large", func(t *testing.T) {
		if _, err := manifest.Read("f.yaml", make([]byte, limit.Policy+1)); err == nil {
			t.Error("read a file over the bound")
		}
	})
	t.Run("too many images", func(t *testing.T) {
		content := "apiVersion: x.example.com/v1\nkind: X\nc: &c [" + strings.Repeat("{image: a},", 1000) + "]\nspec: [" + strings.Repeat("{containers: *c},", 101) + "]\n"
		if _, err := manifest.Read("f.yaml", []byte(content)); err == nil || !strings.Contains(err.Error(), "100000 images") {
			t.Errorf("got %v", err)
		}
	})
}

func FuzzRead(f *testing.F) {
	f.Add([]byte("apiVersion: v1\nkind: Pod\nspec: {containers: [{image: a}]}\n"))
	f.Add([]byte("apiVersion: v1\nkind: List\nitems: [{kind: Pod, spec: &s {containers: [{image: a}]}}, {apiVersion: x/y, kind: Z, spec: *s}]\n"))
	f.Add([]byte("a: &a [*a]"))
	f.Fuzz(func(t *testing.T, content []byte) {
		workloads, err := manifest.Read("f", content)
		if err != nil && workloads != nil {
			t.Error("workloads beside an error")
		}
		for _, w := range workloads {
			if len(w.Images) == 0 || w.Kind == "" || w.APIVersion == "" {
				t.Errorf("%+v", w)
			}
			for _, image := range w.Images {
				if image.Reference == "" || image.Path == "" {
					t.Errorf("%+v", image)
				}
			}
		}
	})
}
