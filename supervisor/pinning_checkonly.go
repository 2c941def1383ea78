//go:build checkonly

package supervisor

const pinning = false
