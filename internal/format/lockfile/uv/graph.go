package uv

import (
	"cmp"
	"slices"
	"strconv"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/format/pydist"
	"github.com/seed-161fc314/assay/internal/format/requirement"
	"github.com/seed-161fc314/assay/internal/format/stricttoml"
)

// node is one [[package]].
type node struct {
	name    string
	value   *stricttoml.Value
	project bool
	// edges are by extra, those without one under "".
	edges  map[string][]edge
	always bool
	groups []string
	needs  []*node
	needed map[*node]bool
	// marker is one that left the package out, broken one that cannot be
	// evaluated.
	marker, broken string
}

type edge struct {
	to     []*node
	extras []string
	text   string
	condition
}

// condition is a marker, of which a file has few and writes them often.
type condition struct {
	marker requirement.Marker
	// fixed says that the marker does not ask for extras, and holds what it
	// comes to.
	fixed, holds bool
	err          error
}

type graph struct {
	name        string
	environment requirement.Environment
	packages    []*node
	named       map[string][]*node
	conditions  map[string]condition
	// roots are the edges of each group of each project; "" are those that
	// are always wanted.
	roots  map[string][]root
	groups []string
}

// root is where a walk begins, and how conflict markers call it.
type root struct {
	edges []edge
	asked []string
}

func newGraph(top *stricttoml.Value, name string, environment requirement.Environment) (*graph, error) {
	g := &graph{name: name, environment: environment, named: map[string][]*node{}, conditions: map[string]condition{}, roots: map[string][]root{}}
	members := map[string]bool{}
	for _, member := range top.Get("manifest", "members").Texts() {
		members[pydist.Normalise(member)] = true
	}
	for _, v := range top.Get("package").List() {
		n := &node{name: v.Get("name").Text(), value: v, edges: map[string][]edge{}, needed: map[*node]bool{}}
		normal := pydist.Normalise(n.name)
		at, local := local(v.Get("source"))
		n.project = local && (members[normal] || len(members) == 0 && at == ".")
		g.packages = append(g.packages, n)
		g.named[normal] = append(g.named[normal], n)
		if len(g.packages) > limit.LockedPackages {
			return nil, &limit.Error{What: name, Bound: limit.LockedPackages, Unit: "packages"}
		}
	}
	links := 0
	link := func(values []*stricttoml.Value) ([]edge, error) {
		edges := make([]edge, 0, len(values))
		for _, v := range values {
			e := g.edge(v)
			if links += 1 + len(e.to); links > limit.LockedEdges {
				return nil, &limit.Error{What: name, Bound: limit.LockedEdges, Unit: "dependencies between packages"}
			}
			edges = append(edges, e)
		}
		return edges, nil
	}
	for _, n := range g.packages {
		if err := g.connect(n, link); err != nil {
			return nil, err
		}
	}
	manifest := top.Get("manifest")
	edges, err := link(manifest.Get("requirements").List())
	if err != nil {
		return nil, err
	}
	g.root("", edges, "")
	for _, group := range manifest.Get("dependency-groups").Keys() {
		if edges, err = link(manifest.Get("dependency-groups", group).List()); err != nil {
			return nil, err
		}
		g.root(group, edges, "")
	}
	if len(g.groups) > limit.LockedGroups {
		return nil, &limit.Error{What: name, Bound: limit.LockedGroups, Unit: "extras and dependency groups"}
	}
	return g, nil
}

func local(source *stricttoml.Value) (string, bool) {
	for _, kind := range []string{"virtual", "editable", "directory"} {
		if at := source.Get(kind); at != nil {
			return at.Text(), true
		}
	}
	return "", false
}

// connect reads the edges of a package; those of a project begin walks.
func (g *graph) connect(n *node, link func([]*stricttoml.Value) ([]edge, error)) error {
	var err error
	if n.edges[""], err = link(n.value.Get("dependencies").List()); err != nil {
		return err
	}
	if n.project {
		g.root("", n.edges[""], n.name)
	}
	for _, table := range []string{"optional-dependencies", "dev-dependencies"} {
		groups := n.value.Get(table)
		for _, group := range groups.Keys() {
			edges, err := link(groups.Get(group).List())
			if err != nil {
				return err
			}
			if table == "optional-dependencies" {
				n.edges[pydist.Normalise(group)] = edges
			}
			if n.project {
				g.root(group, edges, n.name)
			}
		}
	}
	return nil
}

func (g *graph) root(group string, edges []edge, project string) {
	if group != "" && g.roots[group] == nil {
		g.groups = append(g.groups, group)
	}
	var asked []string
	if project != "" {
		asked = conflictNames(project, group)
	}
	g.roots[group] = append(g.roots[group], root{edges, asked})
}

// conflictNames are how uv writes, in markers, that a project and an extra or a
// group of it were asked for where some of them exclude each other.
func conflictNames(project, group string) []string {
	project, group = pydist.Normalise(project), pydist.Normalise(group)
	tail := "-" + strconv.Itoa(len(project)) + "-" + project
	if group == "" {
		return []string{"project" + tail}
	}
	return []string{"project" + tail, "extra" + tail + "-" + group, "group" + tail + "-" + group, group}
}

func (g *graph) edge(v *stricttoml.Value) edge {
	e := edge{text: v.Get("marker").Text(), condition: condition{fixed: true, holds: true}}
	version := v.Get("version").Text()
	for _, n := range g.named[pydist.Normalise(v.Get("name").Text())] {
		if version == "" || version == n.value.Get("version").Text() {
			e.to = append(e.to, n)
		}
	}
	for _, extra := range v.Get("extra").Texts() {
		e.extras = append(e.extras, pydist.Normalise(extra))
	}
	if e.text == "" {
		return e
	}
	c, known := g.conditions[e.text]
	if !known {
		c = g.condition(e.text)
		g.conditions[e.text] = c
	}
	e.condition = c
	return e
}

func (g *graph) condition(text string) condition {
	c := condition{}
	if c.marker, c.err = requirement.ParseMarker(text); c.err != nil {
		return c
	}
	extras, groups := c.marker.Names()
	if c.fixed = len(extras)+len(groups) == 0; c.fixed {
		c.holds, c.err = c.marker.Holds(&requirement.Scope{Environment: g.environment})
	}
	return c
}

// walk finds out, group by group, what the environment needs, and then what
// only other environments do.
func (g *graph) walk() {
	for _, group := range append([]string{""}, g.groups...) {
		w := walker{graph: g, group: group, seen: map[visit]bool{}}
		for _, r := range g.roots[group] {
			w.scope.Extras = append(w.scope.Extras, r.asked...)
		}
		w.scope.Environment = g.environment
		for _, r := range g.roots[group] {
			w.follow(nil, r.edges)
		}
		w.drain()
	}
	w := walker{graph: g, everywhere: true, seen: map[visit]bool{}}
	for _, group := range append([]string{""}, g.groups...) {
		for _, r := range g.roots[group] {
			w.follow(nil, r.edges)
		}
	}
	w.drain()
}

type visit struct {
	*node
	extra string
}

type walker struct {
	*graph
	group      string
	scope      requirement.Scope
	everywhere bool
	seen       map[visit]bool
	queue      []visit
}

func (w *walker) drain() {
	for len(w.queue) > 0 {
		v := w.queue[len(w.queue)-1]
		w.queue = w.queue[:len(w.queue)-1]
		w.follow(v.node, v.edges[v.extra])
	}
}

func (w *walker) follow(from *node, edges []edge) {
	for i := range edges {
		e := &edges[i]
		holds, err := e.holds, e.err
		if !e.fixed && !w.everywhere && err == nil {
			holds, err = e.marker.Holds(&w.scope)
		}
		for _, to := range e.to {
			switch {
			case err != nil:
				to.broken = cmp.Or(to.broken, err.Error())
			case !holds && !w.everywhere:
				if to.marker == "" {
					to.marker = e.text
				}
				continue
			}
			w.reach(from, to, e.extras)
		}
	}
}

func (w *walker) reach(from, to *node, extras []string) {
	if w.everywhere {
		if to.marker == "" {
			to.marker = "only packages that are left out need it"
		}
	} else {
		if w.group == "" {
			to.always = true
		} else if !to.always && !slices.Contains(to.groups, w.group) {
			to.groups = append(to.groups, w.group)
		}
		if from != nil && !from.needed[to] {
			from.needed[to] = true
			from.needs = append(from.needs, to)
		}
	}
	for _, extra := range append([]string{""}, extras...) {
		if v := (visit{to, extra}); !w.seen[v] {
			w.seen[v] = true
			w.queue = append(w.queue, v)
		}
	}
}
