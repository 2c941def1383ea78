package policy

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// Printable is text that others chose as it can be shown on one line of a terminal:
// with what is not printable escaped.
func Printable(s string) string {
	if utf8.ValidString(s) && strings.IndexFunc(s, func(r rune) bool { return !strconv.IsPrint(r) }) < 0 {
		return s
	}
	return string(AppendPrintable(nil, []byte(s)))
}

// AppendPrintable appends text with everything escaped that is not printable:
// control characters, invalid UTF-8, and what changes the direction of text.
func AppendPrintable(dst, text []byte) []byte {
	for len(text) > 0 {
		r, n := utf8.DecodeRune(text)
		switch {
		case r == utf8.RuneError && n == 1:
			dst = append(dst, `\x`...)
			dst = append(dst, "0123456789abcdef"[text[0]>>4], "0123456789abcdef"[text[0]&15])
		case strconv.IsPrint(r):
			dst = append(dst, text[:n]...)
		default:
			q := strconv.AppendQuoteRuneToASCII(nil, r)
			dst = append(dst, q[1:len(q)-1]...)
		}
		text = text[n:]
	}
	return dst
}
