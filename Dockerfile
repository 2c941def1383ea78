# callgate as a static binary in an otherwise empty image.
#
#     docker build -t callgate .
#     docker run --rm callgate doctor
#
# To use it in an image of your own:
#
#     COPY --from=callgate /callgate /usr/local/bin/callgate
FROM golang:1.26-bookworm AS build
RUN apt-get update \
 && apt-get install -y --no-install-recommends libseccomp-dev pkg-config \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN make build

FROM scratch
COPY --from=build /src/bin/callgate /callgate
ENTRYPOINT ["/callgate"]
