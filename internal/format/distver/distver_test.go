package distver_test

import (
	"bufio"
	"cmp"
	"fmt"
	"math/big"
	"math/rand/v2"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/seed-161fc314/assay/internal/format/distver"
)

func pick(r *rand.Rand, list ...string) string { return list[r.IntN(len(list))] }

// debian makes a version that dpkg takes without a word.
func debian(r *rand.Rand) string {
	text := pick(r, "", "", "", "0:", "1:", "10:") + pick(r, "0", "1", "2", "10", "01")
	for range r.IntN(5) {
		text += pick(r, ".", "+", "~", "a", "B", "rc", "~~", "+~", "deb", "-") + pick(r, "", "0", "1", "9", "10", "007", "99999999999999999999")
	}
	if text = strings.TrimRight(text, "-"); r.IntN(2) == 0 {
		text += "-" + pick(r, "0", "1", "1ubuntu2", "2~bpo", "1+b1", "0.1", "10", "1~", "a")
	}
	return text
}

// dpkg itself is asked about every pair, through one shell.
func TestDebianAsDpkgItself(t *testing.T) {
	if _, err := exec.LookPath("dpkg"); err != nil {
		t.Fatal("dpkg is not installed; it is part of every Debian: apt-get install dpkg")
	}
	r := rand.New(rand.NewPCG(12, 1))
	type pair struct{ a, b string }
	pairs := []pair{{"1.0", "1.0-0"}, {"1.0-1", "1.0-1~"}, {"1.0", "1.0~"}, {"1.0a", "1.0+"}, {"0:1", "1"}, {"1", "01"}, {"1.", "1.0"}, {"1-1-1", "1-1-2"}}
	for range 300 {
		a := debian(r)
		b := debian(r)
		if r.IntN(2) == 0 { // close to a
			b = a + pick(r, "", "~", "0", ".0", "+", "a", "-0", "-1")
		}
		pairs = append(pairs, pair{a, b})
	}
	shell := exec.Command("sh", "-c", `while read -r a b; do if dpkg --compare-versions "$a" lt "$b"; then echo -1; elif dpkg --compare-versions "$a" gt "$b"; then echo 1; elif dpkg --compare-versions "$a" eq "$b"; then echo 0; else echo failed; fi; done`)
	input := &strings.Builder{}
	for _, p := range pairs {
		fmt.Fprintln(input, p.a, p.b)
	}
	shell.Stdin = strings.NewReader(input.String())
	answers, err := shell.Output()
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(strings.NewReader(string(answers)))
	for _, p := range pairs {
		if !lines.Scan() {
			t.Fatal("dpkg gave too few answers")
		}
		got, ok := distver.Debian(p.a, p.b)
		if !ok || fmt.Sprint(got) != lines.Text() {
			t.Errorf("%s against %s: %d, %v; dpkg says %s", p.a, p.b, got, ok, lines.Text())
		}
		if back, _ := distver.Debian(p.b, p.a); back != -got {
			t.Errorf("%s against %s is %d, and turned round %d", p.a, p.b, got, back)
		}
	}
	for _, bad := range []string{"a:1", ":1", "-1:1", "1.0:1"} {
		if _, ok := distver.Debian(bad, "1"); ok {
			t.Errorf("%q has an order", bad)
		}
	}
}

// The rules of apk-package(5) once more, by brute force: a version is a list of
// weights, and every list ends with the weight of an end.
var apkShape = regexp.MustCompile(`^(\d+)((?:\.\d+)*)([a-z]?)((?:_(?:alpha|beta|pre|rc|cvs|svn|git|hg|p)\d*)*)(~[0-9a-f]+)?(-r\d+)?$`)

type weight struct {
	kind int // how much going on with it is worth
	n    *big.Int
	text string // compared instead of n where both have one
}

func apkWeights(t *testing.T, version string) []weight {
	t.Helper()
	m := apkShape.FindStringSubmatch(version)
	if m == nil {
		t.Fatalf("%q is no version", version)
	}
	number := func(text string) *big.Int {
		n, _ := new(big.Int).SetString("0"+text, 10)
		return n
	}
	list := []weight{{kind: 90, n: number(m[1])}}
	for _, part := range strings.Split(m[2], ".")[1:] {
		list = append(list, weight{kind: 80, n: number(part), text: part})
	}
	if m[3] != "" {
		list = append(list, weight{kind: 70, n: big.NewInt(int64(m[3][0]))})
	}
	for _, part := range strings.Split(m[4], "_")[1:] {
		word := strings.TrimRight(part, "0123456789")
		place := map[string]int{"alpha": 0, "beta": 1, "pre": 2, "rc": 3, "cvs": 5, "svn": 6, "git": 7, "hg": 8, "p": 9}[word]
		kind := 60
		if place < 4 {
			kind = 1 // less than the end
		}
		list = append(list, weight{kind: kind, n: big.NewInt(int64(place))})
		if word != part {
			list = append(list, weight{kind: 50, n: number(part[len(word):])})
		}
	}
	if m[5] != "" {
		list = append(list, weight{kind: 40, n: new(big.Int), text: m[5]})
	}
	if m[6] != "" {
		list = append(list, weight{kind: 30, n: number(m[6][2:])})
	}
	return append(list, weight{kind: 10, n: new(big.Int)})
}

func apkOracle(a, b []weight) int {
	for i := 0; ; i++ {
		x, y := a[i], b[i]
		if suffix := func(w weight) bool { return w.kind == 60 || w.kind == 1 }; suffix(x) && suffix(y) {
			if c := x.n.Cmp(y.n); c != 0 {
				return c
			}
			continue
		}
		if x.kind != y.kind {
			return cmp.Compare(x.kind, y.kind)
		}
		if x.kind == 10 {
			return 0
		}
		c := x.n.Cmp(y.n)
		if x.kind == 40 || x.kind == 80 && (x.text[0] == '0' || y.text[0] == '0') {
			c = strings.Compare(x.text, y.text)
		}
		if c != 0 {
			return c
		}
	}
}

func apkVersion(r *rand.Rand) string {
	text := pick(r, "0", "1", "2", "10", "01")
	for range r.IntN(4) {
		text += "." + pick(r, "0", "1", "2", "10", "01", "015", "99999999999999999999")
	}
	text += pick(r, "", "", "", "a", "b", "z")
	for range max(0, r.IntN(5)-2) {
		text += "_" + pick(r, "alpha", "beta", "pre", "rc", "cvs", "svn", "git", "hg", "p") + pick(r, "", "0", "1", "2", "10", "20240101")
	}
	return text + pick(r, "", "", "", "", "~abc", "~0def") + pick(r, "", "-r0", "-r1", "-r10", "-r2")
}

func TestAPKByItsRules(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 20))
	for range 40_000 {
		a, b := apkVersion(r), apkVersion(r)
		got, ok := distver.APK(a, b)
		if want := apkOracle(apkWeights(t, a), apkWeights(t, b)); !ok || got != want {
			t.Fatalf("%s against %s: %d, %v; want %d", a, b, got, ok, want)
		}
	}
	// In words: each before the next.
	ordered := strings.Fields("1_alpha 1_alpha1 1_beta 1_pre2 1_rc 1 1-r0 1-r1 1_cvs 1_git20200101 1_p 1_p1 1_p1-r1 1a 1a-r1 1.0 1.0.1 1.01 1.015 1.02 1.1 1.2 1.10 2")
	for i := range ordered[1:] {
		if c, ok := distver.APK(ordered[i], ordered[i+1]); !ok || c != -1 {
			t.Errorf("%s against %s: %d, %v; want it before", ordered[i], ordered[i+1], c, ok)
		}
	}
	for _, bad := range []string{"", "a", "1.", "1..2", "1ab", "1_", "1_foo", "1-1", "1-r", "1-r1.2", "1~", "1 ", "1_p-", "1-r1-r1", "1-r1_p", "1a.2"} {
		if _, ok := distver.APK(bad, "1"); ok {
			t.Errorf("%q has an order", bad)
		}
		if _, ok := distver.APK("1", bad); ok {
			t.Errorf("%q has an order", bad)
		}
	}
}

// rpm's rules once more, by brute force: regular expressions cut the segments,
// and the first difference decides.
var rpmSegment = regexp.MustCompile(`~|\^|\d+|[A-Za-z]+`)

func rpmOracle(a, b string) int {
	x, y := rpmSegment.FindAllString(a, -1), rpmSegment.FindAllString(b, -1)
	rank := func(list []string, i int) (int, *big.Int, string) {
		if i >= len(list) {
			return 1, nil, "" // the end
		}
		switch s := list[i]; {
		case s == "~":
			return 0, nil, ""
		case s == "^":
			return 2, nil, ""
		case s[0] <= '9':
			n, _ := new(big.Int).SetString(s, 10)
			return 4, n, ""
		default:
			return 3, nil, s
		}
	}
	for i := range max(len(x), len(y)) {
		k, n, s := rank(x, i)
		l, m, u := rank(y, i)
		switch {
		case k != l:
			return cmp.Compare(k, l)
		case k == 4 && n.Cmp(m) != 0:
			return n.Cmp(m)
		case s != u:
			return strings.Compare(s, u)
		}
	}
	return 0
}

func TestRPMByItsRules(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 18))
	part := func() string {
		text := pick(r, "0", "1", "2", "10", "007", "a", "rc", "", "99999999999999999999")
		for range r.IntN(5) {
			text += pick(r, ".", "_", "+", "~", "^", "", "..", "~~", "^^") + pick(r, "", "0", "1", "2", "10", "01", "a", "b", "el9", "A")
		}
		return text
	}
	for range 40_000 {
		a, b := part(), part()
		if strings.Contains(a+b, "-") {
			continue
		}
		if got, want := distver.RPM(a, b), rpmOracle(a, b); got != want {
			t.Fatalf("%s against %s: %d, want %d", a, b, got, want)
		}
		epochA, epochB := r.IntN(3), r.IntN(3)
		released := func(v, release string, epoch int) string {
			if epoch > 0 {
				v = fmt.Sprint(epoch) + ":" + v
			}
			return v + "-" + release
		}
		c, d := part(), part()
		want := cmp.Or(cmp.Compare(epochA, epochB), rpmOracle(a, b), rpmOracle(c, d))
		if got := distver.RPM(released(a, c, epochA), released(b, d, epochB)); got != want {
			t.Fatalf("%s against %s: %d, want %d", released(a, c, epochA), released(b, d, epochB), got, want)
		}
	}
	ordered := strings.Fields("1.0~rc1 1.0~rc1^git1 1.0 1.0-0 1.0-1~x 1.0-1 1.0-1^x 1.0-1.a 1.0-1.1 1.0^ 1.0^git1 1.0^git2 1.0a 1.0.0 1.1 1.10 1:0.1 2:0")
	for i := range ordered[1:] {
		if c := distver.RPM(ordered[i], ordered[i+1]); c != -1 {
			t.Errorf("%s against %s: %d, want it before", ordered[i], ordered[i+1], c)
		}
		if c := distver.RPM(ordered[i+1], ordered[i]); c != 1 {
			t.Errorf("%s against %s: %d, want it after", ordered[i+1], ordered[i], c)
		}
	}
	for _, same := range [][2]string{{"1.0", "1_0"}, {"0:1", "1"}, {"1.0", "1.00"}, {"1.0.", "1.0"}, {"", ""}, {"1.0-", "1.0-."}} {
		if c := distver.RPM(same[0], same[1]); c != 0 {
			t.Errorf("%q against %q: %d, want the same", same[0], same[1], c)
		}
	}
}

func FuzzOrder(f *testing.F) {
	f.Add("1.0~rc1-1", "1:1.0^git-2.el9", "1.0_p1-r0")
	f.Add("", "0", "-")
	f.Add("1-1~", "1-1", "01")
	f.Fuzz(func(t *testing.T, a, b, c string) {
		always := func(x, y string) (int, bool) { return distver.RPM(x, y), true }
		for name, order := range map[string]func(x, y string) (int, bool){"Debian": distver.Debian, "APK": distver.APK, "RPM": always} {
			ab, ok := order(a, b)
			ba, okBack := order(b, a)
			if ok != okBack || ab != -ba {
				t.Fatalf("%s: %q against %q is %d, %v, and turned round %d, %v", name, a, b, ab, ok, ba, okBack)
			}
			if self, valid := order(a, a); valid && self != 0 {
				t.Fatalf("%s: %q is not itself", name, a)
			}
			bc, ok2 := order(b, c)
			ac, ok3 := order(a, c)
			// apk's numbers with a leading zero are no total order.
			if name != "APK" && ok && ok2 && ok3 && ab <= 0 && bc <= 0 && ac > 0 {
				t.Fatalf("%s: %q, %q, %q have no order", name, a, b, c)
			}
		}
	})
}
