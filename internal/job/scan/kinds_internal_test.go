package scan

import "testing"

// Every kind of file has paths that show it, and each is of that kind: what
// chooses the same files by other means is held to them.
func TestExamplesAreOfTheirKind(t *testing.T) {
	for i := range kinds {
		if len(kinds[i].such) == 0 {
			t.Errorf("kind %d (%s) shows no file", i, kinds[i].looked)
		}
		for _, name := range kinds[i].such {
			if kindOf(name) != &kinds[i] {
				t.Errorf("%s is not of kind %d (%s)", name, i, kinds[i].looked)
			}
		}
	}
	for _, parser := range locks {
		found := false
		for _, name := range Examples() {
			found = found || lockParser(name) == parser
		}
		if !found {
			t.Errorf("no file shows what %T reads", parser)
		}
	}
}
