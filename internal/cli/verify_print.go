package cli

import (
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/seed-161fc314/assay/internal/domain/identity"
	"github.com/seed-161fc314/assay/internal/domain/verdict"
	"github.com/seed-161fc314/assay/internal/engine/trust"
	"github.com/seed-161fc314/assay/internal/format/explain"
	"github.com/seed-161fc314/assay/internal/job/verify"
	"github.com/seed-161fc314/assay/predicate"
)

// shown is how many pieces of evidence that do not count one denial tells of.
const shown = 8

// labelled is a line of words behind a label, folded at a terminal's width. A
// digest behind it ends at column 80.
func (h *Host) labelled(label, text string) string {
	width := 0
	if h.OutTerminal {
		width = h.Width
	}
	return explain.Wrap(fmt.Sprintf("    %-4s ", label), strings.Repeat(" ", 9), text, width)
}

// verified prints what holds, and exactly what was checked.
func (r *verifyReport) verified(result verify.Result) error {
	var b strings.Builder
	fmt.Fprintf(&b, "VERIFIED  %s\n", clean(subjectName(result)))
	for _, part := range result.Parts {
		if part.Name != "" {
			fmt.Fprintf(&b, "  %s\n", clean(part.Name))
		}
		if part.Name != "" || result.Pinned == "" {
			b.WriteString(r.host.labelled("is", part.Digest.String()))
		}
		if r.flags.threshold > 1 {
			fmt.Fprintf(&b, "  signed by %d different signers, of %d demanded\n", part.Signers, r.flags.threshold)
		}
		for _, claim := range part.Claims {
			r.claim(&b, claim)
		}
	}
	_, err := io.WriteString(r.host.Out, b.String())
	return err
}

func subjectName(result verify.Result) string {
	if result.Pinned != "" {
		return result.Pinned
	}
	return result.Reference
}

// claim prints one claim: who signed what, where it is, and what vouches for it.
func (r *verifyReport) claim(b *strings.Builder, claim trust.Claim) {
	fmt.Fprintf(b, "  %s\n", clean(kindOf(claim.Type())))
	line := func(label, text string) {
		if text != "" {
			b.WriteString(r.host.labelled(label, text))
		}
	}
	if certificate := claim.Certificate(); certificate.IsZero() {
		line("by", claim.Signer())
		line("key", claim.Key().String())
	} else {
		line("by", certificate.Subject)
		line("from", certificate.Issuer)
		line("ext", pairs(certificate.Extensions))
	}
	line("in", claim.Evidence().Source)
	line("note", pairs(claim.Annotations()))
	if made, dated := claim.Time(); dated {
		line("date", stampOf(made))
	}
	witnesses := claim.Witnesses()
	for _, log := range witnesses.Logs {
		line("log", logLine(log))
	}
	for _, stamped := range witnesses.Timestamps {
		line("time", fmt.Sprintf("%s by %s", stampOf(stamped.Time), stamped.Authority))
	}
	if witnesses.SCTs > 0 {
		line("SCT", explain.Count(witnesses.SCTs, "certificate log lists it", "certificate logs list it"))
	}
	done, left := r.checks(claim)
	text := "checked: " + strings.Join(done, ", ")
	if len(left) > 0 {
		text += "; " + strings.Join(left, ", ")
	}
	b.WriteString(explain.Wrap("    ", "    ", text, r.width()))
}

func (r *verifyReport) width() int {
	if !r.host.OutTerminal {
		return 0
	}
	return r.host.Width
}

func kindOf(uri string) string {
	switch uri {
	case predicate.TypeCosignSign:
		return "image signature"
	case trust.TypeMessage:
		return "signature over the file"
	}
	return "attestation " + uri
}

func logLine(log trust.LogEntry) string {
	text := fmt.Sprintf("%s entry %d", log.Authority, log.Index)
	if !log.Time.IsZero() {
		text += " at " + stampOf(log.Time)
	}
	return text
}

func stampOf(at time.Time) string { return at.UTC().Format(time.RFC3339) }

func pairs(values map[string]string) string {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(values)) {
		list = append(list, name+"="+values[name])
	}
	return strings.Join(list, ", ")
}

// checks says what was checked of a claim, and what was not. It goes by what
// the claim shows was verified, never by what was asked for.
func (r *verifyReport) checks(claim trust.Claim) (done, left []string) {
	keyless := !claim.Certificate().IsZero()
	by := claim.Signer()
	if keyless {
		by = "the certificate's key"
	}
	done = append(done, "the signature by "+by, "the digest", "the type")
	if len(r.flags.annotations) > 0 {
		done = append(done, "the annotations")
	}
	if keyless {
		done = append(done, "the certificate's identity and its chain to "+r.rootName())
	}
	witnesses := claim.Witnesses()
	if n := len(witnesses.Logs); n > 0 {
		done = append(done, "the log's signed entry")
	} else {
		left = append(left, "no transparency log was asked")
	}
	if len(witnesses.Timestamps) > 0 {
		done = append(done, "the timestamp")
	} else if len(witnesses.Logs) == 0 {
		left = append(left, "no trusted time is known")
	}
	if keyless && witnesses.SCTs > 0 {
		done = append(done, "the SCT")
	} else if keyless {
		left = append(left, "no SCT was checked")
	}
	return done, left
}

func (r *verifyReport) rootName() string { return r.flags.root }

// denial prints why a result is none: what was expected, what was found, the
// near misses, and what would fix it.
func (r *verifyReport) denial(result verify.Result) error {
	var b strings.Builder
	line := func(label, text string) {
		b.WriteString(explain.Wrap(fmt.Sprintf("  %-9s ", label), strings.Repeat(" ", 12), text, r.width()))
	}
	b.WriteString(explain.Wrap("NOT VERIFIED  ", "  ", subjectName(result), r.width()))
	for _, part := range result.Parts {
		if part.Decision == verdict.Allow {
			line(part.Name, "holds")
			continue
		}
		if part.Name != "" {
			line("manifest", part.Name)
		}
		line("digest", part.Digest.String())
		line("expected", r.expected())
		line("found", r.found(part))
		for i, other := range part.Others {
			if i == shown {
				line("", explain.Count(len(part.Others)-shown, "more piece", "more pieces")+" like that")
				break
			}
			line("evidence", explain.Evidence(other.Claim.Evidence())+" does not count: "+other.Why)
		}
		for i, rejection := range part.Rejections {
			if i == shown {
				line("", explain.Count(len(part.Rejections)-shown, "more piece does", "more pieces do")+" not count")
				break
			}
			line("evidence", explain.Evidence(rejection.Evidence))
		}
		for _, stranger := range part.Strangers {
			if differs := r.named(stranger.Certificate()); differs != "" {
				line("signed by", spelled(stranger.Certificate())+", truly, whom you named, but "+differs)
				continue
			}
			line("signed by", spelled(stranger.Certificate())+", truly, and is not among those named"+r.partial(stranger.Certificate()))
		}
		line("fix", r.remedy(result, part))
	}
	_, err := io.WriteString(r.host.Err, b.String())
	return err
}

// partial says that an expression matches a part of a name, where people who
// know tools that take that for a match expect one.
func (r *verifyReport) partial(who identity.Certificate) string {
	for _, s := range append(slices.Clone(r.flags.subjects), r.flags.issuers...) {
		if !s.expression {
			continue
		}
		expression, err := regexp.Compile(s.text)
		if err == nil && (expression.MatchString(who.Subject) || expression.MatchString(who.Issuer)) {
			return fmt.Sprintf("; %s must match the whole of it: .*%s.* would", s.flag, s.text)
		}
	}
	return ""
}

func spelled(c identity.Certificate) string {
	return fmt.Sprintf("%q of issuer %q", c.Subject, c.Issuer)
}

// expected says what would have counted.
func (r *verifyReport) expected() string {
	var by []string
	for _, signer := range r.signers {
		text := signer.Name
		if len(signer.Keys) > 0 {
			text += fmt.Sprintf(" (%s)", signer.Keys[0].ID)
		}
		if more := len(signer.Keys) - 1; more > 0 {
			text = strings.TrimSuffix(text, ")") + " and " + explain.Count(more, "more key", "more keys") + ")"
		}
		by = append(by, text)
	}
	text := "a " + r.what
	if strings.HasPrefix(r.what, "a") {
		text = "an " + r.what
	}
	if r.flags.threshold > 1 {
		text += fmt.Sprintf(" by %d different signers of", r.flags.threshold)
	} else {
		text += " by"
	}
	text += " " + strings.Join(by, " or ")
	if len(r.flags.annotations) > 0 {
		text += " with " + strings.Join(r.flags.annotations, ", ")
	}
	return text
}

// found says how much there is, and that it is not enough.
func (r *verifyReport) found(part verify.Part) string {
	pieces := explain.Count(part.Pieces, "piece", "pieces") + " of evidence"
	switch {
	case part.Signers > 0:
		return fmt.Sprintf("%s, of %d demanded, among %s", explain.Count(part.Signers, "different signer", "different signers"), r.flags.threshold, pieces)
	case part.Pieces == 0:
		return "none that counts: there is no evidence at all"
	}
	return "none that counts, among " + pieces
}
