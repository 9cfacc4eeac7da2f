package purl_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/format/purl"
)

func TestParse(t *testing.T) {
	debian := &component.OperatingSystem{ID: "debian", VersionID: "12"}
	for _, test := range []struct {
		text string
		os   *component.OperatingSystem
		want string
	}{
		{"pkg:pypi/Foo_Bar.baz@1.0.0-RC1", nil, "PyPI foo-bar-baz 1.0.0rc1  pkg:pypi/foo-bar-baz@1.0.0rc1"},
		{"pkg:pypi/torch@1.13.0%2Bcpu?file_name=x.whl", nil, "PyPI torch 1.13.0+cpu  pkg:pypi/torch@1.13.0%2Bcpu"},
		{"pkg:pypi/old@2004d", nil, "PyPI old 2004d  pkg:pypi/old@2004d"},
		{"pkg:deb/debian/libssl3@3.0.11-1?arch=amd64&distro=debian-12.5&upstream=openssl%403.0", nil, "Debian:12 libssl3 3.0.11-1 openssl@3.0 pkg:deb/debian/libssl3@3.0.11-1?arch=amd64&distro=debian-12.5&upstream=openssl%403.0"},
		{"pkg:deb/ubuntu/curl@8.5?distro=ubuntu-24.04", nil, "Ubuntu:24.04 curl 8.5 curl@8.5 pkg:deb/ubuntu/curl@8.5?distro=ubuntu-24.04"},
		{"pkg:deb/debian/curl@1%3A8.5", debian, "Debian:12 curl 1:8.5 curl@1:8.5 pkg:deb/debian/curl@1:8.5"},
		{"pkg:deb/debian/curl@8.5?distro=bookworm", debian, "Debian:12 curl 8.5 curl@8.5 pkg:deb/debian/curl@8.5?distro=bookworm"},
		{"pkg:deb/curl@8.5", debian, "Debian:12 curl 8.5 curl@8.5 pkg:deb/curl@8.5"},
		{"pkg:deb/acme/curl@8.5?distro=acme-7", nil, "acme curl 8.5 curl@8.5 pkg:deb/acme/curl@8.5?distro=acme-7"},
		{"pkg:rpm/redhat/bash@5.1.8-6.el9?epoch=2&distro=acme-9.2&upstream=bash-src-5.1.8-6.el9.src.rpm", nil, "acme bash 2:5.1.8-6.el9 bash-src@2:5.1.8-6.el9 pkg:rpm/redhat/bash@5.1.8-6.el9?distro=acme-9.2&epoch=2&upstream=bash-src-5.1.8-6.el9.src.rpm"},
		{"pkg:rpm/acme/bash@5?distro=acme-9&upstream=odd", nil, "acme bash 5  pkg:rpm/acme/bash@5?distro=acme-9&upstream=odd"},
		{"pkg:conda/numpy@1.26.0?build=py311&channel=main", nil, "PyPI numpy 1.26.0  pkg:conda/numpy@1.26.0?build=py311&channel=main"},
		{"pkg:conda/pytorch@1.13.0", nil, "PyPI torch 1.13.0  pkg:conda/pytorch@1.13.0"},
		{"pkg:conda/openssl@1.1.1k?build=h7f98852_0", nil, "conda openssl 1.1.1k  pkg:conda/openssl@1.1.1k?build=h7f98852_0"},
	} {
		c, err := purl.Parse(test.text, test.os)
		if err != nil {
			t.Errorf("%s: %v", test.text, err)
			continue
		}
		source := ""
		if c.SourceName != "" {
			source = c.SourceName + "@" + c.SourceVersion
		}
		if got := fmt.Sprintf("%s %s %s %s %s", c.Ecosystem, c.Name, c.Version, source, c.PURL); got != test.want {
			t.Errorf("%s:\ngot  %s\nwant %s", test.text, got, test.want)
		}
		if err := purl.Agree(c); err != nil && c.Ecosystem != "acme" {
			t.Errorf("%s does not agree with what was read of it: %v", test.text, err)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	other := &component.OperatingSystem{ID: "ubuntu", VersionID: "24.04"}
	for text, want := range map[string]string{
		"pkg:deb/debian/curl@8.5":                     "release",
		"pkg:deb/debian/curl@8.5?distro=debian-woody": "release",
		"pkg:apk/alpine/musl@1":                       "release",
		"pkg:maven/org.x/y@1":                         "type maven",
		"pkg:pypi/a@" + strings.Repeat("9", 5000):     "bound of 4096",
		"pkg:pypi/a@%3E1":                             "range",
		"pkg:pypi/a@1%7C%7C2":                         "range",
		"":                                            "no package URL",
	} {
		_, err := purl.Parse(text, other)
		var reason *purl.Error
		if !errors.As(err, &reason) || !strings.Contains(reason.Reason, want) {
			t.Errorf("%.100s: got %v, want %q", text, err, want)
		}
	}
}

func TestAgree(t *testing.T) {
	good := component.Component{Ecosystem: "PyPI", Name: "pytorch", Version: "2.0", PURL: "pkg:conda/pytorch-cpu@2.0.0"}
	if err := purl.Agree(good); err != nil {
		t.Errorf("a conda package holds a project under another name: %v", err)
	}
	good = component.Component{Ecosystem: "Rocky Linux:9", Name: "bash", Version: "1:5-6", PURL: "pkg:rpm/rocky/bash@5-6?epoch=1"}
	if err := purl.Agree(good); err != nil {
		t.Error(err)
	}
	bad := good
	bad.Version = "2:5-6"
	if err := purl.Agree(bad); err == nil {
		t.Error("another epoch agrees")
	}
	if err := purl.Agree(component.Component{PURL: "x"}); err == nil {
		t.Error("what is no package URL agrees")
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"pkg:pypi/torch@1.13.0%2Bcpu", "pkg:rpm/redhat/bash@5-6?epoch=1&distro=rhel-9&upstream=bash-5-6.src.rpm", "pkg:deb/a@1?distro=-", "pkg:x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := purl.Parse(text, &component.OperatingSystem{ID: "debian", VersionID: "12"})
		var reason *purl.Error
		if err != nil && !errors.As(err, &reason) {
			t.Errorf("%q: %v is no *Error", text, err)
		}
		if err == nil && (c.Name == "" || c.Version == "" || c.Ecosystem == "" || c.PURL == "") {
			t.Errorf("%q gives %+v", text, c)
		}
	})
}
