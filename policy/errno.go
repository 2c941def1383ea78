package policy

import "strconv"

const (
	errnoEPERM  = 1
	errnoEACCES = 13
	errnoENOSYS = 38
	maxErrno    = 4095 // MAX_ERRNO of linux/err.h
)

// errnoNames are the names of 1, 2, … as asm-generic/errno-base.h and errno.h
// of Linux have them; x86 and arm64 use these numbers.
var errnoNames = [...]string{
	"EPERM", "ENOENT", "ESRCH", "EINTR", "EIO", "ENXIO", "E2BIG", "ENOEXEC", "EBADF", "ECHILD",
	"EAGAIN", "ENOMEM", "EACCES", "EFAULT", "ENOTBLK", "EBUSY", "EEXIST", "EXDEV", "ENODEV",
	"ENOTDIR", "EISDIR", "EINVAL", "ENFILE", "EMFILE", "ENOTTY", "ETXTBSY", "EFBIG", "ENOSPC",
	"ESPIPE", "EROFS", "EMLINK", "EPIPE", "EDOM", "ERANGE", "EDEADLK", "ENAMETOOLONG", "ENOLCK",
	"ENOSYS", "ENOTEMPTY", "ELOOP", "", "ENOMSG", "EIDRM", "ECHRNG", "EL2NSYNC", "EL3HLT", "EL3RST",
	"ELNRNG", "EUNATCH", "ENOCSI", "EL2HLT", "EBADE", "EBADR", "EXFULL", "ENOANO", "EBADRQC",
	"EBADSLT", "", "EBFONT", "ENOSTR", "ENODATA", "ETIME", "ENOSR", "ENONET", "ENOPKG", "EREMOTE",
	"ENOLINK", "EADV", "ESRMNT", "ECOMM", "EPROTO", "EMULTIHOP", "EDOTDOT", "EBADMSG", "EOVERFLOW",
	"ENOTUNIQ", "EBADFD", "EREMCHG", "ELIBACC", "ELIBBAD", "ELIBSCN", "ELIBMAX", "ELIBEXEC", "EILSEQ",
	"ERESTART", "ESTRPIPE", "EUSERS", "ENOTSOCK", "EDESTADDRREQ", "EMSGSIZE", "EPROTOTYPE",
	"ENOPROTOOPT", "EPROTONOSUPPORT", "ESOCKTNOSUPPORT", "EOPNOTSUPP", "EPFNOSUPPORT", "EAFNOSUPPORT",
	"EADDRINUSE", "EADDRNOTAVAIL", "ENETDOWN", "ENETUNREACH", "ENETRESET", "ECONNABORTED",
	"ECONNRESET", "ENOBUFS", "EISCONN", "ENOTCONN", "ESHUTDOWN", "ETOOMANYREFS", "ETIMEDOUT",
	"ECONNREFUSED", "EHOSTDOWN", "EHOSTUNREACH", "EALREADY", "EINPROGRESS", "ESTALE", "EUCLEAN",
	"ENOTNAM", "ENAVAIL", "EISNAM", "EREMOTEIO", "EDQUOT", "ENOMEDIUM", "EMEDIUMTYPE", "ECANCELED",
	"ENOKEY", "EKEYEXPIRED", "EKEYREVOKED", "EKEYREJECTED", "EOWNERDEAD", "ENOTRECOVERABLE",
	"ERFKILL", "EHWPOISON",
}

// ErrnoName is the symbolic name of an errno, or its number where it has none.
func ErrnoName(e uint16) string {
	if e >= 1 && int(e) <= len(errnoNames) && errnoNames[e-1] != "" {
		return errnoNames[e-1]
	}
	return strconv.Itoa(int(e))
}

// ParseErrno reads the name of an errno, or a number from 1 to 4095.
func ParseErrno(s string) (uint16, bool) {
	switch s {
	case "":
		return 0, false
	case "EWOULDBLOCK":
		s = "EAGAIN"
	case "EDEADLOCK":
		s = "EDEADLK"
	case "ENOTSUP":
		s = "EOPNOTSUPP"
	}
	for i, name := range errnoNames {
		if name == s {
			return uint16(i + 1), true
		}
	}
	t, why, _ := parseTerm(s)
	if why != "" || t.name != "" || t.minus || t.number == 0 || t.number > maxErrno {
		return 0, false
	}
	return uint16(t.number), true
}

func errnoList() []string { return errnoNames[:] }
