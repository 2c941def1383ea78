package main

// #include "start.h"
import "C"

// spread lets callgate, and the command after it, run on all CPUs: until then
// `callgate run` is on one (start.c).
func spread() { C.start_spread() }
