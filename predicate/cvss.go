package predicate

import (
	"math"
	"strings"
)

// weights are the numbers of CVSS v3.1, section 7.4; v3.0 has the same.
var weights = map[string]float64{
	"AV:N": 0.85, "AV:A": 0.62, "AV:L": 0.55, "AV:P": 0.2, "AC:L": 0.77, "AC:H": 0.44, "UI:N": 0.85, "UI:R": 0.62,
	"PR:N": 0.85, "PR:L": 0.62, "PR:H": 0.27, "C:H": 0.56, "C:L": 0.22, "C:N": 0, "I:H": 0.56, "I:L": 0.22, "I:N": 0, "A:H": 0.56, "A:L": 0.22, "A:N": 0,
}

// scoreOfVector is the base score of a CVSS v3 vector (specification, section
// 7.1), 0 for anything else. Temporal and environmental metrics are left out.
func scoreOfVector(text string) float64 {
	metrics := strings.Split(strings.TrimSpace(text), "/")
	if metrics[0] != "CVSS:3.0" && metrics[0] != "CVSS:3.1" {
		return 0
	}
	value := map[string]float64{}
	changed, scoped := false, false
	for _, metric := range metrics[1:] {
		name, letter, _ := strings.Cut(metric, ":")
		if name == "S" {
			changed, scoped = letter == "C", letter == "C" || letter == "U"
		}
		if weight, known := weights[metric]; known {
			value[name] = weight
		}
	}
	for _, name := range []string{"AV", "AC", "PR", "UI", "C", "I", "A"} {
		if _, found := value[name]; !found {
			return 0
		}
	}
	if !scoped {
		return 0
	}
	if changed {
		switch value["PR"] {
		case weights["PR:L"]:
			value["PR"] = 0.68
		case weights["PR:H"]:
			value["PR"] = 0.5
		}
	}
	base := 1 - (1-value["C"])*(1-value["I"])*(1-value["A"])
	impact := 6.42 * base
	if changed {
		impact = 7.52*(base-0.029) - 3.25*math.Pow(base-0.02, 15)
	}
	if impact <= 0 {
		return 0
	}
	score := impact + 8.22*value["AV"]*value["AC"]*value["PR"]*value["UI"]
	if changed {
		score *= 1.08
	}
	return roundUp(min(score, 10))
}

// roundUp is Roundup of appendix A: to the next tenth, without being led
// astray by floating point.
func roundUp(score float64) float64 {
	n := int(math.Round(score * 100000))
	if n%10000 == 0 {
		return float64(n) / 100000
	}
	return float64(n/10000+1) / 10
}
