package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/seed-161fc314/assay/api/v1alpha1"
	"github.com/seed-161fc314/assay/internal/format/assayfile"
	"github.com/seed-161fc314/assay/internal/format/policycase"
	"github.com/seed-161fc314/assay/internal/format/strictyaml"
)

// ownKinds are the kinds of assay.sh.
var ownKinds = []string{v1alpha1.KindEvidencePolicy, policycase.Kind, policycase.KindEvidence, assayfile.Kind}

// knownKind refuses a document of ours of a kind that there is not: commands that
// look for some kinds in many files would pass over it, and call the rest clean.
func knownKind(document strictyaml.Document) error {
	kind := document.Field("kind")
	if !strings.HasPrefix(document.Field("apiVersion"), "assay.sh/") || slices.Contains(ownKinds, kind) {
		return nil
	}
	near := strictyaml.Suggest(kind, ownKinds)
	if near == "" {
		near = "; want one of " + strings.Join(ownKinds, ", ")
	}
	return fmt.Errorf("%s:%d: kind: %q is no kind of assay.sh%s", document.File, document.LineOf("kind"), kind, near)
}
