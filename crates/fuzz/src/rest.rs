//! Requests of the registry's REST interface: any method, path, query string, headers and body, at the door's own router.
//!
//! An input is a few requests after each other, each as HTTP writes it: a line with method and target, headers, an empty
//! line, the body. What HTTP itself does not take (a target that is none) never gets to the router and is passed over.

use std::{cell::RefCell, fs, sync::Arc, time::Duration};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::ConnectInfo,
    http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri, header},
    response::Response,
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use ldop_contract::control::v1::{ApplyChangeSetRequest, Change};
use ldop_control::{Control, Options, Rules};
use ldop_definitions::References;
use ldop_gateway::{
    Identity,
    listener::Peer,
    metrics::Metrics,
    rest::{Rest, credentials::Credentials, router},
};
use ldop_log::{MessageLog, embedded};
use ldop_types::Reason;
use prometheus::Registry;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::runtime::Runtime;
use tower::ServiceExt as _;

use crate::ids::DOMAIN;

/// Stands between the requests of an input.
const BETWEEN: u8 = 0x1e;
/// Requests of an input that are made.
const MOST: usize = 4;
/// A piece of a request so long that no answer to a mistake may repeat it, bytes.
const ECHO: usize = 600;
/// Statuses and error codes of docs/registry.md.
const CODES: &[(u16, &[u64])] = &[
    (400, &[400]),
    (401, &[40101]),
    (403, &[40301]),
    (404, &[404, 40401, 40402, 40403, 40404, 40405, 40406, 40407, 40408, 40409]),
    (405, &[405]),
    (409, &[40901]),
    (422, &[42201, 42202, 42203, 42204, 42205, 42206, 42208, 42209, 42210]),
];
const SECRET: &str = "s3cret";

/// What the schemas of the door are bound to, who knows a secret, and who is suspended.
const DEFINITIONS: &str = r#"
[[element]]
id = "reference.name"
name_vi = "Tên"
type = "string"
max_length = 100
sensitivity = "none"
source = "test"
[[agency]]
id = "so-tu-phap"
name_vi = "Sở Tư pháp"
[[system]]
id = "so-tu-phap/ho-tich"
name_vi = "Hộ tịch"
[[system]]
id = "so-tu-phap/cu"
name_vi = "Cũ"
suspended = true
"#;

/// Requests that make what the others ask about.
const SETTING: [(&str, &str); 9] = [
    ("POST /subjects/name/versions", NAME),
    ("POST /subjects/name/versions", NAME_AGAIN),
    ("POST /subjects/person-value/versions", PERSON),
    ("POST /subjects/ho%20t%E1%BB%8Bch%2F1/versions", NAME),
    ("POST /subjects/gone/versions", NAME),
    ("DELETE /subjects/gone", ""),
    ("PUT /config/name", r#"{"compatibility": "FULL"}"#),
    ("PUT /mode/closed", r#"{"mode": "READONLY"}"#),
    ("PUT /mode/open", r#"{"mode": "IMPORT"}"#),
];
const NAME: &str = r#"{"schemaType": "JSON", "schema": "{\"type\":\"object\",\"properties\":{\"name\":{\"type\":\"string\",\"maxLength\":50,\"x-ldop-element\":\"reference.name\"}}}"}"#;
const NAME_AGAIN: &str = r#"{"schemaType": "JSON", "schema": "{\"type\":\"object\",\"properties\":{\"name\":{\"type\":\"string\",\"maxLength\":60,\"x-ldop-element\":\"reference.name\"}}}", "metadata": {"properties": {"owner": "Sở Tư pháp"}, "tags": {"a": ["PII"]}, "sensitive": []}}"#;
const PERSON: &str = r#"{"schemaType": "JSON", "schema": "{\"type\":\"object\",\"properties\":{\"name\":{\"$ref\":\"name.json#/properties/name\"}}}", "references": [{"name": "name.json", "subject": "name", "version": 1}]}"#;

/// A hub's REST door without the network before it, and the definitions behind it.
struct Door {
    router: Router,
    control: Arc<Control>,
    _folder: tempfile::TempDir,
}

thread_local! {
    static RUNTIME: Runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime starts");
    /// As it was made: one that changed is thrown away, so that an input does the same whatever came before it.
    static DOOR: RefCell<Option<Door>> = const { RefCell::new(None) };
}

pub(crate) fn run(data: &[u8]) {
    RUNTIME.with(|runtime| {
        let door = DOOR.take().unwrap_or_else(|| runtime.block_on(Door::open()));
        let before = door.control.state().head;
        for request in data.split(|byte| *byte == BETWEEN).take(MOST) {
            if let Some(request) = parse(request) {
                runtime.block_on(door.ask(request));
            }
        }
        if door.control.state().head == before {
            DOOR.set(Some(door));
        }
    });
}

/// What was asked, kept beside the answer.
struct Asked {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Vec<u8>,
}

/// A request, as far as HTTP takes it.
fn parse(data: &[u8]) -> Option<Asked> {
    let (line, mut rest) = line(data);
    let at = line.iter().position(|byte| *byte == b' ')?;
    let (method, uri) = (Method::from_bytes(&line[..at]).ok()?, Uri::try_from(&line[at + 1..]).ok()?);
    let mut headers = HeaderMap::new();
    loop {
        let (header, after) = self::line(rest);
        rest = after;
        if header.is_empty() {
            break;
        }
        let at = header.iter().position(|byte| *byte == b':')?;
        let value = HeaderValue::from_bytes(header[at + 1..].trim_ascii()).ok()?;
        headers.append(HeaderName::from_bytes(&header[..at]).ok()?, value);
    }
    Some(Asked { method, uri, headers, body: rest.to_vec() })
}

fn line(data: &[u8]) -> (&[u8], &[u8]) {
    match data.iter().position(|byte| *byte == b'\n') {
        Some(at) => (&data[..at], &data[at + 1..]),
        None => (data, &[]),
    }
}

impl Door {
    async fn open() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let definitions = folder.path().join("definitions");
        fs::create_dir(&definitions).expect("the folder is ours");
        fs::write(definitions.join("a.toml"), DEFINITIONS).expect("the folder is ours");
        let loaded = ldop_definitions::load(&[definitions], References::Within).expect("definitions are right");
        let changes: Vec<Change> = loaded.changes.into_iter().map(|(_, change)| change).collect();
        let log: Arc<dyn MessageLog> =
            embedded::EmbeddedLog::open(embedded::Config::new(folder.path().join("log"))).expect("a log opens");
        let options = Options {
            dir: folder.path().to_owned(),
            node_id: [1; 16],
            deadline: Duration::from_secs(60),
            agreements: Rules::without_approvals(),
        };
        let control = Control::open(log, options).await.expect("a control log opens");
        let request = ApplyChangeSetRequest { change_id: vec![1; 16], changes, ..Default::default() };
        control.apply("operator so-khcn/fuzz", request).await.expect("definitions are taken");
        let digest = Sha256::digest(SECRET).iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
        let credentials = [
            ("operator", "operator = \"so-khcn/fuzz\""),
            ("system", "system = \"so-tu-phap/ho-tich\""),
            ("suspended", "system = \"so-tu-phap/cu\""),
        ]
        .map(|(name, who)| format!("[[credential]]\nname = \"{name}\"\n{who}\nsecret_sha256 = \"{digest}\"\n"));
        let door = Self {
            router: router(Rest {
                control: Arc::clone(&control),
                credentials: Arc::new(Credentials::parse(&credentials.concat()).expect("credentials are right")),
                metrics: Arc::new(Metrics::new(&Registry::new(), "0", "embedded").expect("no name is taken")),
            }),
            control,
            _folder: folder,
        };
        for (line, body) in SETTING {
            let asked = parse(&seed(line, &[], body)).expect("a request");
            let (status, answer) = read(door.call(&asked).await).await;
            assert_eq!(status, StatusCode::OK, "{line}: {}", String::from_utf8_lossy(&answer));
        }
        door
    }

    /// Asks as an operator with a certificate; with the header `authorization` as somebody without one.
    async fn call(&self, asked: &Asked) -> Response {
        let operator = "spiffe://ldop.gialai.example/agency/so-khcn/operator/fuzz";
        let identity = if asked.headers.contains_key(header::AUTHORIZATION) {
            Err(Reason::CertificateWithoutIdentity)
        } else {
            Ok(Identity::parse(operator, DOMAIN).expect("an identity"))
        };
        let mut request = Request::new(Body::from(asked.body.clone()));
        *request.method_mut() = asked.method.clone();
        *request.uri_mut() = asked.uri.clone();
        *request.headers_mut() = asked.headers.clone();
        request.extensions_mut().insert(ConnectInfo(Peer { identity }));
        match self.router.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }

    async fn ask(&self, asked: Asked) {
        let before = self.control.state();
        let response = self.call(&asked).await;
        let challenged = response.headers().contains_key(header::WWW_AUTHENTICATE);
        let (status, answer) = read(response).await;
        let after = self.control.state();
        let reads = asked.method.is_safe();
        if reads || status != StatusCode::OK {
            assert_eq!(after.head, before.head, "what is refused, or only reads, changes nothing");
            assert_eq!(after.digest(), before.digest(), "and nothing by halves");
        } else {
            assert!(after.head.sequence <= before.head.sequence + 1, "one request is one change");
        }
        assert_eq!(challenged, status == StatusCode::UNAUTHORIZED, "who is not known is told how to be");
        if answer.is_empty() {
            return assert_eq!(asked.method, Method::HEAD, "everybody gets an answer");
        }
        let answer: Value = serde_json::from_slice(&answer).expect("an answer is JSON");
        if status != StatusCode::OK {
            told(status, &answer, &asked);
        }
    }
}

async fn read(response: Response) -> (StatusCode, Vec<u8>) {
    let status = response.status();
    let body = to_bytes(response.into_body(), usize::MAX).await.expect("an answer has all of its body");
    (status, body.to_vec())
}

/// Looks at an error.
fn told(status: StatusCode, error: &Value, asked: &Asked) {
    let Some((_, codes)) = CODES.iter().find(|(known, _)| *known == status.as_u16()) else {
        panic!("status {status} is not documented: {error}");
    };
    let code = error["error_code"].as_u64().expect("an error has a code");
    assert!(codes.contains(&code), "{code} is no code of {status}");
    let message = error["message"].as_str().expect("an error has a message");
    assert!(!message.is_empty());
    assert_eq!(error.as_object().map(serde_json::Map::len), Some(2), "clients know no other fields");
    for sent in [asked.uri.path().as_bytes(), asked.uri.query().unwrap_or_default().as_bytes(), &asked.body] {
        // Every piece of twice that length holds one of these.
        for piece in sent.chunks_exact(ECHO) {
            let repeated = message.as_bytes().windows(ECHO).any(|window| window == piece);
            assert!(!repeated, "an error repeats what was sent: {message}");
        }
    }
}

fn seed(line: &str, headers: &[(&str, &str)], body: &str) -> Vec<u8> {
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
    format!("{line}\n{headers}\n{body}").into_bytes()
}

/// Requests without a body.
const READS: [&str; 30] = [
    "GET /",
    "GET /subjects?subjectPrefix=:*:na&deleted=True&deletedOnly=false&offset=0&limit=-1",
    "GET /subjects?deleted=FALSE&deleted=1",
    "GET /subjects/name/versions?deletedOnly=TRUE&unknown=x&limit=2",
    "GET /subjects/:.:name/versions/latest",
    "GET /subjects/ho%20t%E1%BB%8Bch%2F1/versions/-1",
    "GET /subjects/gone/versions/1?deleted=true",
    "GET /subjects/name/versions/2147483648",
    "GET /subjects/name/versions/2/schema",
    "GET /subjects/name/versions/1/referencedby?offset=0",
    "GET /subjects/name/metadata?key=owner&value=S%E1%BB%9F+T%C6%B0+ph%C3%A1p",
    "GET /schemas?subjectPrefix=n&latestOnly=True&deleted=true",
    "GET /schemas/types",
    "GET /schemas/ids/1?subject=name&fetchMaxId=True",
    "GET /schemas/ids/1/schema",
    "GET /schemas/ids/1/subjects?deleted=true",
    "GET /schemas/ids/4294967296/versions",
    "GET /schemas/guids/00000000-0000-0000-0000-000000000000",
    "GET /config/name?defaultToGlobal=true",
    "GET /config/%FF",
    "GET /mode/closed",
    "GET /associations/resources/a/b?x=%zz",
    "GET /contexts",
    "GET /v1/metadata/id",
    "GET /v1/metadata/version",
    "HEAD /subjects/nobody/versions",
    "OPTIONS /subjects",
    "GET /subjects//versions",
    "PATCH /config",
    "DELETE /subjects/name?permanent=True",
];

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let media = ("content-type", "application/vnd.schemaregistry.v1+json");
    let basic = |name: &str| format!("Basic {}", BASE64_STANDARD.encode(format!("{name}:{SECRET}")));
    let mut seeds: Vec<Vec<u8>> = READS.iter().map(|line| seed(line, &[], "")).collect();
    for name in ["operator", "system", "suspended", "nobody"] {
        seeds.push(seed("GET /subjects", &[("authorization", &basic(name))], ""));
    }
    let imported = NAME.replacen('{', r#"{"id": 99, "version": 7, "#, 1);
    let unknown = NAME_AGAIN.replacen('{', r#"{"surprise": [{"a": null}], "ruleSet": {"domainRules": []}, "#, 1);
    let requests = [
        ("POST /subjects/name?normalize=True&deleted=true", NAME),
        ("POST /subjects/name/versions?normalize=FALSE", NAME),
        ("POST /subjects/person-value/versions", PERSON),
        ("POST /subjects/new/versions", unknown.as_str()),
        ("POST /subjects/open/versions", imported.as_str()),
        ("POST /subjects/closed/versions", NAME),
        ("POST /subjects/avro/versions", r#"{"schema": "\"string\""}"#),
        (
            "POST /subjects/name/versions",
            r#"{"schemaType": "JSON", "schema": "{\"type\":\"string\"}", "references": [{"name": "", "subject": "", "version": -1}]}"#,
        ),
        ("POST /compatibility/subjects/name/versions?verbose=true", NAME_AGAIN),
        (
            "POST /compatibility/subjects/name/versions/latest?verbose=True",
            r#"{"schemaType": "json", "schema": "{\"type\":\"array\"}"}"#,
        ),
        ("PUT /config", r#"{"compatibility": "NONE", "compatibilityPolicy": "LENIENT", "normalize": true}"#),
        ("PUT /config/name", r#"{"compatibility": "full_transitive"}"#),
        ("PUT /mode/name?force=True", r#"{"mode": "import"}"#),
        ("DELETE /mode/closed", ""),
        ("DELETE /config/name", ""),
    ];
    seeds.extend(requests.map(|(line, body)| seed(line, &[media], body)));
    let steps = ["DELETE /subjects/person-value/versions/1", "DELETE /subjects/name/versions/latest?permanent=False"];
    let last = "DELETE /subjects/person-value/versions/1?permanent=true";
    seeds.push([steps[0], steps[1], last].map(|line| seed(line, &[], "")).join(&BETWEEN));
    let forced = seed("PUT /mode/name?force=true", &[media], r#"{"mode": "IMPORT"}"#);
    seeds.push([forced, seed("POST /subjects/name/versions", &[media], &imported)].join(&BETWEEN));
    // Longer than any error may repeat.
    seeds.push(seed(&format!("GET /subjects/name/versions/{}", "9".repeat(2 * ECHO)), &[], ""));
    let long = "x".repeat(2 * ECHO);
    let schema = |schema: String| json!({"schemaType": "JSON", "schema": schema});
    let referring =
        json!([{"name": long, "subject": long, "version": 1}, {"name": "a", "subject": "b", "version": -2}]);
    let longest = [
        json!({"id": long}),
        json!({"schemaType": long, "schema": ""}),
        schema(format!("{{\"type\": \"object\", \"properties\": {{\"{long}\": {{\"type\": \"string\"}}}}}}")),
        schema(format!("{{\"type\": \"{long}\", \"pattern\": \"({long}\", \"x-ldop-element\": \"{long}\"}}")),
        schema(format!("{{\"$ref\": \"{long}#{long}\", \"$schema\": \"{long}\", \"$id\": \"{long}\"}}")),
        json!({"schemaType": "JSON", "schema": "{\"$ref\": \"a\"}", "references": referring}),
    ];
    for body in longest {
        for path in ["/subjects/name/versions", "/compatibility/subjects/name/versions?verbose=true"] {
            seeds.push(seed(&format!("POST {path}"), &[media], &body.to_string()));
        }
    }
    seeds
}
