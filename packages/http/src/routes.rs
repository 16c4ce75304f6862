//! The routes of a service: which method of which path goes to which handler.

use std::{panic::AssertUnwindSafe, sync::Arc};

use actix_web::{
    FromRequest, Handler, Responder, Route,
    http::{Method, header},
    web::{self, ServiceConfig},
};
use futures_util::{FutureExt as _, future::LocalBoxFuture};
use seatpilot_domain_model::{Fault, FaultCode};

use crate::{
    answer::Success,
    problem::{Problem, fault_of_status, not_found},
};

/// The routes of a service. Every worker builds its own from the same closure, so what handlers share goes
/// in by [`Routes::state`].
#[derive(Default)]
pub struct Routes {
    paths: Vec<Path>,
    state: Vec<Install>,
}

type Install = Box<dyn FnOnce(&mut ServiceConfig)>;

struct Path {
    template: &'static str,
    routes: Vec<(Method, Success, Route)>,
}

impl Routes {
    /// Makes a value available to handlers as `web::Data<T>`.
    pub fn state<T: 'static>(&mut self, state: Arc<T>) -> &mut Self {
        self.state.push(Box::new(move |config| {
            config.app_data(web::Data::from(state));
        }));
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
        self.add(Method::GET, template, Success::Ok, handler.clone());
        self.add(Method::HEAD, template, Success::Ok, handler)
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
        self.add(Method::POST, template, success, handler)
    }

    fn add<F, Args>(
        &mut self,
        method: Method,
        template: &'static str,
        success: Success,
        handler: F,
    ) -> &mut Self
    where
        F: Handler<Args>,
        F::Output: Responder + 'static,
        F::Future: 'static,
        Args: FromRequest + 'static,
    {
        let route = web::method(method.clone()).to(Guarded(handler));
        match self.paths.iter_mut().find(|path| path.template == template) {
            Some(path) => path.routes.push((method, success, route)),
            None => self.paths.push(Path { template, routes: vec![(method, success, route)] }),
        }
        self
    }

    /// Method, template and status of success of each route that has a series from the start.
    pub(crate) fn series(&self) -> Vec<(&'static str, &'static str, u16)> {
        let mut series = Vec::new();
        for path in &self.paths {
            for (method, success, _) in &path.routes {
                match method.as_str() {
                    "GET" => series.push(("GET", path.template, success.as_u16())),
                    "POST" => series.push(("POST", path.template, success.as_u16())),
                    _ => {}
                }
            }
        }
        series
    }

    pub(crate) fn install(self, config: &mut ServiceConfig) {
        for state in self.state {
            state(config);
        }
        for path in self.paths {
            let allow = path.routes.iter().map(|(method, ..)| method.as_str()).collect::<Vec<_>>().join(", ");
            let mut resource = web::resource(path.template);
            for (_, _, route) in path.routes {
                resource = resource.route(route);
            }
            config.service(resource.default_service(web::to(move || {
                let refused = method_not_allowed(&allow);
                async move { Err::<String, _>(refused) }
            })));
        }
        config.default_service(web::to(|| async { Err::<String, _>(Problem::from(not_found())) }));
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
