package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// scan measures against osv-scanner (extract and match 300 pins), Trivy's own
// extraction (a docker archive, an OCI layout) and gzip.
func (b *bench) scan() error {
	pins, err := b.pins()
	if err != nil {
		return err
	}
	start, err := b.samples([]string{b.assay, "version"})
	if err != nil {
		return err
	}
	fmt.Printf("assay version: %s, %.1f MiB; memory below is whole processes, that of `assay version` included\n\n",
		start.wall.Round(100*time.Microsecond), float64(start.memory)/(1<<20))
	if err := b.table("osv-scanner", []contest{pins}); err != nil {
		return err
	}
	small, large := filepath.Join(b.dir, "small.tar"), filepath.Join(b.dir, "large.tar")
	layout := filepath.Join(b.dir, "layout")
	if err := errors.Join(writeArchive(small, 8), writeArchive(large, 24), writeLayout(layout, 8)); err != nil {
		return err
	}
	trivy := filepath.Join(b.peers, "trivy-extract")
	if err := b.table("trivy", []contest{
		{name: "packages of a docker archive, 0.6 GB", assay: []string{b.assay, "sbom", "docker-archive:" + small}, peer: []string{trivy, small}},
		{name: "packages of a docker archive, 1.6 GB", assay: []string{b.assay, "sbom", "docker-archive:" + large}, peer: []string{trivy, large}},
		{name: "packages of an OCI layout, gzip, 0.6 GB", assay: []string{b.assay, "sbom", "oci:" + layout}, peer: []string{trivy, layout}},
	}); err != nil {
		return err
	}
	blobs, err := filepath.Glob(filepath.Join(layout, "blobs", "sha256", "*"))
	if err != nil {
		return err
	}
	var layers []string
	for _, blob := range blobs {
		if info, err := os.Stat(blob); err == nil && info.Size() > 1<<16 {
			layers = append(layers, blob)
		}
	}
	return b.table("gzip", []contest{{name: "the same layout, gzip -dc of every layer", assay: []string{b.assay, "sbom", "oci:" + layout},
		peer: slices.Concat([]string{"sh", "-c", `exec gzip -dc "$@" > /dev/null`, "gzip"}, layers)}})
}

// pins prepares 300 pins and the same advisories for both.
func (b *bench) pins() (contest, error) {
	export := b.export
	if export == "" {
		export = filepath.Join(b.dir, "all.zip")
		if err := writeExport(export); err != nil {
			return contest{}, err
		}
	}
	offline := filepath.Join(b.dir, "offline")
	if err := errors.Join(os.MkdirAll(filepath.Join(offline, "osv-scalibr", "PyPI"), 0o700), link(export, filepath.Join(offline, "osv-scalibr", "PyPI", "all.zip"))); err != nil {
		return contest{}, err
	}
	b.env = append(b.env, "OSV_SCALIBR_LOCAL_DB_CACHE_DIRECTORY="+offline)
	requirements := filepath.Join(b.dir, "requirements.txt")
	if err := writePins(requirements, export, 300); err != nil {
		return contest{}, err
	}
	if _, err := b.once([]string{b.assay, "db", "import", export, "--ecosystem", "PyPI", "--db", "db"}); err != nil {
		return contest{}, err
	}
	return contest{name: "300 pins, extract and match", codes: []int{1},
		assay: []string{b.assay, "scan", "requirements.txt", "--db", "db", "-o", "json", "--output", "assay.json"},
		peer:  []string{filepath.Join(b.peers, "osv-scanner"), "scan", "source", "--offline", "--format", "json", "--output-file", "osv.json", "-L", "requirements.txt"}}, nil
}

// samples are the medians of one command.
func (b *bench) samples(arguments []string) (sample, error) {
	var all []sample
	for range b.runs {
		one, err := b.once(arguments)
		if err != nil {
			return sample{}, err
		}
		all = append(all, one)
	}
	return median(all), nil
}
