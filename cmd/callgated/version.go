package main

import "callgate/supervisor/client"

// commit is what the program was built from; the Makefile sets it.
var commit string

func version() string {
	if commit == "" {
		return client.Release
	}
	return client.Release + " (" + commit + ")"
}
