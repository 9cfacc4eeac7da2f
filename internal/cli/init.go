package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"github.com/seed-161fc314/assay/internal/format/assayfile"
	"github.com/seed-161fc314/assay/internal/format/cosignkey"
	"github.com/seed-161fc314/assay/internal/job/journey"
	"github.com/seed-161fc314/assay/internal/port/signing/file"
)

func newInit(host *Host) *cobra.Command {
	return &cobra.Command{
		Use: "init [DIR]", Short: "Write assay.yaml, a starter policy and a key pair",
		Long: `Init writes what ` + "`assay run`" + ` needs into DIR (default: here): assay.yaml,
policy.yaml, and the key pair assay.key and assay.pub. It replaces no file.`,
		Example: "  ASSAY_PASSWORD=… assay init workloads/features",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			dir := "."
			if len(args) == 1 {
				dir = args[0]
			}
			return runInit(host, dir)
		},
	}
}

var notInName = regexp.MustCompile(`[^a-z0-9.-]+`)

func runInit(host *Host, dir string) error {
	absolute := host.path(dir)
	info, err := os.Stat(absolute)
	if err != nil || !info.IsDir() {
		return usage("%s is no directory", dir)
	}
	for _, name := range []string{"assay.yaml", "policy.yaml", "assay.key", "assay.pub"} {
		if _, err := os.Stat(filepath.Join(absolute, name)); !errors.Is(err, fs.ErrNotExist) {
			return usage("%s is there already; nothing was written", filepath.Join(dir, name))
		}
	}
	name := strings.Trim(notInName.ReplaceAllString(strings.ToLower(filepath.Base(absolute)), "-"), "-.")
	if name == "" {
		name = "workload"
	}
	requirements := ""
	if _, err := os.Stat(filepath.Join(absolute, "requirements.txt")); err == nil {
		requirements = "requirements.txt"
	}
	journeyFile := starterFile(name, requirements)
	if _, err := assayfile.Decode("assay.yaml", []byte(journeyFile)); err != nil {
		return fmt.Errorf("the starter assay.yaml is wrong, which is a bug: %w", err)
	}
	password, err := host.newPassword()
	if err != nil {
		return err
	}
	private, public, err := cosignkey.Generate(password)
	if err != nil {
		return err
	}
	if _, _, err := file.Write(filepath.Join(absolute, "assay"), private, public); err != nil {
		return err
	}
	for path, content := range map[string]string{"assay.yaml": journeyFile, "policy.yaml": starterPolicy(name)} {
		if err := writeNew(filepath.Join(absolute, path), content); err != nil {
			return err
		}
	}
	fmt.Fprintf(host.Out, `wrote in %s:
  assay.yaml            the journey; read it, and change what is not so
  policy.yaml           what an image must prove before it may run
  assay.key, assay.pub  the key pair; keep assay.key out of version control
next: assay run %s
`, dir, dir)
	if requirements == "" {
		host.warn("there is no requirements.txt; without packages to test, a scan ends with a fault")
	}
	return nil
}

func writeNew(path, content string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	if _, err := f.WriteString(content); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

func starterFile(name, requirements string) string {
	dependencies := "  # requirements: requirements.txt\n  # dependencies: declared # or installed, with wheels: DIR\n"
	if requirements != "" {
		dependencies = "  requirements: requirements.txt\n  # declared: the base image brings the packages. installed: they are unpacked\n  # from the wheels under wheels:, each checked against its --hash.\n  dependencies: declared\n"
	}
	return `# The journey of this workload; run it with ` + "`assay run`" + `. Every field is described in
# docs/assayfile.md.
apiVersion: ` + assayfile.APIVersion + `
kind: ` + assayfile.Kind + `
name: ` + name + `
image: ` + EmbeddedHost + `/` + name + ` # the embedded registry; name your own here
tag: latest

# The built-in sample knows a handful of advisories. For real use import an OSV
# export (assay db import all.zip) and remove this line, and allowSample in
# policy.yaml.
advisories: sample

build:
  builder: layer
  base: scratch # name the Python image that the workload runs on
` + dependencies + `  workdir: /app

# What other tools wrote before the run.
# tests:
#   junit: [reports/junit.xml]
#   coverage: [reports/coverage.xml]

sign:
  key: assay.key # its password comes from ASSAY_PASSWORD

policies: [policy.yaml]

# Where the digest is pinned once the policies allow the image.
# promote:
#   repository: https://git.example.com/deploy.git
#   branch: main
#   kustomize: {path: overlays/production/kustomization.yaml}
`
}

func starterPolicy(name string) string {
	return `# What an image must prove before it may run.
apiVersion: assay.sh/v1alpha1
kind: EvidencePolicy
metadata:
  name: ` + name + `
spec:
  match:
    images: ["*/` + name + `", "*/` + name + `:*", "*/` + name + `@*"]
  # Remove this line once real advisories are imported.
  allowSample: true
  signers:
  - name: ci
    keys:
    - file: assay.pub
  requirements:
  - name: signed
    type: signature
    signers: [ci]
  - name: built-by-us
    type: provenance
    signers: [ci]
    checks:
    - name: builder
      expr: predicate.runDetails.builder.id == "` + journey.DefaultBuilderID + `"
      message: the image must come from the builder that this policy names
  - name: scanned
    type: vuln
    signers: [ci]
    maxAge: 168h
    checks:
    - name: no-critical
      deny: findings.filter(f, f.severity == "CRITICAL")
      message: no critical vulnerability may run
    - name: no-fixable-high
      deny: findings.filter(f, f.severity == "HIGH" && f.fixed != "")
      message: a high vulnerability that a newer version heals must be healed
`
}
