package main

const release = "0.1.0"

// commit is what the program was built from; the Makefile sets it.
var commit string

func version() string {
	if commit == "" {
		return release
	}
	return release + " (" + commit + ")"
}
