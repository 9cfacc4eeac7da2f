package predicate

import "time"

// Provenance is SLSA provenance v1 (https://slsa.dev/spec/v1.0/provenance).
type Provenance struct {
	BuildDefinition BuildDefinition `json:"buildDefinition"`
	RunDetails      RunDetails      `json:"runDetails"`
}

// BuildDefinition is what was asked for.
type BuildDefinition struct {
	// BuildType is a URI that says how to read the parameters.
	BuildType string `json:"buildType"`
	// ExternalParameters are all that a caller controls, complete.
	ExternalParameters any `json:"externalParameters"`
	// InternalParameters are set by the builder.
	InternalParameters any `json:"internalParameters,omitempty"`
	// ResolvedDependencies are what the build read: commit, base image,
	// lockfiles, wheels.
	ResolvedDependencies []ResourceDescriptor `json:"resolvedDependencies,omitempty"`
}

// RunDetails is who built it and when.
type RunDetails struct {
	Builder    Builder              `json:"builder"`
	Metadata   *BuildMetadata       `json:"metadata,omitempty"`
	Byproducts []ResourceDescriptor `json:"byproducts,omitempty"`
}

// Builder is the trust base that ran the build.
type Builder struct {
	ID      string            `json:"id"`
	Version map[string]string `json:"version,omitempty"`
}

// BuildMetadata is when, and which run.
type BuildMetadata struct {
	InvocationID string    `json:"invocationId,omitempty"`
	StartedOn    time.Time `json:"startedOn,omitzero"`
	FinishedOn   time.Time `json:"finishedOn,omitzero"`
}

// ResourceDescriptor names something by digest (in-toto attestation v1,
// resource_descriptor.md).
type ResourceDescriptor struct {
	Name        string            `json:"name,omitempty"`
	URI         string            `json:"uri,omitempty"`
	Digest      map[string]string `json:"digest,omitempty"`
	MediaType   string            `json:"mediaType,omitempty"`
	Annotations map[string]any    `json:"annotations,omitempty"`
}
