//! A server: bound, serving, draining.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use actix_http::{HttpServiceBuilder, KeepAlive};
use actix_service::{IntoServiceFactory as _, ServiceFactoryExt as _, fn_service, map_config};
use actix_web::{App, dev::AppConfig, middleware::from_fn, web::Data};
use seatpilot_metrics_api::{Metrics, SpanReading};
use seatpilot_runtime::{
    Clock, Failure, Readiness, ServiceConfig, Shutdown,
    traces::{Exporter, Tracer},
};

use tokio::net::{TcpSocket, TcpStream};

use crate::{
    connection::Connection,
    cross_origin::CrossOrigin,
    edge::{Edge, edge as edge_of_every_request},
    probes::{self, Probes},
    routes::Routes,
    slow::SlowLines,
};

/// How long the head of a request may take.
pub(crate) const HEAD_DEADLINE: Duration = Duration::from_secs(2);
/// How long a connection may be idle between requests. Longer than the 60 s of nginx' upstreams, so that
/// the proxy closes first and never sends into a closing connection.
pub(crate) const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// How long a connection may take to close.
const DISCONNECT_DEADLINE: Duration = Duration::from_secs(1);
/// Most connections of one worker.
const CONNECTIONS_MAX: usize = 8_192;
/// Most connections that wait to be accepted.
const BACKLOG: u32 = 1_024;
/// How long requests under way may take after the drain. With the pause before it, under 15 s in all.
const IN_FLIGHT_SECONDS: u64 = 8;
/// How long the last traces may take to their collector: with the two before it, still under 14.5 s.
const LAST_TRACES_MAX: Duration = Duration::from_secs(1);

/// What a server is made of.
#[derive(Debug)]
pub struct ServeOptions {
    /// Where to listen, under which name, and how long to drain.
    pub config: ServiceConfig,
    /// The binary's version: `env!("CARGO_PKG_VERSION")`.
    pub version: &'static str,
    /// The time.
    pub clock: Clock,
    /// Whether the process was asked to end.
    pub shutdown: Shutdown,
    /// Whether it may be sent work.
    pub readiness: Readiness,
    /// Its metrics, rendered at `/metrics`; requests are observed there.
    pub metrics: Arc<Metrics>,
    /// Its OpenAPI document, from [`openapi::document`](crate::openapi::document).
    pub openapi: String,
}

/// A server that is bound and will serve: connections wait from now on.
pub struct Server {
    inner: actix_server::Server,
    address: SocketAddr,
    shutdown: Shutdown,
    readiness: Readiness,
    drain: Duration,
    tracer: Option<Tracer>,
    traces: Option<Exporter>,
}

/// The address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("{service} cannot listen on {address}: {reason}")]
pub struct BindError {
    service: &'static str,
    address: SocketAddr,
    reason: String,
}

impl BindError {
    fn new(service: &'static str, address: SocketAddr, error: &io::Error) -> Self {
        let reason = match error.kind() {
            io::ErrorKind::AddrInUse => {
                "the port is in use; stop what listens there, or set PORT to another".to_owned()
            }
            io::ErrorKind::AddrNotAvailable => "this machine has no such address; set BIND".to_owned(),
            io::ErrorKind::PermissionDenied => "the port is not allowed to this user; set PORT".to_owned(),
            _ => error.to_string(),
        };
        Self { service, address, reason }
    }
}

impl Server {
    /// Binds the address and prepares the routes. `routes` is called once here and once by each worker.
    ///
    /// # Errors
    /// [`BindError`], one sentence with the way out.
    pub fn bind(
        options: ServeOptions,
        routes: impl Fn(&mut Routes) + Clone + Send + 'static,
    ) -> Result<Self, BindError> {
        let ServeOptions { config, version, clock, shutdown, readiness, metrics, openapi } = options;
        let (service, drain) = (config.service, config.drain);
        let wanted = SocketAddr::new(config.bind, config.port);
        let probes = Arc::new(Probes {
            service,
            version,
            readiness: readiness.clone(),
            metrics: Arc::clone(&metrics),
            openapi: openapi.into(),
        });
        let all_routes = move || {
            let mut all = Routes::default();
            probes::routes(&mut all, &probes);
            routes(&mut all);
            all
        };
        let known = all_routes();
        metrics.http().add_routes(known.series());
        let cross_origin = CrossOrigin::new(known.cross_origin_templates());

        let bound = listen(wanted).map_err(|error| BindError::new(service, wanted, &error))?;
        let address = bound.local_addr().unwrap_or(wanted);
        let (tracer, traces) = Tracer::start(&config.service_name, version, &config.traces, &clock).unzip();
        if let Some(tracer) = tracer.clone() {
            metrics.watch_traces(move || {
                let counts = tracer.counts();
                SpanReading { sent: counts.sent, dropped: counts.dropped }
            });
        }
        let slow = SlowLines::default();
        let edge = Arc::new(Edge {
            clock,
            shutdown: shutdown.clone(),
            metrics,
            tracer: tracer.clone(),
            slow,
            cross_origin,
        });
        let builder = actix_server::Server::build()
            .max_concurrent_connections(CONNECTIONS_MAX)
            .shutdown_timeout(IN_FLIGHT_SECONDS)
            // Ours begin the drain instead.
            .disable_signals();
        let going_down = builder.graceful_shutdown_signal();
        // What `actix_web::HttpServer` does, around a stream of ours.
        let inner = builder
            .listen(service, bound, move || {
                let (edge, all_routes) = (Arc::clone(&edge), all_routes.clone());
                let state = Data::from(Arc::clone(&edge));
                let app = App::new()
                    .app_data(state)
                    .wrap(from_fn(edge_of_every_request))
                    .configure(|config| all_routes().install(config))
                    .into_factory()
                    .map_err(|error: actix_web::Error| error.error_response());
                let going_down = going_down.clone();
                let http = HttpServiceBuilder::default()
                    .graceful_shutdown_signal(move || {
                        let going_down = going_down.clone();
                        async move { going_down.notified().await }
                    })
                    .client_request_timeout(HEAD_DEADLINE)
                    .client_disconnect_timeout(DISCONNECT_DEADLINE)
                    .keep_alive(KeepAlive::Timeout(KEEP_ALIVE))
                    .local_addr(address)
                    .on_connect_ext(|connection: &Connection<TcpStream>, data| {
                        data.insert(connection.pace());
                    })
                    .h1(map_config(app, |()| AppConfig::default()));
                fn_service(move |stream: TcpStream| {
                    // An answer is one write: waiting for more to fill a segment would only delay it.
                    let _ = stream.set_nodelay(true);
                    let peer = stream.peer_addr().ok();
                    std::future::ready(Ok((Connection::new(stream, Arc::clone(&edge)), peer)))
                })
                .and_then(http)
            })
            .map_err(|error| BindError::new(service, wanted, &error))?
            .run();

        Ok(Self { inner, address, shutdown, readiness, drain, tracer, traces })
    }

    /// What begins traces, for work that does not come by HTTP; none where nobody collects them.
    pub fn tracer(&self) -> Option<&Tracer> {
        self.tracer.as_ref()
    }

    /// The address that was bound, with the port that was found where 0 was asked for.
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// `http://` and the address, as a client on this machine reaches it.
    pub fn url(&self) -> String {
        let ip = match self.address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::from([127, 0, 0, 1]),
            IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]),
            ip => ip,
        };
        format!("http://{}", SocketAddr::new(ip, self.address.port()))
    }

    /// Serves until the shutdown begins, then drains: `/ready` says 503 at once, requests go on being
    /// served for the pause that balancers need, then no connection is accepted any more and what is under
    /// way has 8 s to end.
    ///
    /// # Errors
    /// The server ended by itself; or the store turned out to be one that this process must not use: what is under way is
    /// not waited for then, for none of it may be answered.
    pub async fn run(mut self) -> Result<(), Failure> {
        let traces = self.traces.take();
        let ended = self.serve().await;
        // Whoever traces wants the last requests above all.
        if let Some(traces) = traces {
            traces.end(LAST_TRACES_MAX).await;
        }
        ended
    }

    async fn serve(self) -> Result<(), Failure> {
        let Self { inner, address, shutdown, readiness, drain, tracer: _, traces: _ } = self;
        tracing::info!(%address, "listening");
        let handle = inner.handle();
        tokio::pin!(inner);
        tokio::select! {
            ended = &mut inner => return Ok(ended?),
            faults = readiness.refused() => return Err(faults.into()),
            () = shutdown.begun() => {}
        }
        tracing::info!(drain_ms = u64::try_from(drain.as_millis()).unwrap_or(u64::MAX), "draining");
        readiness.drain();
        tokio::select! {
            ended = &mut inner => return Ok(ended?),
            () = tokio::time::sleep(drain) => {}
        }
        let ((), ended) = tokio::join!(handle.stop(true), inner);
        tracing::info!("drained");
        Ok(ended?)
    }
}

/// A listener with a backlog of ours: the standard library's is 128, and gates open all at once.
fn listen(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // A restart must not wait for connections of the last process to be forgotten.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)?.into_std()
}

impl std::fmt::Debug for Server {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Server").field("address", &self.address).finish_non_exhaustive()
    }
}
