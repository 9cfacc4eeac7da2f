package pep440_test

import (
	"cmp"
	"math/big"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	"github.com/seed-161fc314/assay/internal/format/pep440"
)

// The rules of the version specifiers specification once more, by a regular
// expression for what is a version and a key of weights for its place.
var shape = regexp.MustCompile(`(?i)^v?(?:(\d+)!)?(\d+(?:\.\d+)*)` +
	`(?:[-_.]?(alpha|beta|preview|pre|a|b|c|rc)[-_.]?(\d*))?` +
	`(?:(-)(\d+)|[-_.]?(post|rev|r)[-_.]?(\d*))?` +
	`(?:[-_.]?(dev)[-_.]?(\d*))?` +
	`(?:\+([a-z0-9]+(?:[-_.][a-z0-9]+)*))?$`)

// key orders versions: the parts in the order of their importance, each as a
// number; local is compared after all of them.
type key struct {
	release []*big.Int
	rest    []*big.Int // epoch is its own; pre kind, pre number, post, dev
	epoch   *big.Int
	local   []string
}

func keyOf(text string) (key, bool) {
	m := shape.FindStringSubmatch(strings.TrimSpace(text))
	if m == nil {
		return key{}, false
	}
	number := func(text string) *big.Int {
		n, _ := new(big.Int).SetString("0"+text, 10)
		return n
	}
	k := key{epoch: number(m[1])}
	for _, part := range strings.Split(m[2], ".") {
		k.release = append(k.release, number(part))
	}
	for len(k.release) > 1 && k.release[len(k.release)-1].Sign() == 0 {
		k.release = k.release[:len(k.release)-1]
	}
	infinity := new(big.Int).Lsh(big.NewInt(1), 4096)
	pre, preNumber, post, dev := big.NewInt(3), new(big.Int), big.NewInt(-1), infinity
	switch strings.ToLower(m[3]) {
	case "a", "alpha":
		pre, preNumber = big.NewInt(0), number(m[4])
	case "b", "beta":
		pre, preNumber = big.NewInt(1), number(m[4])
	case "c", "rc", "pre", "preview":
		pre, preNumber = big.NewInt(2), number(m[4])
	}
	switch {
	case m[5] != "":
		post = number(m[6])
	case m[7] != "":
		post = number(m[8])
	}
	if m[9] != "" {
		dev = number(m[10])
		if m[3] == "" && post.Sign() < 0 {
			pre = big.NewInt(-1) // a development version of a final release comes before its alphas
		}
	}
	k.rest = []*big.Int{pre, preNumber, post, dev}
	if m[11] != "" {
		k.local = regexp.MustCompile(`[-_.]`).Split(strings.ToLower(m[11]), -1)
	}
	return k, true
}

func (k key) compare(l key) int {
	zero := new(big.Int)
	at := func(list []*big.Int, i int) *big.Int {
		if i < len(list) {
			return list[i]
		}
		return zero
	}
	if c := k.epoch.Cmp(l.epoch); c != 0 {
		return c
	}
	for i := range max(len(k.release), len(l.release)) {
		if c := at(k.release, i).Cmp(at(l.release, i)); c != 0 {
			return c
		}
	}
	for i := range k.rest {
		if c := k.rest[i].Cmp(l.rest[i]); c != 0 {
			return c
		}
	}
	for i := range min(len(k.local), len(l.local)) {
		a, aNumber := new(big.Int).SetString(k.local[i], 10)
		b, bNumber := new(big.Int).SetString(l.local[i], 10)
		switch {
		case aNumber && bNumber:
			if c := a.Cmp(b); c != 0 {
				return c
			}
		case aNumber:
			return 1
		case bNumber:
			return -1
		default:
			if c := strings.Compare(k.local[i], l.local[i]); c != 0 {
				return c
			}
		}
	}
	return cmp.Compare(len(k.local), len(l.local))
}

func TestByTheRules(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 40))
	pick := func(list ...string) string { return list[r.IntN(len(list))] }
	number := func() string { return pick("", "0", "1", "2", "10", "01", "99999999999999999999") }
	version := func() string {
		text := pick("", "", "", "v", "V") + pick("", "", "", "0!", "1!", "20!") + pick("0", "1", "2", "10", "01")
		for range r.IntN(4) {
			text += "." + pick("0", "1", "2", "10", "00", "01")
		}
		if r.IntN(2) == 0 {
			text += pick("", ".", "-", "_") + pick("a", "b", "c", "rc", "alpha", "Beta", "pre", "PREVIEW") + pick("", ".", "-", "_") + number()
		}
		if r.IntN(2) == 0 {
			text += pick("", ".", "-", "_") + pick("post", "rev", "r", "Post") + pick("", ".", "-", "_") + number()
		} else if r.IntN(4) == 0 {
			text += "-" + pick("0", "1", "10")
		}
		if r.IntN(3) == 0 {
			text += pick("", ".", "-", "_") + pick("dev", "DEV") + pick("", ".", "-", "_") + number()
		}
		if r.IntN(3) == 0 {
			text += "+" + pick("cpu", "cu118", "1", "10", "01", "CPU") + pick("", ".1", "-a", "_2", ".b.3")
		}
		if r.IntN(4) == 0 { // and something wrong with it, perhaps
			at := r.IntN(len(text) + 1)
			text = text[:at] + pick(".", "-", "_", "!", "+", "a", "x", " ", "..", "1", "é", "~", "v", "*") + text[at:]
		}
		return text
	}
	valid, invalid := 0, 0
	for range 30_000 {
		a, b := version(), version()
		ka, okA := keyOf(a)
		kb, okB := keyOf(b)
		va, errA := pep440.Parse(a)
		vb, errB := pep440.Parse(b)
		if okA != (errA == nil) || okB != (errB == nil) {
			t.Fatalf("%q is a version: %v (%v); %q: %v (%v)", a, okA, errA, b, okB, errB)
		}
		if !okA || !okB {
			invalid++
			continue
		}
		valid++
		if got, want := sign(va.Compare(vb)), sign(ka.compare(kb)); got != want {
			t.Fatalf("%s against %s: %d, want %d", a, b, got, want)
		}
	}
	if valid < 10_000 || invalid < 5_000 {
		t.Errorf("%d pairs were compared and %d refused", valid, invalid)
	}
}
