# syntax=docker/dockerfile:1.7
# Every SeatPilot image, one target each: docker build --target checkin -t seatpilot-checkin .
# All targets share one build. metrics-proxy, which is nginx, has a Dockerfile of its own in apps/metrics-proxy.
#
# Both base images are pinned by tag. For a release pin them by digest, which only somebody with a registry at hand can
# look up: --build-arg RUST_IMAGE=rust:1.95.0-bookworm@sha256:… --build-arg RUNTIME_IMAGE=…@sha256:…
ARG RUST_IMAGE=rust:1.95.0-bookworm
# glibc and certificates, no shell, no package manager. As old as the builder's Debian, or the binaries do not start.
ARG RUNTIME_IMAGE=gcr.io/distroless/cc-debian12:nonroot

FROM ${RUST_IMAGE} AS build
# The image's own toolchain, whatever rust-toolchain.toml names: a build downloads no compiler.
ENV RUSTUP_TOOLCHAIN=1.95.0 CARGO_TERM_COLOR=never
WORKDIR /src
COPY . .
# The folders of cargo are kept between builds and are no part of any image. Line numbers for backtraces are left out:
# they are most of a binary, and a panic says its line without them.
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,target=/src/target,sharing=locked \
    cargo build --release --locked --bins \
      -p seatpilot -p seatpilot-checkin -p seatpilot-wayfinding -p seatpilot-telemetry-ingest \
      -p seatpilot-kpi-refresher -p seatpilot-metrics-api-app \
    && mkdir /out \
    && for binary in seatpilot checkin wayfinding telemetry-ingest kpi-refresher metrics-api; do \
         strip --strip-debug -o "/out/$binary" "target/release/$binary" || exit 1; \
       done

FROM ${RUNTIME_IMAGE} AS runtime
# The user `nonroot` of the base image, by number, so that an orchestrator sees that it is not root.
USER 65532:65532
ENV BIND=0.0.0.0 LOG_FORMAT=json SEATPILOT_ENV=production
STOPSIGNAL SIGTERM

FROM runtime AS checkin
COPY --from=build /out/checkin /usr/local/bin/checkin
ENV PORT=3100
EXPOSE 3100
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 CMD ["/usr/local/bin/checkin", "--ready"]
ENTRYPOINT ["/usr/local/bin/checkin"]

FROM runtime AS wayfinding
COPY --from=build /out/wayfinding /usr/local/bin/wayfinding
ENV PORT=3200
EXPOSE 3200
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 CMD ["/usr/local/bin/wayfinding", "--ready"]
ENTRYPOINT ["/usr/local/bin/wayfinding"]

FROM runtime AS telemetry-ingest
COPY --from=build /out/telemetry-ingest /usr/local/bin/telemetry-ingest
ENV PORT=3300
EXPOSE 3300
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 CMD ["/usr/local/bin/telemetry-ingest", "--ready"]
ENTRYPOINT ["/usr/local/bin/telemetry-ingest"]

FROM runtime AS kpi-refresher
COPY --from=build /out/kpi-refresher /usr/local/bin/kpi-refresher
ENV PORT=3400
EXPOSE 3400
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 CMD ["/usr/local/bin/kpi-refresher", "--ready"]
ENTRYPOINT ["/usr/local/bin/kpi-refresher"]

FROM runtime AS metrics-api
COPY --from=build /out/metrics-api /usr/local/bin/metrics-api
ENV PORT=8080
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 CMD ["/usr/local/bin/metrics-api", "--ready"]
ENTRYPOINT ["/usr/local/bin/metrics-api"]

# The command: migrate, venue, guests, device, key, dlq, sign. `up` starts everything on one box and needs no image.
FROM runtime AS seatpilot
COPY --from=build /out/seatpilot /usr/local/bin/seatpilot
ENTRYPOINT ["/usr/local/bin/seatpilot"]
