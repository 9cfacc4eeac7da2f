package component_test

import (
	"testing"

	"github.com/seed-161fc314/assay/internal/domain/component"
)

// The names are those under which OSV's exports keep their records.
func TestEcosystem(t *testing.T) {
	for _, test := range []struct{ id, version, pretty, codename, want string }{
		{"debian", "12", "", "bookworm", "Debian:12"},
		{"debian", "12.5", "", "", "Debian:12"},
		{"debian", "", "Debian GNU/Linux trixie/sid", "trixie", "Debian:13"},
		{"debian", "", "", "", ""},
		{"debian", "", "", "buzz-lightyear", ""},
		{"ubuntu", "24.04", "", "noble", "Ubuntu:24.04"},
		{"alpine", "3.20.3", "", "", "Alpine:v3.20"},
		{"alpine", "3.21.0_alpha20240807", "", "", ""},
		{"alpine", "", "", "", ""},
		{"alpaquita", "23", "", "", "Alpaquita:23"},
		{"alpaquita", "stream", "", "", "Alpaquita:stream"},
		{"wolfi", "20230201", "", "", "Wolfi"},
		{"chainguard", "20230214", "", "", "Chainguard"},
		{"minimos", "20241031", "", "", "MinimOS"},
		{"almalinux", "9.4", "", "", "AlmaLinux:9"},
		{"rocky", "8.9", "", "", "Rocky Linux:8"},
		{"rhel", "9.4", "", "", "Red Hat:enterprise_linux:9"},
		{"rhel", "10.1", "", "", "Red Hat:enterprise_linux:10.1"},
		{"rhel", "", "", "", ""},
		{"mageia", "9", "", "", "Mageia:9"},
		{"openeuler", "22.03", "openEuler 22.03 (LTS-SP3)", "", "openEuler:22.03-LTS-SP3"},
		{"openeuler", "23.09", "openEuler 23.09", "", "openEuler:23.09"},
		{"openeuler", "24.03", "", "", ""},
		{"photon", "5.0", "", "", "Photon OS:5.0"},
		{"azurelinux", "3.0", "", "", "Azure Linux:3"},
		{"opensuse-leap", "15.6", "openSUSE Leap 15.6", "", "openSUSE:Leap 15.6"},
		{"opensuse-tumbleweed", "20240801", "openSUSE Tumbleweed", "", "openSUSE:Tumbleweed"},
		{"sles", "15.5", "SUSE Linux Enterprise Server 15 SP5", "", "SUSE:Linux Enterprise Server 15 SP5"},
		{"sles", "15.5", "", "", ""},
		{"fedora", "40", "Fedora Linux 40", "", ""},
		{"amzn", "2023", "", "", ""},
		{"ol", "9.4", "", "", ""},
		{"centos", "7", "", "", ""},
		{"", "", "", "", ""},
	} {
		os := component.OperatingSystem{ID: test.id, VersionID: test.version, PrettyName: test.pretty, Codename: test.codename}
		if got := os.Ecosystem(); got != test.want {
			t.Errorf("%s %s (%s): %q, want %q", test.id, test.version, test.pretty, got, test.want)
		}
	}
}

func TestDistro(t *testing.T) {
	for want, os := range map[string]component.OperatingSystem{"debian-12": {ID: "debian", VersionID: "12"}, "arch": {ID: "arch"}} {
		if got := os.Distro(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestRepackages(t *testing.T) {
	for versions, want := range map[[2]string]bool{
		{"1:1.5.3+dfsg-2", "1.5.3"}: true, {"1.5.3-r0", "1.5.3"}: true, {"1.5.3", "1.5.3"}: true, {"1.0~rc1-1", "1.0rc1"}: true, {"1.0_rc1-r0", "1.0rc1"}: true, {"1.5.3.dfsg-1", "1.5.3"}: true,
		{"1.5.30-1", "1.5.3"}: false, {"1.5.3.1-1", "1.5.3"}: false, {"1.5-1", "1.5.3"}: false, {"2:9-1", "2"}: false, {"", "1"}: false,
	} {
		if got := component.Repackages(versions[0], versions[1]); got != want {
			t.Errorf("%q of %q: %v", versions[0], versions[1], got)
		}
	}
}
