module callgate

go 1.26.0
