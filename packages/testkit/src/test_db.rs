//! A database of one test.

use seatpilot_runtime::SecretString;
use seatpilot_store::admin::Admin;
use uuid::Uuid;

use crate::server::{self, connect};
use crate::template::TEMPLATE;

/// A migrated database of one test, dropped with this value.
#[derive(Debug)]
pub struct TestDb {
    server: String,
    name: String,
}

impl TestDb {
    /// Clones the template.
    pub async fn new() -> Self {
        Self::made_from(server::url().await, TEMPLATE).await
    }

    /// On a server of the test's own (the superuser's URL, without a database), migrated there.
    pub async fn on(server: &str) -> Self {
        let db = Self::made_from(server.trim_end_matches('/'), "template0").await;
        let mut owner =
            Admin::connect(&SecretString::from(db.owner_url().as_str())).await.expect("the owner may");
        owner.migrate(|_| {}).await.expect("the migrations apply");
        db
    }

    /// A database without any schema, for whoever migrates it himself.
    pub async fn empty() -> Self {
        Self::made_from(server::url().await, "template0").await
    }

    async fn made_from(server: &str, template: &str) -> Self {
        let name = format!("t_{}", Uuid::now_v7().simple());
        let client = connect(&format!("{server}/postgres")).await.expect("the server of the tests answers");
        client
            .batch_execute(&format!("create database {name} template {template}"))
            .await
            .expect("the template is cloned");
        Self { server: server.to_owned(), name }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A URL of the superuser, who owns everything in it.
    pub fn owner_url(&self) -> String {
        format!("{}/{}", self.server, self.name)
    }

    /// A URL of a role that the migrations make (`seatpilot_checkin`, …), which needs no password here.
    pub fn url_as(&self, role: &str) -> String {
        let (scheme, rest) = self.server.split_once("://").expect("a URL");
        let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
        format!("{scheme}://{role}@{host}/{}", self.name)
    }

    /// A connection of the superuser.
    pub async fn owner(&self) -> tokio_postgres::Client {
        connect(&self.owner_url()).await.expect("the database answers")
    }

    /// A connection of a role.
    pub async fn client_as(&self, role: &str) -> tokio_postgres::Client {
        connect(&self.url_as(role)).await.expect("the role may connect")
    }
}

impl Drop for TestDb {
    /// Best effort: whatever is left is dropped with the server, or when the shared one starts next.
    fn drop(&mut self) {
        let (url, name) = (format!("{}/postgres", self.server), self.name.clone());
        // A runtime of its own: the test's may be single-threaded and is busy dropping us.
        let dropping = std::thread::spawn(move || {
            let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
                return;
            };
            runtime.block_on(async {
                let within = std::time::Duration::from_secs(10);
                let _ = tokio::time::timeout(within, async {
                    if let Ok(client) = connect(&url).await {
                        let _ = client
                            .batch_execute(&format!("drop database if exists {name} with (force)"))
                            .await;
                    }
                })
                .await;
            });
        });
        let _ = dropping.join();
    }
}
