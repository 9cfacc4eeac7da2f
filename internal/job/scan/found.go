package scan

import (
	"io"
	"io/fs"
	"path"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/format/conda"
	"github.com/seed-161fc314/assay/internal/format/notebook"
	"github.com/seed-161fc314/assay/internal/format/pydist"
)

// isEnvironment and isNotebook leave out what packages ship: nobody installs by
// it.
func isEnvironment(name string) bool {
	return conda.IsEnvironment(path.Base(name)) && !isInstalled(name)
}

func isNotebook(name string) bool { return notebook.Reads(path.Base(name)) && !isInstalled(name) }

// What follows reads files that show a package to be there, into the inventory.

func condaMeta(file fs.File, where component.Location, inventory *component.Inventory) error {
	list, err := conda.ReadMeta(file, where.Path)
	inventory.Components = append(inventory.Components, list...)
	return err
}

func archive(file fs.File, where component.Location, inventory *component.Inventory) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	var contents pydist.Contents
	if random, ok := file.(io.ReaderAt); ok {
		contents, err = pydist.ReadArchive(random, info.Size(), where)
	} else {
		contents = pydist.NamedArchive(where)
	}
	inventory.Components = append(inventory.Components, contents.Components...)
	inventory.Unresolved = append(inventory.Unresolved, contents.Unresolved...)
	return err
}

func origin(file fs.File, where component.Location, inventory *component.Inventory) error {
	record, found, err := pydist.Origin(file, where)
	if found {
		inventory.Unresolved = append(inventory.Unresolved, record)
	}
	return err
}

func link(file fs.File, where component.Location, inventory *component.Inventory) error {
	record, err := pydist.Link(file, where)
	if err == nil {
		inventory.Unresolved = append(inventory.Unresolved, record)
	}
	return err
}
