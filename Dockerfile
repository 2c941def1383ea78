# callgate as a static binary in an otherwise empty image:
#
#     docker build -t callgate .
#     docker run --rm callgate doctor
#
# and with the daemon, callgated, beside it:
#
#     docker build -t callgated --target callgated .
#
# Jobs need programs to run: take what they need into an image of your own.
#
#     FROM debian:bookworm-slim
#     COPY --from=callgated /callgate /callgated /usr/local/bin/
#     COPY config.yaml /etc/callgated/
#     ENTRYPOINT ["callgated"]
#
# Its state is to be on a volume, and who uses its socket from outside of the
# container must be in sight (docs/daemon.md):
#
#     docker run -d --pid=host --hostname build1 -v callgated:/var/lib/callgated -v /run/callgated:/run/callgated IMAGE
FROM golang:1.26-bookworm AS build
RUN apt-get update \
 && apt-get install -y --no-install-recommends libseccomp-dev pkg-config \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN make build

FROM scratch AS callgated
COPY --from=build /src/bin/callgate /src/bin/callgated /
ENTRYPOINT ["/callgated"]

FROM scratch AS callgate
COPY --from=build /src/bin/callgate /callgate
ENTRYPOINT ["/callgate"]
