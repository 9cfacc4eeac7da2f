package sbom

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/domain/finding"
	"github.com/seed-161fc314/assay/internal/domain/subject"
)

// Component is the JSON of what formats have no fields for: of a component all
// but its hashes and dependencies, and where located says that the format has a
// field for them, its locations. Licences are there where an expression takes
// their field.
func Component(c component.Component, located bool) (string, error) {
	c.Hashes, c.DependsOn = nil, nil
	if located {
		c.Locations = nil
	}
	if c.Expression == "" && located {
		c.Licenses = nil
	}
	return members(c)
}

// members is an object as JSON in one line, without what is null in it.
func members(value any) (string, error) {
	text, err := Compact(value)
	if err != nil {
		return "", err
	}
	var list map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		return "", err
	}
	maps.DeleteFunc(list, func(_ string, value json.RawMessage) bool { return string(value) == "null" })
	return Compact(list)
}

// Inventory is the JSON of what an inventory holds besides its components,
// unresolved records and operating system; "" where that is nothing.
func Inventory(i component.Inventory) (string, error) {
	i.Components, i.Unresolved, i.OperatingSystem = nil, nil, nil
	text, err := members(i)
	if text == "{}" {
		return "", err
	}
	return text, err
}

// image is what a document says of an image. The configuration as a whole is
// nobody's business: it holds the environment.
type image struct {
	ConfigDigest subject.Digest   `json:"configDigest"`
	DiffIDs      []subject.Digest `json:"diffIDs"`
	BaseLayers   int              `json:"baseLayers,omitempty"`
	Base         string           `json:"base,omitempty"`
	Platform     string           `json:"platform"`
	Created      time.Time        `json:"created,omitzero"`
}

// Image is the JSON of an image's layers, and which of them are its base.
func Image(i finding.Image) (string, error) {
	return Compact(image{ConfigDigest: i.ConfigDigest, DiffIDs: i.DiffIDs, BaseLayers: i.BaseLayers, Base: i.Base, Platform: i.Platform, Created: i.Created})
}

// ReadImage reads what Image wrote.
func ReadImage(text string) (*finding.Image, error) {
	var i image
	if err := json.Unmarshal([]byte(text), &i); err != nil {
		return nil, fmt.Errorf("%s: %w", PropertyImage, err)
	}
	return &finding.Image{ConfigDigest: i.ConfigDigest, DiffIDs: i.DiffIDs, BaseLayers: i.BaseLayers, Base: i.Base, Platform: i.Platform, Created: i.Created}, nil
}

// ReadSystem is an operating system: what Assay wrote of it, as JSON, where that
// names the same one as the document's own fields, else these.
func ReadSystem(ours string, stated component.OperatingSystem) (component.OperatingSystem, error) {
	stated.ID = strings.ToLower(stated.ID)
	if ours == "" {
		return stated, nil
	}
	var os component.OperatingSystem
	if err := json.Unmarshal([]byte(ours), &os); err != nil {
		return os, fmt.Errorf("%s: %w", PropertySystem, err)
	}
	if os.ID != stated.ID || os.VersionID != stated.VersionID {
		return os, fmt.Errorf("it is called %s %s, and %s says %s %s", stated.ID, stated.VersionID, PropertySystem, os.ID, os.VersionID)
	}
	return os, nil
}

// ReadComponent reads what Component wrote; nil for no text.
func ReadComponent(text string) (*component.Component, error) {
	if text == "" {
		return nil, nil
	}
	var c component.Component
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		return nil, fmt.Errorf("%s: %w", PropertyComponent, err)
	}
	c.Hashes, c.DependsOn = nil, nil // these stand in the format's own fields
	return &c, nil
}
