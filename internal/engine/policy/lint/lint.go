// Package lint finds what a policy says and does not mean: conditions that no
// evidence can satisfy, signers that nobody or anybody is, and ways around it.
//
// Entry points are [Check], which reads one document of a file, [Rules], which
// lists what is looked for, and [Fix], which changes the file's text where that
// is safe. It reads EvidencePolicy, and Kyverno's ClusterPolicy and Policy with
// verifyImages, as they are written: also such as do not load. Everything that
// loading a policy refuses is a finding too.
//
// A comment "# assay:ignore RULE REASON" at the end of a line, or above it, takes
// out what the rule finds there. One without a reason, and one that takes out
// nothing, is a finding itself.
//
// The package contacts nothing, reads no clock, and says nothing of policies
// that are not for images. No finding means that none of the rules found
// anything, and no more.
package lint

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/seed-161fc314/assay/api/v1alpha1"
	"github.com/seed-161fc314/assay/internal/domain/remark"
	"github.com/seed-161fc314/assay/internal/format/strictyaml"
)

// Config is what a policy is held against.
type Config struct {
	// Now is the time at which certificates and exceptions are judged.
	Now time.Time
	// Load loads the policy as a door would; nil leaves that out.
	Load func(strictyaml.Document) error
	// Images are the image patterns of all policies of the run, those of this
	// one among them: what one does not judge another may.
	Images []string
}

// Finding is a remark, and the changes of the file that heal it where that is
// safe.
type Finding struct {
	remark.Remark
	Edits []Edit
}

// IsPolicy says whether a document is one that Check reads.
func IsPolicy(document strictyaml.Document) bool {
	return native(document) || kyvernos(document)
}

func native(document strictyaml.Document) bool {
	return document.Field("kind") == v1alpha1.KindEvidencePolicy && strings.HasPrefix(document.Field("apiVersion"), "assay.sh/")
}

// kyvernos says whether a document is a policy of Kyverno's with a rule for
// images.
func kyvernos(document strictyaml.Document) bool {
	kind := document.Field("kind")
	if !strings.HasPrefix(document.Field("apiVersion"), "kyverno.io/") || kind != "ClusterPolicy" && kind != "Policy" {
		return false
	}
	root, err := read(document)
	return err == nil && slices.ContainsFunc(root.at("spec", "rules").list(), func(rule place) bool { return rule.has("verifyImages") })
}

// IncompleteError is a policy that does not load because what it names was not
// given, and may be right for all that.
type IncompleteError struct {
	// What is what was not given, such as "config map NAMESPACE/NAME".
	What string
	Err  error
}

// Error is what loading said.
func (e *IncompleteError) Error() string { return e.Err.Error() }

// Unwrap gives what loading said.
func (e *IncompleteError) Unwrap() error { return e.Err }

// Images are the image patterns of a policy.
func Images(document strictyaml.Document) []string {
	root, err := read(document)
	if err != nil {
		return nil
	}
	if native(document) {
		return root.at("spec", "match", "images").texts()
	}
	var patterns []string
	for _, rule := range root.at("spec", "rules").list() {
		for _, block := range rule.at("verifyImages").list() {
			patterns = append(patterns, block.at("imageReferences").texts()...)
		}
	}
	return patterns
}

// Check gives what the rules find in one document of the file with this content,
// in the order of the file. An error means that the document could not be read.
func Check(document strictyaml.Document, content []byte, config Config) ([]Finding, error) {
	root, err := read(document)
	if err != nil {
		return nil, err
	}
	l := &linter{document: document, config: config, lines: strings.Split(string(content), "\n")}
	l.object = document.Field("kind") + "/" + document.Field("metadata", "name")
	if namespace := document.Field("metadata", "namespace"); namespace != "" && document.Field("kind") == "Policy" {
		l.object = "Policy/" + namespace + "/" + document.Field("metadata", "name")
	}
	switch {
	case native(document):
		l.evidencePolicy(root)
	case kyvernos(document):
		l.kyvernoPolicy(root)
	default:
		return nil, fmt.Errorf("%s:%d: apiVersion %q and kind %q are no policy that is read here; want %s %s, or Kyverno's ClusterPolicy or Policy",
			document.File, document.Line, document.Field("apiVersion"), document.Field("kind"), v1alpha1.GroupVersion, v1alpha1.KindEvidencePolicy)
	}
	if config.Load != nil {
		l.loads(config.Load(document))
	}
	slices.SortStableFunc(l.findings, func(a, b Finding) int { return remark.Compare(a.Remark, b.Remark) })
	return l.findings, nil
}

// linter gathers what is found in one document.
type linter struct {
	document strictyaml.Document
	config   Config
	object   string
	// lines are those of the file.
	lines    []string
	findings []Finding
	// gathers says that wants are noted: what is asked of evidence.
	gathers bool
	wants   []Want
}

// say notes that a rule finds something at a place. The fix says what to do.
func (l *linter) say(rule string, at place, fix, format string, arguments ...any) *Finding {
	return l.sayAs(rule, levelOf(rule), at, fix, format, arguments...)
}

// sayAs is say at another level than the rule's.
func (l *linter) sayAs(rule string, level remark.Level, at place, fix, format string, arguments ...any) *Finding {
	line, column, _ := l.document.Position(at.path...)
	l.findings = append(l.findings, Finding{Remark: remark.Remark{Rule: rule, Level: level, File: l.document.File, Line: line, Column: column,
		Object: l.object, Path: at.String(), Message: fmt.Sprintf(format, arguments...), Fix: fix}})
	return &l.findings[len(l.findings)-1]
}

// loadError is one line of an error of loading: file, line and the rest.
var loadError = regexp.MustCompile(`^(.*?):([0-9]+): (.*)$`)

// loads notes what loading refused, where no rule said something at that line.
func (l *linter) loads(err error) {
	if err == nil {
		return
	}
	var incomplete *IncompleteError
	if errors.As(err, &incomplete) {
		l.sayAs("not-loadable", remark.Note, place{path: []string{"spec"}}, "name the manifest that has it with --context", "whether the policy loads is not known: %s was not given", incomplete.What)
		return
	}
	var unknown *strictyaml.UnknownFieldError
	var parts []string
	for _, text := range strings.Split(err.Error(), "\n") {
		match := loadError.FindStringSubmatch(text)
		if match != nil && match[1] == l.document.File || len(parts) == 0 {
			parts = append(parts, text)
		} else {
			parts[len(parts)-1] += "\n" + text
		}
	}
	for _, text := range parts {
		line, rest := l.document.Line, text
		if match := loadError.FindStringSubmatch(strings.ReplaceAll(text, "\n", " ")); match != nil && match[1] == l.document.File {
			line, _ = strconv.Atoi(match[2])
			rest = text[len(match[1])+len(match[2])+2:]
		}
		if slices.ContainsFunc(l.findings, func(f Finding) bool { return f.Line == line && f.Level == remark.Error }) {
			continue
		}
		fix := "write what is meant; nothing in a policy is skipped"
		if errors.As(err, &unknown) {
			fix = "correct the name of the field, or leave it out"
		}
		l.findings = append(l.findings, Finding{Remark: remark.Remark{Rule: "not-loadable", Level: remark.Error, File: l.document.File, Line: line, Column: l.columnOf(line),
			Object: l.object, Message: "no door loads this policy: " + oneLine(rest), Fix: fix}})
	}
}

// oneLine leaves out the drawings of places that errors of CEL have.
func oneLine(text string) string {
	var parts []string
	for _, line := range strings.Split(text, "\n") {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "|") {
			parts = append(parts, line)
		}
	}
	return strings.Join(parts, "; ")
}

// columnOf is where the text of a line begins.
func (l *linter) columnOf(line int) int {
	if line < 1 || line > len(l.lines) {
		return 0
	}
	return len(l.lines[line-1]) - len(strings.TrimLeft(l.lines[line-1], " -")) + 1
}
