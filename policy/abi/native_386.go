package abi

// Native is the ABI that programs of this build's architecture use.
func Native() Arch { return I386 }
