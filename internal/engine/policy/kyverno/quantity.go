package kyverno

import (
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/seed-161fc314/assay/internal/domain/limit"
)

// parseQuantity reads a Kubernetes quantity ("128Mi", "0.5", "1e3") as
// Kubernetes does: rounded up to billionths, and no more than 2^63-1. A longer
// text, or an exponent of more digits than a number can have, is none: their
// numbers would be of any size.
func parseQuantity(text string) (resource.Quantity, bool) {
	if text == "" || len(text) > limit.Quantity || !strings.ContainsRune("+-.0123456789", rune(text[0])) {
		return resource.Quantity{}, false
	}
	if i := strings.IndexAny(text, "eE"); i >= 0 && len(strings.TrimLeft(text[i+1:], "+-0")) > 3 {
		return resource.Quantity{}, false
	}
	quantity, err := resource.ParseQuantity(text)
	return quantity, err == nil
}
