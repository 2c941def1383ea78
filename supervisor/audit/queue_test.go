package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

var clock = time.Date(2026, 2, 3, 4, 5, 6, 789000000, time.FixedZone("", 3600))

func exited(n int) *Event {
	return &Event{Time: clock, Sandbox: "s", PID: n, Kind: Exit, ExitInfo: &ExitInfo{Status: n}}
}

// valve is a writer that a test opens, closes and breaks.
type valve struct {
	mu    sync.Mutex
	out   bytes.Buffer
	room  int   // bytes taken before err; negative: no end
	err   error // what comes then
	calls int
	block chan struct{}
	holds bool // it blocks, or did
}

func (v *valve) Write(p []byte) (int, error) {
	if v.block != nil {
		v.mu.Lock()
		v.holds = true
		v.mu.Unlock()
		<-v.block
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.calls++
	if v.room < 0 || len(p) <= v.room {
		if v.room >= 0 {
			v.room -= len(p)
		}
		return v.out.Write(p)
	}
	n, _ := v.out.Write(p[:v.room])
	v.room = 0
	return n, v.err
}

// held says whether a write has come that blocks.
func (v *valve) held() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.holds
}

func (v *valve) set(room int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.room = room
}

func (v *valve) count() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.calls
}

// tried puts an event and waits until the writer has tried to write it.
func tried(t *testing.T, s Sink, v *valve, e *Event) {
	t.Helper()
	before := v.count()
	s.Put(e)
	for range 5000 {
		if v.count() > before {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatal("nothing is written")
}

// settled waits until the writer holds nothing.
func settled(t *testing.T, s Sink) {
	t.Helper()
	q := s.(*queue)
	for range 5000 {
		q.mu.Lock()
		idle := q.n == 0 && q.flying == 0
		q.mu.Unlock()
		if idle {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatal("the writer does not come to rest")
}

// tally reads NDJSON: the PIDs of exits in order, and what lines say was lost.
func tally(t *testing.T, text string) (pids []int, lost uint64) {
	t.Helper()
	for line := range strings.Lines(text) {
		var got struct {
			PID   int    `json:"pid"`
			Event string `json:"event"`
			Lost  uint64 `json:"lost"`
		}
		if err := json.Unmarshal([]byte(line), &got); err != nil {
			t.Fatalf("line %q: %v", line, err)
		}
		if got.Event == "lost" {
			lost += got.Lost
		} else {
			pids = append(pids, got.PID)
		}
	}
	return pids, lost
}

func TestEveryEventArrivesInOrder(t *testing.T) {
	var out bytes.Buffer
	s := NewJSON(&out, JSONOptions{})
	for n := range 3000 {
		s.Put(exited(n + 1))
	}
	if lost, err := s.Close(); lost != 0 || err != nil {
		t.Fatalf("lost %d, %v", lost, err)
	}
	pids, lost := tally(t, out.String())
	if len(pids) != 3000 || lost != 0 {
		t.Fatalf("%d events, %d lost", len(pids), lost)
	}
	for i, pid := range pids {
		if pid != i+1 {
			t.Fatalf("event %d is of %d", i, pid)
		}
	}
}

func TestPutCopies(t *testing.T) {
	v := &valve{room: -1, block: make(chan struct{})}
	s := NewJSON(v, JSONOptions{})
	value := int64(7)
	e := &Event{Time: clock, Kind: Call, CallInfo: &CallInfo{Args: []string{"1", "2"}, Value: &value}}
	for range 300 { // more than one ring's growth
		s.Put(e)
	}
	e.Args[0], e.Syscall, value = "changed", "changed", 8
	close(v.block)
	s.Close()
	if got := v.out.String(); strings.Contains(got, "changed") || strings.Contains(got, `"value":8`) || strings.Count(got, `"value":7`) != 300 {
		t.Errorf("an event changed after Put: %.300s", got)
	}
}

func TestFullDiskIsCountedAndMarked(t *testing.T) {
	v := &valve{room: -1, err: syscall.ENOSPC}
	s := NewJSON(v, JSONOptions{})
	tried(t, s, v, exited(1))
	v.set(30) // tears the next line
	tried(t, s, v, exited(2))
	for n := range 5 {
		tried(t, s, v, exited(n+3))
	}
	v.set(-1)
	s.Put(exited(8))
	lost, err := s.Close()
	if lost != 5 || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("lost %d, %v; want 5, ENOSPC", lost, err)
	}
	pids, told := tally(t, v.out.String())
	if fmt.Sprint(pids) != "[1 2 8]" || told != 5 {
		t.Errorf("events %v, %d told lost:\n%s", pids, told, v.out.String())
	}
	want := `{"time":"2026-02-03T03:05:06.789Z","sandbox":"s","event":"lost","lost":5}`
	if !strings.Contains(v.out.String(), want) {
		t.Errorf("no line %s in\n%s", want, v.out.String())
	}
}

func TestDiskThatStaysFull(t *testing.T) {
	f, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s := NewJSON(f, JSONOptions{})
	for n := range 100 {
		s.Put(exited(n))
	}
	if lost, err := s.Close(); lost != 100 || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("lost %d, %v; want 100, ENOSPC", lost, err)
	}
}

func TestTornLineThatIsNeverFinished(t *testing.T) {
	v := &valve{room: 30, err: syscall.ENOSPC}
	s := NewJSON(v, JSONOptions{})
	s.Put(exited(1))
	if lost, err := s.Close(); lost != 1 || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("lost %d, %v", lost, err)
	}
}

func TestReaderGoesAway(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	s := NewJSON(w, JSONOptions{})
	s.Put(exited(1))
	settled(t, s)
	r.Close()
	s.Put(exited(2))
	s.Put(exited(3))
	if lost, err := s.Close(); lost != 2 || !errors.Is(err, syscall.EPIPE) {
		t.Errorf("lost %d, %v; want 2, EPIPE", lost, err)
	}
}

func TestPipeThatNobodyReads(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	s := NewJSON(w, JSONOptions{})
	const all = 10000
	for n := range all {
		s.Put(exited(n))
	}
	began := time.Now()
	lost, err := s.Close()
	if took := time.Since(began); took > 4*time.Second {
		t.Errorf("Close took %v", took)
	}
	if !errors.Is(err, errBlocked) || lost == 0 {
		t.Fatalf("lost %d, %v", lost, err)
	}
	w.Close()
	text, _ := io.ReadAll(r)
	whole := text[:bytes.LastIndexByte(text, '\n')+1]
	pids, _ := tally(t, string(whole))
	if got := uint64(len(pids)) + lost; got != all {
		t.Errorf("%d written and %d lost of %d", len(pids), lost, all)
	}
}

func TestFullQueueDropsAndMarks(t *testing.T) {
	v := &valve{room: -1, block: make(chan struct{})}
	s := NewJSON(v, JSONOptions{})
	s.Put(exited(1))
	for !v.held() { // the first, and only that
		time.Sleep(time.Millisecond)
	}
	for n := range queueMax + 10 {
		s.Put(exited(n + 2))
	}
	close(v.block)
	settled(t, s)
	s.Put(exited(9999))
	lost, err := s.Close()
	pids, told := tally(t, v.out.String())
	if err != nil || lost != told || lost < 10 || len(pids)+int(lost) != queueMax+12 {
		t.Errorf("lost %d, told %d, %d written, %v", lost, told, len(pids), err)
	}
}

func TestDropsAtTheEndAreMarked(t *testing.T) {
	v := &valve{room: -1, block: make(chan struct{})}
	s := NewJSON(v, JSONOptions{Now: func() time.Time { return clock }})
	for n := range queueMax + 2000 {
		s.Put(exited(n))
	}
	close(v.block)
	lost, err := s.Close()
	if _, told := tally(t, v.out.String()); err != nil || lost == 0 || told != lost {
		t.Errorf("lost %d, told %d, %v", lost, told, err)
	}
}

func TestEndSaysWhatIsMissing(t *testing.T) {
	v := &valve{room: 0, err: syscall.ENOSPC}
	s := NewJSON(v, JSONOptions{})
	tried(t, s, v, exited(1))
	v.set(-1)
	s.Put(&Event{Time: clock, Kind: End, ExitInfo: &ExitInfo{}, Totals: &Totals{}})
	s.Close()
	if !strings.Contains(v.out.String(), `"lost_events":1}`) {
		t.Error(v.out.String())
	}
}

func TestCloseTwice(t *testing.T) {
	s := NewJSON(&valve{err: syscall.ENOSPC}, JSONOptions{})
	s.Put(exited(1))
	l1, e1 := s.Close()
	l2, e2 := s.Close()
	if l1 != 1 || l2 != 1 || e1 != e2 {
		t.Errorf("%d %v, then %d %v", l1, e1, l2, e2)
	}
	s.Put(exited(2))
	if l3, _ := s.Close(); l3 != 2 {
		t.Errorf("an event after Close is not counted: %d", l3)
	}
}

func TestPutDoesNotAllocate(t *testing.T) {
	v := &valve{room: -1, block: make(chan struct{})}
	s := NewJSON(v, JSONOptions{})
	value := int64(1)
	e := &Event{Time: clock, Sandbox: "s", Kind: Call, CallInfo: &CallInfo{Args: []string{"1", "2"}, Value: &value}}
	for range queueMax + 100 {
		s.Put(e)
	}
	if n := testing.AllocsPerRun(1000, func() { s.Put(e) }); n != 0 {
		t.Errorf("Put on a full queue allocates %v times", n)
	}
	close(v.block)
	settled(t, s)
	if n := testing.AllocsPerRun(1000, func() { s.Put(e) }); n > 12 { // the encoder's, on the other goroutine, count too
		t.Errorf("Put allocates %v times", n)
	}
	s.Close()
}

func TestConcurrentPuts(t *testing.T) {
	var out bytes.Buffer
	s := NewJSON(&out, JSONOptions{})
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for n := range 500 {
				s.Put(exited(g*500 + n))
			}
		})
	}
	wg.Wait()
	lost, err := s.Close()
	if pids, _ := tally(t, out.String()); len(pids)+int(lost) != 2000 || err != nil {
		t.Errorf("%d written, %d lost, %v", len(pids), lost, err)
	}
}

func TestTee(t *testing.T) {
	var a bytes.Buffer
	s := Tee(NewJSON(&a, JSONOptions{}), nil, NewJSON(&valve{err: syscall.ENOSPC}, JSONOptions{}))
	s.Put(exited(1))
	lost, err := s.Close()
	if lost != 1 || !errors.Is(err, syscall.ENOSPC) || !strings.Contains(a.String(), `"status":1`) {
		t.Errorf("lost %d, %v, %q", lost, err, a.String())
	}
}

func TestLongArgvIsCut(t *testing.T) {
	var out bytes.Buffer
	s := NewJSON(&out, JSONOptions{})
	long := strings.Repeat("x", 2<<20)
	s.Put(&Event{Time: clock, Kind: Exec, ExecInfo: &ExecInfo{Argv: []string{"a", long, "b"}}})
	s.Put(&Event{Time: clock, Kind: Exec, ExecInfo: &ExecInfo{Argv: strings.Split(long[:1000], "")}})
	s.Close()
	lines := strings.Split(out.String(), "\n")
	if n := len(lines[0]); n < argvBytes || n > argvBytes+200 || !strings.HasSuffix(lines[0], `xx..."]}`) {
		t.Errorf("%d bytes: %.100s", n, lines[0])
	}
	if n := strings.Count(lines[1], `"x",`); n != argvStrings || !strings.HasSuffix(lines[1], `"x","x..."]}`) {
		t.Errorf("%d strings", n)
	}
}

// TestNothingIsWrittenAfterClose has a writer that blocks through Close and
// then goes on.
func TestNothingIsWrittenAfterClose(t *testing.T) {
	v := &valve{room: -1, block: make(chan struct{})}
	s := NewJSON(v, JSONOptions{})
	for n := range 3000 {
		s.Put(exited(n))
	}
	if lost, err := s.Close(); lost != 3000 || err != errBlocked {
		t.Errorf("lost %d, %v", lost, err)
	}
	close(v.block)
	<-s.(*queue).done
	if n := strings.Count(v.out.String(), "\n"); n > 1000 {
		t.Errorf("%d lines came after Close", n)
	}
}

func TestQueuedTextIsBounded(t *testing.T) {
	v := &valve{room: -1, block: make(chan struct{})}
	s := NewJSON(v, JSONOptions{})
	arg := strings.Repeat("x", 16<<10)
	const all = 1000
	for range all {
		s.Put(&Event{Time: clock, Kind: Call, CallInfo: &CallInfo{Args: []string{arg}}})
	}
	q := s.(*queue)
	q.mu.Lock()
	if q.bytes > queueBytes || q.dropped+q.lost == 0 {
		t.Errorf("%d bytes, %d dropped", q.bytes, q.dropped)
	}
	q.mu.Unlock()
	close(v.block)
	lost, _ := s.Close()
	if n := strings.Count(v.out.String(), `"event":"call"`); n+int(lost) != all || q.bytes != 0 {
		t.Errorf("%d written, %d lost, %d bytes left", n, lost, q.bytes)
	}
}

func BenchmarkPut(b *testing.B) {
	s := NewJSON(io.Discard, JSONOptions{})
	e := denied(CallInfo{Syscall: "openat", Args: []string{"AT_FDCWD", `"/etc/shadow"`, "O_RDONLY"}, Permit: "- allow: openat"})
	for b.Loop() {
		s.Put(e)
	}
	s.Close()
}
