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
		if major == "" {
			return ""
		}
		if len(major) > 1 { // from 10 on each minor release has its own
			major = o.VersionID
		}
		return "Red Hat:enterprise_linux:" + major
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

// released is an ecosystem with its release. OSV publishes nothing of a
// distribution's packages that are of no release: Debian's unstable, Alpine's
// edge.
func released(ecosystem, release string) string {
	if release == "" {
		return ""
	}
	return ecosystem + ":" + release
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

// debianReleases are the numbers of Debian's releases by codename, for those
// that os-release gives no number while they are testing. Unstable looks like
// the testing of its day there.
func debianReleases() map[string]string {
	return map[string]string{"bookworm": "12", "trixie": "13", "forky": "14", "duke": "15"}
}

// Manager is the package manager of a distribution by its ecosystem: "dpkg",
// "apk", "rpm", or "" for what is no distribution that OSV knows.
func Manager(ecosystem string) string {
	base, _, _ := strings.Cut(ecosystem, ":")
	switch base {
	case "Debian", "Ubuntu":
		return "dpkg"
	case "Alpine", "Alpaquita", "Chainguard", "MinimOS", "Wolfi":
		return "apk"
	case "AlmaLinux", "Azure Linux", "Mageia", "Photon OS", "Red Hat", "Rocky Linux", "SUSE", "openEuler", "openSUSE":
		return "rpm"
	}
	return ""
}

// Repackages says whether a distribution's version is one of an upstream version:
// "1:1.5.3+dfsg-2" and "1.5.3-r0" are of 1.5.3, and 1.5.30-1 is not.
func Repackages(distribution, upstream string) bool {
	if epoch, rest, found := strings.Cut(distribution, ":"); found && strings.Trim(epoch, "0123456789") == "" {
		distribution = rest
	}
	if at := strings.LastIndexByte(distribution, '-'); at >= 0 {
		distribution = distribution[:at]
	}
	distribution = strings.NewReplacer("~", "", "_", "").Replace(distribution) // 1.0~rc1, 1.0_rc1
	rest, found := strings.CutPrefix(distribution, upstream)
	if !found {
		return false
	}
	further := strings.TrimPrefix(rest, ".")
	return further == "" || further[0] < '0' || further[0] > '9'
}
