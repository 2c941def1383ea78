package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
)

// constant is an integer constant of a Go file. Negative ones are in two's
// complement.
type constant struct {
	name  string
	value uint64
}

// readConstants gives the integer constants that a Go file declares at top
// level by literals (conversions such as Signal(0x1) included), in its order.
// Others are left out.
func readConstants(path string) ([]constant, error) {
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	var list []constant
	for _, d := range file.Decls {
		if g, ok := d.(*ast.GenDecl); ok && g.Tok == token.CONST {
			list = append(list, declared(g)...)
		}
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("%s: no constants", path)
	}
	return list, nil
}

func declared(g *ast.GenDecl) []constant {
	var list []constant
	var repeated []ast.Expr
	for iota, s := range g.Specs {
		spec := s.(*ast.ValueSpec)
		if len(spec.Values) > 0 {
			repeated = spec.Values
		}
		for i, id := range spec.Names {
			if i >= len(repeated) {
				continue
			}
			if v, ok := evaluate(repeated[i], uint64(iota)); ok {
				list = append(list, constant{id.Name, v})
			}
		}
	}
	return list
}

func evaluate(e ast.Expr, iota uint64) (uint64, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		v, err := strconv.ParseUint(e.Value, 0, 64)
		return v, err == nil
	case *ast.Ident:
		return iota, e.Name == "iota"
	case *ast.ParenExpr:
		return evaluate(e.X, iota)
	case *ast.UnaryExpr:
		v, ok := evaluate(e.X, iota)
		return -v, ok && e.Op == token.SUB
	case *ast.CallExpr:
		if len(e.Args) == 1 {
			return evaluate(e.Args[0], iota)
		}
	case *ast.BinaryExpr:
		x, okX := evaluate(e.X, iota)
		y, okY := evaluate(e.Y, iota)
		return combine(e.Op, x, y, okX && okY)
	}
	return 0, false
}

func combine(op token.Token, x, y uint64, ok bool) (uint64, bool) {
	switch op {
	case token.ADD:
		return x + y, ok
	case token.SHL:
		return x << y, ok
	case token.OR:
		return x | y, ok
	}
	return 0, false
}
