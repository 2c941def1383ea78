package supervisor

import (
	"os"

	"callgate/supervisor/launch"
)

// StandardFiles are this program's standard input, output and error, for a
// command that is to have the same: nil where its own caller had closed one,
// which Go hides by opening /dev/null there.
func StandardFiles() []*os.File {
	files := []*os.File{os.Stdin, os.Stdout, os.Stderr}
	for i := range files {
		if launch.WasClosed(i) {
			files[i] = nil
		}
	}
	return files
}
