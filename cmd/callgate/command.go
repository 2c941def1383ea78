package main

import (
	"bytes"
	"io"
	"os"
	"strings"
)

// beginning is what a file starts with, as much as the kernel looks at
// (BINPRM_BUF_SIZE in linux/binfmts.h); "" if it cannot be read.
func beginning(path string) []byte {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	buf := make([]byte, 256)
	n, _ := io.ReadFull(f, buf)
	return buf[:n]
}

// notFound is the hint for a command that is not there.
func notFound(name string) string {
	if name == "" {
		return "the name is empty, as of a variable that is not set"
	}
	if strings.ContainsAny(name, " \t\n") {
		return "all of this was taken for the command's name; as a shell's line: callgate run -- sh -c " + shellWord(name)
	}
	if st, err := os.Stat(name); err == nil && st.Mode().IsRegular() { // its name has no slash, or it were found
		return "the file of that name in this folder is ./" + name
	}
	return ""
}

// missingInterpreter is the hint for a file that is there, and of which execve
// says that it is not.
func missingInterpreter(path string) string {
	line, isScript := bytes.CutPrefix(beginning(path), []byte("#!"))
	if !isScript {
		return "the dynamic loader that it was linked for is missing; file " + shellWord(path) + " names it"
	}
	line, _, _ = bytes.Cut(line, []byte("\n"))
	words := strings.Fields(string(line))
	if len(words) == 0 {
		return "its first line names no interpreter"
	}
	hint := "its first line names the interpreter " + printable(words[0])
	if bytes.HasSuffix(line, []byte("\r")) {
		hint += `; that line ends in a carriage return`
	}
	return hint
}

// elfMachine is what an ELF file begins with up to the machine that it is for, e_machine in
// elf(5), in its last two bytes.
const elfMachine = 20

// wrongFormat is the hint for ENOEXEC.
func wrongFormat(path string) string {
	head, own := beginning(path), beginning("/proc/self/exe")
	switch {
	case !bytes.HasPrefix(head, []byte("\x7fELF")):
		return "a script needs a first line such as #!/bin/sh; or: callgate run -- sh " + shellWord(path)
	case min(len(head), len(own)) >= elfMachine && !bytes.Equal(head[elfMachine-2:elfMachine], own[elfMachine-2:elfMachine]):
		return "it is a program for another kind of machine"
	}
	return "it is cut off, or an object file, a core file or the like; file " + shellWord(path) + " tells which"
}

// notExecutable is the hint for EACCES.
func notExecutable(path string) string {
	st, err := os.Stat(path)
	if err == nil && st.Mode().IsRegular() && st.Mode()&0o111 == 0 {
		return "it is not marked executable: chmod +x " + shellWord(path)
	}
	return ""
}
