package shape

// Within says whether a predicate, decoded from JSON, has something at a path; of
// a list one element is enough.
func (p Path) Within(value any) bool {
	for i, step := range p {
		switch typed := value.(type) {
		case []any:
			if step.kind == field || step.kind == whichever {
				return false
			}
			for _, element := range typed {
				if p[i+1:].Within(element) {
					return true
				}
			}
			return false
		case map[string]any:
			switch step.kind {
			case field:
				next, found := typed[step.name]
				if !found {
					return false
				}
				value = next
			case whichever:
				for _, next := range typed {
					if p[i+1:].Within(next) {
						return true
					}
				}
				return false
			case each:
				return false
			}
		default:
			return step.kind == merge && p[i+1:].Within(value)
		}
	}
	return true
}
