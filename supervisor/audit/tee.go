package audit

import "errors"

// Tee gives every event to every sink. Its Close closes them all, adds up what
// they lost and joins their errors. Nil sinks are left out.
func Tee(sinks ...Sink) Sink {
	var t tee
	for _, s := range sinks {
		if s != nil {
			t = append(t, s)
		}
	}
	return t
}

type tee []Sink

func (t tee) Put(e *Event) {
	for _, s := range t {
		s.Put(e)
	}
}

func (t tee) Close() (lost uint64, err error) {
	var errs []error
	for _, s := range t {
		n, err := s.Close()
		lost += n
		errs = append(errs, err)
	}
	return lost, errors.Join(errs...)
}
