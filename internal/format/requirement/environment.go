package requirement

import (
	"cmp"
	"fmt"
	"regexp"
	"strings"
)

// Environment is what markers are evaluated for: the variables of PEP 508,
// "Environment Markers".
type Environment struct {
	// PythonVersion is "3.11", PythonFullVersion "3.11.9".
	PythonVersion, PythonFullVersion string
	// OSName is os.name ("posix"), SysPlatform sys.platform ("linux").
	OSName, SysPlatform string
	// PlatformMachine is "x86_64", PlatformSystem "Linux".
	PlatformMachine, PlatformSystem string
	// PlatformRelease and PlatformVersion are the kernel's; often "".
	PlatformRelease, PlatformVersion string
	// PlatformPythonImplementation is "CPython", ImplementationName
	// "cpython", ImplementationVersion its version.
	PlatformPythonImplementation, ImplementationName, ImplementationVersion string
}

// EnvironmentOf is CPython of a version ("3.12" or "3.12.4"; "" for the
// default's) on a platform in the words of image indexes ("linux/arm64",
// "windows/amd64", "darwin/arm64"; "" for the default's). Errors say what is
// wanted.
func EnvironmentOf(python, platform string) (Environment, error) {
	e := DefaultEnvironment()
	if python != "" {
		m := pythonVersion.FindStringSubmatch(python)
		if m == nil {
			return Environment{}, fmt.Errorf("the Python version %q: want one such as 3.12 or 3.12.4", python)
		}
		e.PythonVersion, e.PythonFullVersion = m[1], python
		if m[2] == "" {
			e.PythonFullVersion += ".0"
		}
		e.ImplementationVersion = e.PythonFullVersion
	}
	if platform == "" {
		return e, nil
	}
	system, rest, _ := strings.Cut(platform, "/")
	architecture, variant, _ := strings.Cut(rest, "/")
	machines := map[string]string{"amd64": "x86_64", "arm64": "aarch64", "arm": "armv7l", "386": "i686", "ppc64le": "ppc64le", "s390x": "s390x", "riscv64": "riscv64"}
	switch system {
	case "linux":
	case "windows":
		e.OSName, e.SysPlatform, e.PlatformSystem = "nt", "win32", "Windows"
		machines = map[string]string{"amd64": "AMD64", "arm64": "ARM64", "386": "x86"}
	case "darwin":
		e.SysPlatform, e.PlatformSystem = "darwin", "Darwin"
		machines = map[string]string{"amd64": "x86_64", "arm64": "arm64"}
	default:
		return Environment{}, fmt.Errorf("platform %q: want linux, windows or darwin before the slash", platform)
	}
	if architecture == "" {
		return Environment{}, fmt.Errorf("platform %q: want an architecture after the slash, such as %s/amd64", platform, system)
	}
	e.PlatformMachine = cmp.Or(machines[architecture], architecture)
	if system == "linux" && architecture == "arm" && variant == "v6" {
		e.PlatformMachine = "armv6l"
	}
	return e, nil
}

var pythonVersion = regexp.MustCompile(`^([0-9]{1,3}\.[0-9]{1,3})(\.[0-9]{1,3}(?:(?:a|b|rc)[0-9]{1,3})?)?$`)

// String is the environment for people: "CPython 3.11 on linux, x86_64".
func (e Environment) String() string {
	return fmt.Sprintf("%s %s on %s, %s", e.PlatformPythonImplementation, e.PythonVersion, e.SysPlatform, e.PlatformMachine)
}

// DefaultEnvironment is CPython 3.11 on Linux, x86_64: what most workload
// images run. PlatformRelease and PlatformVersion are empty.
func DefaultEnvironment() Environment {
	return Environment{
		PythonVersion: "3.11", PythonFullVersion: "3.11.9", OSName: "posix", SysPlatform: "linux",
		PlatformMachine: "x86_64", PlatformSystem: "Linux",
		PlatformPythonImplementation: "CPython", ImplementationName: "cpython", ImplementationVersion: "3.11.9",
	}
}

func (e Environment) lookup(name string) (string, bool) {
	switch strings.ReplaceAll(name, ".", "_") {
	case "python_version":
		return e.PythonVersion, true
	case "python_full_version":
		return e.PythonFullVersion, true
	case "os_name":
		return e.OSName, true
	case "sys_platform":
		return e.SysPlatform, true
	case "platform_machine":
		return e.PlatformMachine, true
	case "platform_system":
		return e.PlatformSystem, true
	case "platform_release":
		return e.PlatformRelease, true
	case "platform_version":
		return e.PlatformVersion, true
	case "platform_python_implementation", "python_implementation":
		return e.PlatformPythonImplementation, true
	case "implementation_name":
		return e.ImplementationName, true
	case "implementation_version":
		return e.ImplementationVersion, true
	}
	return "", false
}
