package server

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"callgate/policy"
	"callgate/supervisor/client"
	"callgate/supervisor/server/store"
)

func invalid(field, detail string) *client.Problem {
	return client.ProblemAt(client.Invalid, field, detail)
}

func malformed(field, detail string) *client.Problem {
	return client.ProblemAt(client.Malformed, field, detail)
}

func notFound() *client.Problem { return client.NewProblem(client.NotFound, "") }

func unavailable(detail string) *client.Problem {
	return client.NewProblem(client.Unavailable, detail)
}

// asProblem makes any error one that the API has.
func (s *Server) asProblem(r *http.Request, err error) *client.Problem {
	var p *client.Problem
	var tooLarge *http.MaxBytesError
	var mistakes policy.Mistakes
	switch {
	case errors.As(err, &p):
		return p
	case errors.Is(err, store.ErrNotFound):
		return notFound()
	case errors.As(err, &mistakes):
		return policyProblem(mistakes)
	case errors.As(err, &tooLarge):
		return client.NewProblem(client.TooLarge, "the body is larger than "+sizeText(tooLarge.Limit))
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded), s.store.Alive() != nil:
		return unavailable("the store does not answer: " + err.Error())
	}
	s.log.Error("answer a request", "method", r.Method, "path", r.URL.Path, "err", err)
	return client.NewProblem(client.Internal, err.Error())
}

func policyProblem(mistakes policy.Mistakes) *client.Problem {
	p := client.NewProblem(client.BadPolicy, "")
	for i := range mistakes {
		m := &mistakes[i]
		p.Mistakes = append(p.Mistakes, client.Mistake{Policy: m.Pos.File, Line: m.Pos.Line, Column: m.Pos.Col, Message: m.Message, Hint: m.Hint})
	}
	return p
}

func writeProblem(w http.ResponseWriter, p *client.Problem) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // a client that is gone is told nothing
}
