package osv

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/seed-161fc314/assay/internal/domain/limit"
)

// Change is a line of an export's modified_id.csv
// (https://google.github.io/osv.dev/data/): when a record changed last.
type Change struct {
	ID       string
	Modified time.Time // UTC
}

// Changes are the lines in the file's order.
type Changes struct {
	List []Change
	// Newest first is how they should be. Ordered is false where they are not,
	// so that no line says that all later ones are older.
	Ordered bool
}

// Since lists what changed at a time or later. complete is false where the
// list does not reach back to the time, or is in no order.
func (c Changes) Since(at time.Time) (list []Change, complete bool) {
	for _, change := range c.List {
		if change.Modified.Before(at) {
			complete = true
			continue
		}
		list = append(list, change)
		complete = complete || change.Modified.Equal(at)
	}
	return list, complete && c.Ordered
}

// DecodeChanges reads modified_id.csv: "time,id" or "time,ecosystem/id" on
// each line. Errors start with where and name the line. An id that would lead
// out of a directory is an error.
func DecodeChanges(r io.Reader, where string) (Changes, error) {
	content, err := limit.ReadAll(r, where, limit.ExportChanges)
	if err != nil {
		return Changes{}, err
	}
	lines := bufio.NewScanner(bytes.NewReader(content))
	lines.Buffer(nil, 4096)
	c := Changes{Ordered: true}
	for number := 1; lines.Scan(); number++ {
		at, id, found := strings.Cut(strings.TrimSuffix(lines.Text(), "\r"), ",")
		modified, err := time.Parse(time.RFC3339, at)
		if i := strings.LastIndexByte(id, '/'); i >= 0 {
			id = id[i+1:]
		}
		if !found || err != nil || !validID(id) || strings.ContainsAny(id, `,\`) || strings.Trim(id, ".") == "" {
			return Changes{}, fmt.Errorf("%s:%d: %.100q: want a time and an advisory's id", where, number, lines.Text())
		}
		if len(c.List) > 0 && modified.After(c.List[len(c.List)-1].Modified) {
			c.Ordered = false
		}
		if len(c.List) >= limit.ArchiveFiles {
			return Changes{}, &limit.Error{What: where, Bound: limit.ArchiveFiles, Unit: "lines"}
		}
		c.List = append(c.List, Change{ID: id, Modified: modified.UTC()})
	}
	if err := lines.Err(); err != nil {
		return Changes{}, fmt.Errorf("%s: %w", where, err)
	}
	return c, nil
}
