package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// In a shared store a job's journals are kept too, one of each attempt, as its host reads
// it, in pieces: one message each, which says in a header where in the journal it
// begins. A host that goes on with an attempt that was given up touches no other's.
const (
	offsetHeader = "Callgate-Offset"
	// MaxPiece is the greatest piece of a journal that Append takes, in bytes.
	MaxPiece = 512 << 10
)

func (s *Store) createLog(ctx context.Context) error {
	_, err := s.js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
		Name: s.opt.Prefix + "_log", Subjects: []string{s.opt.Prefix + ".log.*.*"}, Storage: jetstream.FileStorage,
		Replicas: s.opt.Replicas, MaxAge: s.opt.Keep, AllowDirect: true,
	})
	return err
}

func (s *Store) logSubject(id string, attempt int) string {
	return s.opt.Prefix + ".log." + id + "." + strconv.Itoa(attempt)
}

// Append stores a piece of a job's journal.
func (s *Store) Append(ctx context.Context, id string, attempt int, offset int64, piece []byte) error {
	m := nats.NewMsg(s.logSubject(id, attempt))
	m.Data = piece
	m.Header.Set(offsetHeader, strconv.FormatInt(offset, 10))
	if _, err := s.js.PublishMsg(ctx, m); err != nil {
		return fmt.Errorf("store the job's output: %w", err)
	}
	return nil
}

// Appended is how much of an attempt's journal is stored, in bytes.
func (s *Store) Appended(ctx context.Context, id string, attempt int) (int64, error) {
	stream, err := s.js.Stream(ctx, s.opt.Prefix+"_log")
	if err != nil {
		return 0, fmt.Errorf("read the job's stored output: %w", err)
	}
	m, err := stream.GetLastMsgForSubject(ctx, s.logSubject(id, attempt))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read the job's stored output: %w", err)
	}
	return place(m.Header) + int64(len(m.Data)), nil
}

func place(h nats.Header) (offset int64) {
	offset, _ = strconv.ParseInt(h.Get(offsetHeader), 10, 64)
	return offset
}

// Log gives the pieces of an attempt's journal as they are stored, in order and
// each once, until ctx ends.
func (s *Store) Log(ctx context.Context, id string, attempt int, each func(offset int64, piece []byte) error) error {
	c, err := s.js.OrderedConsumer(ctx, s.opt.Prefix+"_log", jetstream.OrderedConsumerConfig{FilterSubjects: []string{s.logSubject(id, attempt)}})
	if err != nil {
		return fmt.Errorf("read the job's stored output: %w", err)
	}
	messages, err := c.Messages()
	if err != nil {
		return fmt.Errorf("read the job's stored output: %w", err)
	}
	stop := context.AfterFunc(ctx, messages.Stop)
	defer stop()
	defer messages.Stop()
	next := int64(0)
	for {
		m, err := messages.Next()
		if err != nil {
			return errors.Join(ctx.Err(), err)
		}
		offset := place(m.Headers())
		if piece := m.Data(); offset <= next && offset+int64(len(piece)) > next {
			if err := each(next, piece[next-offset:]); err != nil {
				return err
			}
			next = offset + int64(len(piece))
		}
	}
}

func (s *Store) purgeLog(ctx context.Context, id string) error {
	stream, err := s.js.Stream(ctx, s.opt.Prefix+"_log")
	if err != nil {
		return err
	}
	return stream.Purge(ctx, jetstream.WithPurgeSubject(s.opt.Prefix+".log."+id+".*"))
}

func filesName(id string, attempt int) string { return id + "." + strconv.Itoa(attempt) }

// PutFiles stores what was collected of an attempt, a tar.
func (s *Store) PutFiles(ctx context.Context, id string, attempt int, tar io.Reader) error {
	if _, err := s.files.Put(ctx, jetstream.ObjectMeta{Name: filesName(id, attempt)}, tar); err != nil {
		return fmt.Errorf("store the job's files: %w", err)
	}
	return nil
}

// Files gives them back; none is an empty tar.
func (s *Store) Files(ctx context.Context, id string, attempt int) (io.ReadCloser, error) {
	o, err := s.files.Get(ctx, filesName(id, attempt))
	if errors.Is(err, jetstream.ErrObjectNotFound) {
		return io.NopCloser(io.LimitReader(nil, 0)), nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the job's files: %w", err)
	}
	return o, nil
}

// purgeFiles forgets the files of all of a job's attempts.
func (s *Store) purgeFiles(ctx context.Context, id string, attempts int) error {
	var errs []error
	for attempt := range attempts {
		errs = append(errs, absent(s.files.Delete(ctx, filesName(id, attempt+1))))
	}
	return errors.Join(errs...)
}

// Ask has the daemon of a host answer a question of its jobs.
func (s *Store) Ask(ctx context.Context, host string, question []byte) ([]byte, error) {
	m, err := s.conn.RequestWithContext(ctx, s.opt.Prefix+".host."+host, question)
	if err != nil {
		return nil, fmt.Errorf("ask host %s: %w", host, err)
	}
	return m.Data, nil
}

// Answer answers what Ask asks of this host.
func (s *Store) Answer(host string, answer func(question []byte) []byte) error {
	_, err := s.conn.Subscribe(s.opt.Prefix+".host."+host, func(m *nats.Msg) {
		go func() { _ = m.Respond(answer(m.Data)) }() // who asked gives up by itself
	})
	if err != nil {
		return fmt.Errorf("listen for other hosts: %w", err)
	}
	return nil
}
