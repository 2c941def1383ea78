package compile

import (
	"fmt"

	seccomp "github.com/seccomp/libseccomp-golang"
)

// LibraryVersion is the version of the libseccomp that this program was linked
// with.
func LibraryVersion() string {
	major, minor, micro := seccomp.GetLibraryVersion()
	return fmt.Sprintf("%d.%d.%d", major, minor, micro)
}
