package component

import "strings"

// Distro is the distribution and its release as package URLs name them:
// "debian-12", "alpine-3.20.3", or the ID alone.
func (o OperatingSystem) Distro() string {
	if o.VersionID == "" {
		return o.ID
	}
	return o.ID + "-" + o.VersionID
}

// Ecosystem is the name under which OSV publishes advisories of the
// distribution's packages ("Debian:12", "Alpine:v3.20"), or "" for one that it
// publishes none of. The names are those of "affected[].package field" in the
// OSV schema. Red Hat's and SUSE's advisories have a name for each product and
// stream; for these it is the part that all of a release share, such as
// "Red Hat:enterprise_linux:9".
func (o OperatingSystem) Ecosystem() string {
	major, _, _ := strings.Cut(o.VersionID, ".")
	switch o.ID {
	case "debian":
		if o.VersionID == "" {
			major = debianReleases()[o.Codename]
		}
		return released("Debian", major)
	case "ubuntu":
		return released("Ubuntu", o.VersionID)
	case "alpine":
		return released("Alpine", branch(o.VersionID))
	case "wolfi":
		return "Wolfi"
	case "chainguard":
		return "Chainguard"
	case "minimos":
		return "MinimOS"
	case "alpaquita":
		if o.VersionID == "stream" {
			return "Alpaquita:stream"
		}
		return released("Alpaquita", major)
	case "almalinux":
		return released("AlmaLinux", major)
	case "rocky":
		return released("Rocky Linux", major)
	case "rhel":
		return released("Red Hat", prefixed("enterprise_linux:", major))
	case "mageia":
		return released("Mageia", major)
	case "openeuler":
		return released("openEuler", openEuler(o.PrettyName))
	case "photon":
		return released("Photon OS", o.VersionID)
	case "azurelinux", "mariner":
		return released("Azure Linux", major)
	case "opensuse-leap", "opensuse-tumbleweed", "opensuse-leap-micro":
		return released("openSUSE", after(o.PrettyName, "openSUSE "))
	case "sles", "sled", "sle_hpc", "sles_sap", "sl-micro", "sle-micro":
		return released("SUSE", after(o.PrettyName, "SUSE "))
	}
	return ""
}

// released is an ecosystem with its release. Without a release it is the
// ecosystem alone: its packages are of that distribution still.
func released(ecosystem, release string) string {
	if release == "" {
		return ecosystem
	}
	return ecosystem + ":" + release
}

func prefixed(prefix, text string) string {
	if text == "" {
		return ""
	}
	return prefix + text
}

func after(text, prefix string) string {
	rest, found := strings.CutPrefix(text, prefix)
	if !found {
		return ""
	}
	return strings.TrimSpace(rest)
}

// branch is "v3.20" for Alpine's 3.20.3. Edge has a snapshot's date behind its
// version ("3.21.0_alpha20240807") and no branch.
func branch(version string) string {
	parts := strings.Split(version, ".")
	if len(parts) < 2 || strings.Contains(version, "_alpha") {
		return ""
	}
	return "v" + parts[0] + "." + parts[1]
}

// openEuler turns "openEuler 22.03 (LTS-SP3)" into "22.03-LTS-SP3".
func openEuler(pretty string) string {
	release, kind, found := strings.Cut(after(pretty, "openEuler "), " (")
	if !found {
		return release
	}
	return release + "-" + strings.TrimSuffix(kind, ")")
}

// debianReleases are the numbers of Debian's releases by codename, of those
// whose os-release has no number while they are testing. Unstable has none.
func debianReleases() map[string]string {
	return map[string]string{"bookworm": "12", "trixie": "13", "forky": "14", "duke": "15"}
}

// Base is an ecosystem's name without its release: "Debian" of "Debian:12".
func Base(ecosystem string) string {
	base, _, _ := strings.Cut(ecosystem, ":")
	return base
}
