// Package junit reads test reports in JUnit's XML format, and writes scans as such.
//
// Entry points are [Read] and [Write]. The format has no standard; read is what pytest
// --junitxml, Ant, Maven Surefire and gotestsum write: a <testsuites> or a
// <testsuite> root, suites in suites, and <testcase> with at most one outcome
// among <failure>, <error> and <skipped>. Both a failure and an error make a
// test failed, whatever else stands beside them.
//
// The counts that a suite states in its attributes are held against the test
// cases: a suite that states tests, failures or errors and shows none is
// refused, so that a cut report never reads as a good one. The package does
// not follow DTDs or external entities.
package junit

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/seed-161fc314/assay/internal/domain/limit"
)

// Report is the outcome of every test, by name, in the order of the file. A
// name is "classname.name", or the name alone where there is no class; names
// repeat where the file repeats them.
type Report struct {
	Passed  []string
	Failed  []string
	Errored []string
	Skipped []string
}

// Count is how many tests there are.
func (r Report) Count() int {
	return len(r.Passed) + len(r.Failed) + len(r.Errored) + len(r.Skipped)
}

// depth bounds suites within suites.
const depth = 64

// Read reads one report of at most limit.TestReport bytes. where names the
// file in errors. Another root element, a test without a name, text after the
// root and malformed XML are errors; a report without tests is not, and gives
// an empty Report.
func Read(r io.Reader, where string) (Report, error) {
	content, err := limit.ReadAll(r, where, limit.TestReport)
	if err != nil {
		return Report{}, err
	}
	// A report in another encoding than UTF-8 is refused by the decoder.
	p := parser{decoder: xml.NewDecoder(bytes.NewReader(bytes.TrimPrefix(content, []byte("\xef\xbb\xbf"))))}
	if err := p.document(); err != nil {
		line, column := p.decoder.InputPos()
		return Report{}, fmt.Errorf("%s:%d:%d: reading a JUnit report: %w", where, line, column, err)
	}
	return p.report, nil
}

type parser struct {
	decoder *xml.Decoder
	report  Report
}

func (p *parser) document() error {
	rooted := false
	for {
		token, err := p.decoder.Token()
		if errors.Is(err, io.EOF) {
			if !rooted {
				return errors.New("the file has no element; want <testsuites> or <testsuite>")
			}
			return nil
		}
		if err != nil {
			return err
		}
		switch token := token.(type) {
		case xml.StartElement:
			if rooted {
				return fmt.Errorf("<%s> follows the root element", token.Name.Local)
			}
			rooted = true
			if name := token.Name.Local; name != "testsuites" && name != "testsuite" {
				return fmt.Errorf("the root is <%s>; want <testsuites> or <testsuite>", name)
			}
			if err := p.suite(token, 0); err != nil {
				return err
			}
		case xml.CharData:
			if len(bytes.TrimSpace(token)) > 0 {
				return errors.New("text outside the root element")
			}
		}
	}
}

// suite reads to the end of a suite whose start was read.
func (p *parser) suite(start xml.StartElement, level int) error {
	if level > depth {
		return fmt.Errorf("suites nest deeper than %d", depth)
	}
	tests, failed := p.report.Count(), len(p.report.Failed)+len(p.report.Errored)
	for {
		token, err := p.decoder.Token()
		if err != nil {
			return err
		}
		switch token := token.(type) {
		case xml.EndElement:
			return stated(start, p.report.Count()-tests, len(p.report.Failed)+len(p.report.Errored)-failed)
		case xml.StartElement:
			switch token.Name.Local {
			case "testsuite":
				err = p.suite(token, level+1)
			case "testcase":
				err = p.test(token)
			default: // properties, system-out, system-err
				err = p.decoder.Skip()
			}
			if err != nil {
				return err
			}
		}
	}
}

// stated holds what a suite says of itself against its test cases. The counts
// need not be equal, because subtests count without a test case of their own;
// but a failure that no test case shows would be lost.
func stated(start xml.StartElement, tests, failed int) error {
	for _, key := range []string{"tests", "failures", "errors"} {
		text := attribute(start, key)
		if text == "" {
			continue
		}
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 {
			return fmt.Errorf("<%s %s=%q>: want a count", start.Name.Local, key, text)
		}
		shown := failed
		if key == "tests" {
			shown = tests
		}
		if n > 0 && shown == 0 {
			return fmt.Errorf("<%s> states %s=%d, and none of its test cases shows one", start.Name.Local, key, n)
		}
	}
	return nil
}

func attribute(e xml.StartElement, key string) string {
	for _, a := range e.Attr {
		if a.Name.Local == key {
			return strings.TrimSpace(a.Value)
		}
	}
	return ""
}

// test reads to the end of a test case whose start was read.
func (p *parser) test(start xml.StartElement) error {
	name := attribute(start, "name")
	if name == "" {
		return errors.New("a <testcase> has no name")
	}
	if class := attribute(start, "classname"); class != "" {
		name = class + "." + name
	}
	var failed, errored, skipped bool
	for {
		token, err := p.decoder.Token()
		if err != nil {
			return err
		}
		switch token := token.(type) {
		case xml.EndElement:
			switch {
			case errored:
				p.report.Errored = append(p.report.Errored, name)
			case failed:
				p.report.Failed = append(p.report.Failed, name)
			case skipped:
				p.report.Skipped = append(p.report.Skipped, name)
			default:
				p.report.Passed = append(p.report.Passed, name)
			}
			return nil
		case xml.StartElement:
			switch token.Name.Local {
			case "failure":
				failed = true
			case "error":
				errored = true
			case "skipped":
				skipped = true
			case "testcase", "testsuite":
				return fmt.Errorf("<%s> stands inside the test case %q", token.Name.Local, name)
			}
			if err := p.decoder.Skip(); err != nil {
				return err
			}
		}
	}
}
