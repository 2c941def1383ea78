package compile

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// errnoName is an errno's name, or its number where it has none.
func errnoName(n uint32) string {
	if name := unix.ErrnoName(unix.Errno(n)); name != "" {
		return name
	}
	return fmt.Sprint(n)
}
