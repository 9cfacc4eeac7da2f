package advisory_test

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
)

// The oracle knows versions by what they were made from, never by parsing, and
// evaluates OSV's algorithm as the schema spells it.

// known is a version whose place in the order is known.
type known struct {
	text string
	// key orders versions without their local part, as lists; local orders
	// those that have one.
	key   []int
	local []string
	// pre marks a Python pre-release or development release.
	pre bool
}

func (a known) public(b known) int { return comparePadded(a.key, b.key) }

func (a known) full(b known) int {
	if c := a.public(b); c != 0 {
		return c
	}
	return slices.CompareFunc(a.local, b.local, func(x, y string) int {
		m, errM := strconv.Atoi(x)
		n, errN := strconv.Atoi(y)
		switch {
		case errM == nil && errN == nil:
			return cmp.Compare(m, n)
		case errM == nil:
			return 1 // numbers come after words
		case errN == nil:
			return -1
		}
		return cmp.Compare(x, y)
	})
}

// against is how an installed version stands to a bound of an advisory.
func (a known) against(bound known) int {
	if bound.local == nil {
		return a.public(bound)
	}
	return a.full(bound)
}

func comparePadded(a, b []int) int {
	for i := range max(len(a), len(b)) {
		var x, y int
		if i < len(a) {
			x = a[i]
		}
		if i < len(b) {
			y = b[i]
		}
		if x != y {
			return cmp.Compare(x, y)
		}
	}
	return 0
}

func pick[T any](r *rand.Rand, list ...T) T { return list[r.IntN(len(list))] }

// pythonVersion makes a version by PEP 440 and the key that its appendix
// orders by.
func pythonVersion(r *rand.Rand) known {
	const none = 1000 // after every number
	var k known
	epoch := pick(r, 0, 0, 0, 0, 1)
	if epoch > 0 {
		k.text = "1!"
	}
	release := []int{r.IntN(3), pick(r, 0, 1, 2, 9, 10, 11), r.IntN(2), 0}
	parts := make([]string, 1+r.IntN(4))
	for i := range parts {
		parts[i] = strconv.Itoa(release[i])
	}
	clear(release[len(parts):])
	k.text = pick(r, "", "", "", "v") + k.text + strings.Join(parts, ".")
	pre, preN, post, dev := none, 0, -1, none
	if r.IntN(4) == 0 {
		pre, preN = r.IntN(3), pick(r, 1, 2, 10)
		k.text += pick(r, "", "", ".", "-", "_") + pick(r, [][]string{{"a", "alpha", "A"}, {"b", "beta"}, {"rc", "c", "pre", "preview", "RC"}}[pre]...) + strconv.Itoa(preN)
	}
	if r.IntN(5) == 0 {
		post = r.IntN(3)
		k.text += pick(r, ".post", "-post", "post", ".rev", "-") + strconv.Itoa(post)
	}
	if r.IntN(6) == 0 {
		dev = r.IntN(3)
		k.text += ".dev" + strconv.Itoa(dev)
		if pre == none && post < 0 {
			pre = -1 // 1.0.dev0 comes before 1.0a0
		}
	}
	k.pre = pre != none || dev != none
	k.key = append(append([]int{epoch}, release...), pre, preN, post, dev)
	if r.IntN(5) == 0 {
		k.local = pick(r, []string{"cpu"}, []string{"cu118"}, []string{"1"}, []string{"10"}, []string{"cpu", "2"}, []string{"nv21", "7"})
		k.text += "+" + strings.Join(k.local, ".")
	}
	return k
}

// debianVersion makes a version and the key of Debian Policy 5.6.12: letters
// before other characters, a tilde before the end, numbers as numbers.
func debianVersion(r *rand.Rand) known {
	words := func(n int) string {
		text := pick(r, "0", "1", "2", "9", "10", "01")
		for range r.IntN(n) {
			text += pick(r, ".", "+", "~", "a", "b", "~rc", "+deb", ".dfsg", "~~", "u") + pick(r, "", "0", "1", "2", "10")
		}
		return text
	}
	var k known
	epoch, upstream, revision := pick(r, 0, 0, 0, 1, 2), words(3), "0"
	k.text = upstream
	if epoch > 0 || r.IntN(8) == 0 {
		k.text = strconv.Itoa(epoch) + ":" + k.text
	}
	if r.IntN(3) > 0 {
		revision = words(3)
		k.text += "-" + revision
	}
	k.key = append([]int{epoch}, append(debianKey(upstream), debianKey(revision)...)...)
	return k
}

// debianKey has room for 6 words and 6 numbers in turn, and for 8 characters
// in a word.
func debianKey(text string) []int {
	key := make([]int, 0, 6*9)
	for range 6 {
		for range 8 {
			weight := 0 // the word's end
			if text != "" && (text[0] < '0' || text[0] > '9') {
				switch weight = int(text[0]); {
				case text[0] == '~':
					weight = -1
				case text[0] < 'A' || text[0] > 'z':
					weight += 1000
				}
				text = text[1:]
			}
			key = append(key, weight)
		}
		end := 0
		for end < len(text) && text[end] >= '0' && text[end] <= '9' {
			end++
		}
		number, _ := strconv.Atoi(text[:end])
		key, text = append(key, number), text[end:]
	}
	if text != "" {
		panic("the key has no room for all of a version")
	}
	return key
}
