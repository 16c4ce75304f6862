//! The routes of a service: which method of which path goes to which handler.

use std::{panic::AssertUnwindSafe, sync::Arc};

use actix_web::{
    FromRequest, Handler, HttpRequest, Responder, Route,
    body::BoxBody,
    dev::ServiceRequest,
    http::{
        Method,
        header::{self, HeaderValue},
    },
    middleware::{Next, from_fn},
    web::{self, ServiceConfig},
};
use futures_util::{FutureExt as _, future::LocalBoxFuture};
use seatpilot_domain_model::{AdminAction, Fault, FaultCode};

use crate::{
    admin::AdminGuard,
    answer::Success,
    cross_origin,
    problem::{Problem, fault_of_status, not_found},
};

/// The routes of a service. Every worker builds its own from the same closure, so what handlers share goes
/// in by [`Routes::state`].
#[derive(Default)]
pub struct Routes {
    paths: Vec<Path>,
    state: Vec<Install>,
    at_worker: Vec<Begin>,
    cross_origin: Vec<&'static str>,
}

type Install = Box<dyn FnOnce(&mut ServiceConfig)>;
type Begin = Box<dyn FnOnce()>;

struct Path {
    template: &'static str,
    routes: Vec<Entry>,
}

struct Entry {
    method: Method,
    success: Success,
    access: Access,
    route: Route,
}

/// Who may come to a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everybody, as far as the router goes: a device's token or a signature is the handler's to check.
    Open,
    /// Administrators who may do this.
    Guarded(AdminAction),
}

/// A route as a list shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RouteEntry {
    /// `GET`, `POST`, …
    pub method: &'static str,
    /// The path's template.
    pub template: &'static str,
    /// Who may come.
    pub access: Access,
}

impl Routes {
    /// Makes a value available to handlers as `web::Data<T>`.
    pub fn state<T: 'static>(&mut self, state: Arc<T>) -> &mut Self {
        self.state.push(Box::new(move |config| {
            config.app_data(web::Data::from(state));
        }));
        self
    }

    /// Done once by each worker as it begins to serve, within its own runtime: what is spawned there runs on the thread
    /// that runs its handlers.
    pub fn at_worker(&mut self, begin: impl FnOnce() + 'static) -> &mut Self {
        self.at_worker.push(Box::new(begin));
        self
    }

    /// `GET`, and `HEAD` with it.
    pub fn get<F, Args>(&mut self, template: &'static str, handler: F) -> &mut Self
    where
        F: Handler<Args>,
        F::Output: Responder + 'static,
        F::Future: 'static,
        Args: FromRequest + 'static,
    {
        self.add(Method::GET, template, Success::Ok, web::get().to(Guarded(handler.clone())), Access::Open);
        self.add(Method::HEAD, template, Success::Ok, web::head().to(Guarded(handler)), Access::Open)
    }

    /// `POST`. `success` is what the route answers when all goes well: its series is there at 0 from the
    /// first scrape.
    pub fn post<F, Args>(&mut self, template: &'static str, success: Success, handler: F) -> &mut Self
    where
        F: Handler<Args>,
        F::Output: Responder + 'static,
        F::Future: 'static,
        Args: FromRequest + 'static,
    {
        self.add(Method::POST, template, success, web::post().to(Guarded(handler)), Access::Open)
    }

    /// Lets pages of other origins call a path's `POST` with these headers, besides `content-type`, which a page may send
    /// of itself as far as forms do, and ours are not. Their browsers ask first, by `OPTIONS`, without any credential.
    pub fn cross_origin(&mut self, template: &'static str, request_headers: &[&str]) -> &mut Self {
        let list = std::iter::once("content-type").chain(request_headers.iter().copied());
        let list = list.collect::<Vec<_>>().join(", ");
        let allow = HeaderValue::from_static("POST, OPTIONS");
        // Names of headers are letters and dashes.
        let Ok(list) = HeaderValue::try_from(list) else { return self };
        let answer =
            move |request: HttpRequest| std::future::ready(cross_origin::preflight(&request, &list, &allow));
        self.cross_origin.push(template);
        let route = web::method(Method::OPTIONS).to(Guarded(answer));
        self.add(Method::OPTIONS, template, Success::NoContent, route, Access::Open)
    }

    /// The paths that pages of other origins call.
    pub(crate) fn cross_origin_templates(&self) -> Vec<&'static str> {
        self.cross_origin.clone()
    }

    /// Routes behind the administrators' guard: the only way to one that takes a
    /// [`Session`](crate::admin::Session).
    pub fn guarded(&mut self, guard: &Arc<AdminGuard>) -> GuardedRoutes<'_> {
        GuardedRoutes { routes: self, guard: Arc::clone(guard) }
    }

    fn add(
        &mut self,
        method: Method,
        template: &'static str,
        success: Success,
        route: Route,
        access: Access,
    ) -> &mut Self {
        let entry = Entry { method, success, access, route };
        match self.paths.iter_mut().find(|path| path.template == template) {
            Some(path) => path.routes.push(entry),
            None => self.paths.push(Path { template, routes: vec![entry] }),
        }
        self
    }

    /// Every route, in the order it was made; `HEAD` stands with `GET`.
    pub fn entries(&self) -> Vec<RouteEntry> {
        let all = self.paths.iter().flat_map(|path| path.routes.iter().map(move |entry| (path, entry)));
        all.filter_map(|(path, entry)| {
            let method = match entry.method.as_str() {
                "GET" => "GET",
                "POST" => "POST",
                "PUT" => "PUT",
                "DELETE" => "DELETE",
                _ => return None,
            };
            Some(RouteEntry { method, template: path.template, access: entry.access })
        })
        .collect()
    }

    /// Method, template and status of success of each route that has a series from the start.
    pub(crate) fn series(&self) -> Vec<(&'static str, &'static str, u16)> {
        let mut series = Vec::new();
        for path in &self.paths {
            for entry in &path.routes {
                match entry.method.as_str() {
                    "GET" => series.push(("GET", path.template, entry.success.as_u16())),
                    "POST" => series.push(("POST", path.template, entry.success.as_u16())),
                    _ => {}
                }
            }
        }
        series
    }

    pub(crate) fn install(self, config: &mut ServiceConfig) {
        for begin in self.at_worker {
            begin();
        }
        for state in self.state {
            state(config);
        }
        for path in self.paths {
            let allow = path.routes.iter().map(|entry| entry.method.as_str()).collect::<Vec<_>>().join(", ");
            let mut resource = web::resource(path.template);
            for entry in path.routes {
                resource = resource.route(entry.route);
            }
            config.service(resource.default_service(web::to(move || {
                let refused = method_not_allowed(&allow);
                async move { Err::<String, _>(refused) }
            })));
        }
        config.default_service(web::to(|| async { Err::<String, _>(Problem::from(not_found())) }));
    }
}

/// Makes routes that only administrators come to.
pub struct GuardedRoutes<'r> {
    routes: &'r mut Routes,
    guard: Arc<AdminGuard>,
}

impl GuardedRoutes<'_> {
    /// `GET`, and `HEAD` with it, for those who may do `action`.
    pub fn get<F, Args>(&mut self, template: &'static str, action: AdminAction, handler: F) -> &mut Self
    where
        F: Handler<Args>,
        F::Output: Responder + 'static,
        F::Future: 'static,
        Args: FromRequest + 'static,
    {
        let access = Access::Guarded(action);
        let get = self.before(action, web::get().to(Guarded(handler.clone())));
        self.routes.add(Method::GET, template, Success::Ok, get, access);
        let head = self.before(action, web::head().to(Guarded(handler)));
        self.routes.add(Method::HEAD, template, Success::Ok, head, access);
        self
    }

    /// `POST`, for those who may do `action`.
    pub fn post<F, Args>(
        &mut self,
        template: &'static str,
        action: AdminAction,
        success: Success,
        handler: F,
    ) -> &mut Self
    where
        F: Handler<Args>,
        F::Output: Responder + 'static,
        F::Future: 'static,
        Args: FromRequest + 'static,
    {
        let route = self.before(action, web::post().to(Guarded(handler)));
        self.routes.add(Method::POST, template, success, route, Access::Guarded(action));
        self
    }

    /// `PUT`, for those who may do `action`.
    pub fn put<F, Args>(&mut self, template: &'static str, action: AdminAction, handler: F) -> &mut Self
    where
        F: Handler<Args>,
        F::Output: Responder + 'static,
        F::Future: 'static,
        Args: FromRequest + 'static,
    {
        let route = self.before(action, web::put().to(Guarded(handler)));
        self.routes.add(Method::PUT, template, Success::Ok, route, Access::Guarded(action));
        self
    }

    /// `DELETE`, for those who may do `action`.
    pub fn delete<F, Args>(&mut self, template: &'static str, action: AdminAction, handler: F) -> &mut Self
    where
        F: Handler<Args>,
        F::Output: Responder + 'static,
        F::Future: 'static,
        Args: FromRequest + 'static,
    {
        let route = self.before(action, web::delete().to(Guarded(handler)));
        self.routes.add(Method::DELETE, template, Success::NoContent, route, Access::Guarded(action));
        self
    }

    fn before(&self, action: AdminAction, route: Route) -> Route {
        let guard = Arc::clone(&self.guard);
        route.wrap(from_fn(move |request: ServiceRequest, next: Next<BoxBody>| {
            let guard = Arc::clone(&guard);
            async move { guard.pass(action, request, next).await }
        }))
    }
}

fn method_not_allowed(allow: &str) -> Problem {
    let problem = Problem::from(fault_of_status(actix_web::http::StatusCode::METHOD_NOT_ALLOWED));
    match allow.parse() {
        Ok(allow) => problem.with_header(header::ALLOW, allow),
        Err(_) => problem,
    }
}

/// A handler whose panic is an answer: a 500 with the request's id instead of a connection that breaks. The
/// panic's own message goes to standard error by the standard hook; the fault says only that it happened.
#[derive(Clone)]
struct Guarded<F>(F);

impl<F, Args> Handler<Args> for Guarded<F>
where
    F: Handler<Args>,
    F::Output: 'static,
    F::Future: 'static,
{
    type Output = Result<F::Output, Problem>;
    type Future = LocalBoxFuture<'static, Self::Output>;

    fn call(&self, args: Args) -> Self::Future {
        let handler = self.0.call(args);
        Box::pin(async move {
            AssertUnwindSafe(handler).catch_unwind().await.map_err(|_| {
                let cause = Fault::new(FaultCode::Internal, "a handler panicked");
                Problem::from(Fault::internal().with_cause(cause))
            })
        })
    }
}
