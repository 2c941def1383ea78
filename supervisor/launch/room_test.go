package launch

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestActs: Act has the values of enum room_act.
func TestActs(t *testing.T) {
	header, err := os.ReadFile("launch.h")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(header), "enum room_act {")
	enum, _, _ := strings.Cut(rest, "};")
	want := regexp.MustCompile(`\bROOM_\w+`).FindAllString(enum, -1)
	got := []string{Private: "ROOM_PRIVATE", Take: "ROOM_TAKE", FreezeTree: "ROOM_FREEZE_TREE", Freeze: "ROOM_FREEZE", FreezeAll: "ROOM_FREEZE_ALL",
		New: "ROOM_NEW", Put: "ROOM_PUT", Folder: "ROOM_FOLDER", File: "ROOM_FILE", Link: "ROOM_LINK"}
	if !slices.Equal(got, want) {
		t.Errorf("in Go %v, in C %v", got, want)
	}
}
