//! The libraries that others send with, of Node and of Python. What the real Standard Webhooks libraries sign is let in, and
//! they and the service refuse the same; what the real CloudEvents libraries write is stored.

use std::path::{Path, PathBuf};

use base64::{Engine, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::process::Command;
use uuid::Uuid;

use crate::{
    hostile::run,
    service::{KEY_ID, PATH, SECRET, Service, Signed, event_with},
};

/// Reads `[{ secret, id, seconds, body }]`, answers the signatures.
const SIGN_IN_PYTHON: &str = "
import datetime, json, sys
from standardwebhooks.webhooks import Webhook
print(json.dumps([Webhook(one['secret']).sign(one['id'], datetime.datetime.fromtimestamp(one['seconds'], datetime.timezone.utc),
    one['body']) for one in json.load(sys.stdin)]))";
const SIGN_IN_NODE: &str = "
const { Webhook } = require('standardwebhooks');
const asked = JSON.parse(require('fs').readFileSync(0, 'utf8'));
console.log(JSON.stringify(asked.map((one) => new Webhook(one.secret).sign(one.id, new Date(one.seconds * 1000), one.body))));";
/// Reads `[{ secret, headers, body }]`, answers whether each is good.
const VERIFY_IN_PYTHON: &str = "
import json, sys
from standardwebhooks.webhooks import Webhook, WebhookVerificationError
def good(one):
    try:
        Webhook(one['secret']).verify(one['body'], one['headers'])
        return True
    except (WebhookVerificationError, ValueError):
        return False
print(json.dumps([good(one) for one in json.load(sys.stdin)]))";
const VERIFY_IN_NODE: &str = "
const { Webhook } = require('standardwebhooks');
const asked = JSON.parse(require('fs').readFileSync(0, 'utf8'));
console.log(JSON.stringify(asked.map((one) => {
  try { new Webhook(one.secret).verify(one.body, one.headers); return true; } catch { return false; }
})));";

#[derive(Debug, Clone, Copy)]
enum Library {
    Python,
    Node,
}

impl Library {
    async fn asked(self, folder: &Path, python: &str, node: &str, question: &Value) -> Vec<Value> {
        let mut command = match self {
            Self::Python => Command::new(folder.join("bin/python")),
            Self::Node => Command::new("node"),
        };
        match self {
            Self::Python => command.args(["-I", "-c", python]),
            Self::Node => command.args(["-e", node]).env("NODE_PATH", folder.join("node_modules")),
        };
        serde_json::from_str(&run(command, question.to_string().as_bytes()).await).unwrap()
    }
}

/// One request as a sender of webhooks makes it.
#[derive(Debug, Clone)]
struct Webhook {
    id: String,
    seconds: i64,
    signature: String,
    body: String,
}

impl Webhook {
    async fn status(&self, service: &Service) -> u16 {
        let request = service
            .client
            .post(format!("{}{PATH}", service.url))
            .header("x-key", KEY_ID)
            .header("webhook-id", &self.id)
            .header("webhook-timestamp", self.seconds.to_string())
            .header("webhook-signature", &self.signature);
        request.body(self.body.clone()).send().await.unwrap().status().as_u16()
    }

    fn to_verify(&self, secret: &str) -> Value {
        let headers = json!({
            "webhook-id": self.id,
            "webhook-timestamp": self.seconds.to_string(),
            "webhook-signature": self.signature,
        });
        json!({ "secret": secret, "headers": headers, "body": self.body })
    }
}

#[tokio::test]
async fn what_the_real_standard_webhooks_libraries_sign_is_let_in_and_both_refuse_the_same() {
    let Some(folder) = libraries() else { return };
    let service = Service::start().await;
    let secret = STANDARD.encode(SECRET);
    for library in [Library::Python, Library::Node] {
        let now = Timestamp::now().as_second();
        let bodies = [
            event_with(Uuid::now_v7(), json!({})).to_string(),
            json!([
                event_with(Uuid::now_v7(), json!({ "note": "año ☃ 𝄞" })),
                event_with(Uuid::now_v7(), json!({}))
            ])
            .to_string(),
        ];
        let asked: Vec<Value> = bodies
            .iter()
            .map(|body| json!({ "secret": secret, "id": id(), "seconds": now, "body": body }))
            .collect();
        let signatures = library.asked(&folder, SIGN_IN_PYTHON, SIGN_IN_NODE, &json!(asked)).await;
        let mut good: Vec<Webhook> = Vec::new();
        for ((body, asked), signature) in bodies.iter().zip(&asked).zip(&signatures) {
            let id = asked["id"].as_str().unwrap().to_owned();
            let signature = signature.as_str().unwrap().to_owned();
            good.push(Webhook { id, seconds: now, signature, body: body.clone() });
        }
        for one in &good {
            assert_eq!(one.status(&service).await, 202, "{library:?} {one:?}");
        }

        // Each as the library made it, and then with one thing wrong: what it thinks of it, the service thinks too.
        let one = &good[0];
        let cases = [
            one.clone(),
            Webhook { body: one.body.replace('{', "{ "), ..one.clone() },
            Webhook { id: id(), ..one.clone() },
            Webhook { seconds: now - 1, ..one.clone() },
            Webhook { seconds: now - 400, ..one.clone() },
            Webhook { signature: format!("v1,{}", STANDARD.encode([0; 32])), ..one.clone() },
            Webhook { signature: good[1].signature.clone(), ..one.clone() },
            Webhook { signature: format!("{} {}", good[1].signature, one.signature), ..one.clone() },
        ];
        let questions: Vec<Value> = cases.iter().map(|case| case.to_verify(&secret)).collect();
        let verdicts = library.asked(&folder, VERIFY_IN_PYTHON, VERIFY_IN_NODE, &json!(questions)).await;
        let mut accepted = 0;
        for (case, verdict) in cases.iter().zip(&verdicts) {
            let verdict = verdict.as_bool().unwrap();
            let status = case.status(&service).await;
            // The good ones are replays by now.
            assert_eq!(status, if verdict { 202 } else { 401 }, "{library:?} says {verdict}: {case:?}");
            accepted += u32::from(verdict);
        }
        assert_eq!(accepted, 2);
    }
}

/// Answers content type and body, of one event and of three.
const WRITE_IN_PYTHON: &str = "
import json, sys, uuid
from cloudevents.v1.http import CloudEvent, to_structured
def made(n):
    return CloudEvent({'type': 'device.heartbeat', 'source': '/gates/north-1', 'venueid': 'arena', 'channel': 'signage',
        'id': str(uuid.uuid4())}, {'n': n, 'of': 'python'})
headers, body = to_structured(made(0))
batch = '[' + ','.join(to_structured(made(n))[1].decode() for n in (1, 2, 3)) + ']'
print(json.dumps([[headers['content-type'], body.decode()], ['application/cloudevents-batch+json', batch]]))";
const WRITE_IN_NODE: &str = "
const { CloudEvent, HTTP } = require('cloudevents');
const made = (n) => new CloudEvent({ type: 'device.heartbeat', source: '/gates/north-1', venueid: 'arena',
  channel: 'signage', data: { n, of: 'node' } });
const one = HTTP.structured(made(0));
const batch = JSON.stringify([1, 2, 3].map(made));
console.log(JSON.stringify([[one.headers['content-type'], one.body], ['application/cloudevents-batch+json', batch]]));";

#[tokio::test]
async fn what_the_real_cloud_events_libraries_write_is_stored() {
    let Some(folder) = libraries() else { return };
    let service = Service::start().await;
    for (library, name) in [(Library::Python, "python"), (Library::Node, "node")] {
        for written in library.asked(&folder, WRITE_IN_PYTHON, WRITE_IN_NODE, &json!([])).await {
            let (kind, body) = (written[0].as_str().unwrap(), written[1].as_str().unwrap());
            assert!(kind.starts_with("application/cloudevents"), "{kind}");
            let mut signed = Signed::now(body);
            signed.headers.push(("content-type".to_owned(), kind.to_owned()));
            let reply = service.send(&signed).await;
            assert_eq!(reply.status, 202, "{body}: {}", reply.text);
            let again = service.send(&Signed::now(body)).await;
            let (first, second) = (reply.json(), again.json());
            assert_eq!(first["accepted"], second["duplicates"], "{first} {second}");
            assert_eq!(first["rejected"], 0, "{first}");
        }
        let rows = service
            .db
            .owner()
            .await
            .query(
                "select venue_id, channel, source from telemetry.events_raw \
                 where tenant_id = 'acme' and type = 'device.heartbeat' and data ->> 'of' = $1 order by data -> 'n'",
                &[&name],
            )
            .await
            .unwrap();
        assert_eq!(rows.len(), 4);
        for row in rows {
            let stored: [String; 3] = [row.get(0), row.get(1), row.get(2)];
            assert_eq!(stored, ["arena", "signage", KEY_ID]);
        }
    }
}

/// Where they are; none where they could not be had, which is said.
pub(crate) fn libraries() -> Option<PathBuf> {
    let tools = seatpilot_testkit::tools_folder();
    if let Ok(reason) = std::fs::read_to_string(tools.join("senders.missing")) {
        println!("SKIPPED: the libraries of senders: {}", reason.trim());
        return None;
    }
    let folder = tools.join("senders");
    assert!(folder.join("versions").exists(), "scripts/test.sh fetches the libraries of senders");
    Some(folder)
}

fn id() -> String {
    format!("msg_{}", Uuid::now_v7().simple())
}
