package journal

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
)

// read gives the records that are there as "kind:data" and for Lost "l:kind=n".
func read(t *testing.T, file []byte, from int64) (all []string, end int64) {
	t.Helper()
	r := NewReader(bytes.NewReader(file), from)
	for end = from; ; {
		rec, err := r.Next()
		if errors.Is(err, ErrPartial) {
			return all, end
		}
		if err != nil {
			t.Fatal(err)
		}
		text := string(rec.Kind) + ":" + string(rec.Data)
		if kind, n := rec.Missing(); kind != 0 {
			text = "l:" + string(kind) + "=" + strings.Repeat("+", int(n))
		}
		all, end = append(all, text), rec.End
	}
}

func TestWrittenIsRead(t *testing.T) {
	var file bytes.Buffer
	w := NewWriter(&file, Quota{Output: 8, Audit: 10}, nil)
	audit := w.Audit()
	io.WriteString(w.Output(Stdout), "hello")
	io.WriteString(audit, "{1}\n{2")
	io.WriteString(w.Output(Stderr), "worlds")
	io.WriteString(audit, "2}\n{too long a line}\n")
	stdout, stderr, dropped, err := w.Close()
	if stdout != 5 || stderr != 3 || dropped != 3 || err != nil {
		t.Errorf("Close = %d, %d, %d, %v", stdout, stderr, dropped, err)
	}
	all, end := read(t, file.Bytes(), 0)
	if got, want := strings.Join(all, " "), "o:hello a:{1} e:wor a:{22} l:e=+++ l:a=+"; got != want {
		t.Errorf("the records are %s, not %s", got, want)
	}
	if int(end) != file.Len() {
		t.Errorf("the last record ends at %d of %d", end, file.Len())
	}
	if rest, _ := read(t, file.Bytes(), head+5); rest[0] != "a:{1}" {
		t.Errorf("after the first record comes %s", rest[0])
	}
	for cut := range file.Len() {
		some, _ := read(t, file.Bytes()[:cut], 0)
		if len(some) >= len(all) || strings.Join(some, " ") != strings.Join(all[:len(some)], " ") {
			t.Fatalf("cut after %d bytes: %v", cut, some)
		}
	}
}

// TestFullDisk has what does not fit counted, and nothing written behind half a
// record.
func TestFullDisk(t *testing.T) {
	disk := &full{room: head + 3 + 5}
	w := NewWriter(disk, Quota{Output: 100, Audit: 100}, nil)
	io.WriteString(w.Output(Stdout), "one")
	io.WriteString(w.Output(Stdout), "two")
	io.WriteString(w.Output(Stdout), "three")
	if stdout, _, dropped, err := w.Close(); stdout != 3 || dropped != 8 || err == nil {
		t.Errorf("Close = %d, %d, %v", stdout, dropped, err)
	}
	if all, _ := read(t, disk.Bytes(), 0); len(all) != 1 || all[0] != "o:one" {
		t.Errorf("the records are %v", all)
	}
}

type full struct {
	bytes.Buffer
	room int
}

func (f *full) Write(p []byte) (int, error) {
	n, _ := f.Buffer.Write(p[:min(len(p), f.room)])
	if f.room -= n; n < len(p) {
		return n, errors.New("no space left on device")
	}
	return n, nil
}

func FuzzReader(f *testing.F) {
	var file bytes.Buffer
	w := NewWriter(&file, Quota{Output: 9, Audit: 9}, nil)
	io.WriteString(w.Output(Stdout), "hello, world")
	w.Close()
	f.Add(file.Bytes())
	f.Fuzz(func(t *testing.T, data []byte) {
		r := NewReader(bytes.NewReader(data), 0)
		for at := int64(0); ; {
			rec, err := r.Next()
			if err != nil {
				return
			}
			rec.Missing()
			if rec.End != at+head+int64(len(rec.Data)) || rec.End > int64(len(data)) {
				t.Fatalf("a record from %d ends at %d of %d", at, rec.End, len(data))
			}
			at = rec.End
		}
	})
}
