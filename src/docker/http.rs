//! Requests to an engine: HTTP over whatever leads there, with a deadline on each and bounded answers.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode, header};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::connect::Connector;
use super::error::Error;

/// The time an ordinary request has.
pub(super) const DEADLINE: Duration = Duration::from_secs(30);
/// The longest answer that is read into memory; a host with thousands of images stays below.
const ANSWER_LIMIT: usize = 64 << 20;
/// The longest error message that is read.
const MESSAGE_LIMIT: usize = 64 << 10;

pub(super) type BoxError = Box<dyn std::error::Error + Send + Sync>;
pub(super) type Body = UnsyncBoxBody<Bytes, BoxError>;

/// A client of one engine.
#[derive(Clone)]
pub(super) struct Http {
    client: Client<Connector, Body>,
    /// `/v1.41`, once that is agreed on.
    prefix: Arc<str>,
    host: Arc<str>,
}

/// A request.
pub(super) struct Call {
    method: Method,
    path: String,
    /// What it does, to complete "cannot …".
    pub(super) what: String,
    content_type: Option<&'static str>,
    /// What the engine shows to a registry.
    registry_auth: Option<String>,
    upgrade: bool,
    body: Body,
}

impl Call {
    pub(super) fn new(method: Method, path: impl Into<String>, what: impl Into<String>) -> Self {
        let body = Empty::new().map_err(|never| match never {}).boxed_unsync();
        Self {
            method,
            path: path.into(),
            what: what.into(),
            content_type: None,
            registry_auth: None,
            upgrade: false,
            body,
        }
    }

    pub(super) fn get(path: impl Into<String>, what: impl Into<String>) -> Self {
        Self::new(Method::GET, path, what)
    }

    pub(super) fn post(path: impl Into<String>, what: impl Into<String>) -> Self {
        Self::new(Method::POST, path, what)
    }

    pub(super) fn put(path: impl Into<String>, what: impl Into<String>) -> Self {
        Self::new(Method::PUT, path, what)
    }

    pub(super) fn delete(path: impl Into<String>, what: impl Into<String>) -> Self {
        Self::new(Method::DELETE, path, what)
    }

    /// Adds a parameter.
    pub(super) fn query(mut self, name: &str, value: impl AsRef<str>) -> Self {
        let separator = if self.path.contains('?') { '&' } else { '?' };
        let _ = write!(self.path, "{separator}{name}={}", escape(value.as_ref(), ""));
        self
    }

    /// Adds a parameter if there is a value for it.
    pub(super) fn query_if(self, name: &str, value: Option<impl AsRef<str>>) -> Self {
        match value {
            Some(value) => self.query(name, value),
            None => self,
        }
    }

    pub(super) fn json(mut self, body: &Value) -> Self {
        self.content_type = Some("application/json");
        self.body = Full::new(Bytes::from(body.to_string())).map_err(|never| match never {}).boxed_unsync();
        self
    }

    /// A body that is made while it is sent.
    pub(super) fn tar(mut self, body: Body) -> Self {
        self.content_type = Some("application/x-tar");
        self.body = body;
        self
    }

    /// The user and password that the engine shows to the registry it is sent to.
    pub(super) fn registry_auth(mut self, user: &str, password: &str) -> Self {
        let json = serde_json::json!({ "username": user, "password": password }).to_string();
        self.registry_auth = Some(data_encoding::BASE64URL.encode(json.as_bytes()));
        self
    }

    /// Asks for the connection itself after the answer.
    pub(super) fn upgrade(mut self) -> Self {
        self.upgrade = true;
        self
    }
}

impl Http {
    pub(super) fn new(connector: Connector, host: &str) -> Self {
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_max_idle_per_host(4)
            .build(connector);
        Self { client, prefix: "".into(), host: host.into() }
    }

    /// The same client, speaking this version of the API.
    pub(super) fn versioned(&self, api: &str) -> Self {
        Self { prefix: format!("/v{api}").into(), ..self.clone() }
    }

    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// Sends a request and waits for the headers of its answer. Anything but success is an error.
    pub(super) async fn send(&self, call: Call, deadline: Duration) -> Result<Response<Incoming>, Error> {
        let what = call.what.clone();
        match tokio::time::timeout(deadline, self.exchange(call)).await {
            Ok(result) => result,
            Err(_) => Err(self.late(&what, deadline)),
        }
    }

    async fn exchange(&self, call: Call) -> Result<Response<Incoming>, Error> {
        let mut request = Request::builder()
            .method(call.method)
            .uri(format!("http://docker{}{}", self.prefix, call.path))
            .header(header::HOST, "docker");
        if let Some(content_type) = call.content_type {
            request = request.header(header::CONTENT_TYPE, content_type);
        }
        if let Some(auth) = call.registry_auth {
            request = request.header("X-Registry-Auth", auth);
        }
        if call.upgrade {
            request = request.header(header::CONNECTION, "Upgrade").header(header::UPGRADE, "tcp");
        }
        let request =
            request.body(call.body).map_err(|error| Error::broken(&self.host, &call.what, error))?;
        let response = self
            .client
            .request(request)
            .await
            .map_err(|error| Error::broken(&self.host, &call.what, error))?;
        let status = response.status();
        if status.is_success() || matches!(status, StatusCode::SWITCHING_PROTOCOLS | StatusCode::NOT_MODIFIED)
        {
            return Ok(response);
        }
        let text = self.collect(response, &call.what, MESSAGE_LIMIT).await.unwrap_or_default();
        Err(Error::Refused {
            host: self.host.to_string(),
            what: call.what,
            status: status.as_u16(),
            message: message(&text, status),
        })
    }

    /// Sends a request whose answer does not matter beyond its success.
    pub(super) async fn done(&self, call: Call, deadline: Duration) -> Result<(), Error> {
        self.bytes(call, deadline).await.map(drop)
    }

    /// Sends a request and reads its whole answer.
    pub(super) async fn bytes(&self, call: Call, deadline: Duration) -> Result<Bytes, Error> {
        let what = call.what.clone();
        let work = async {
            let response = self.exchange(call).await?;
            self.collect(response, &what, ANSWER_LIMIT).await
        };
        tokio::time::timeout(deadline, work).await.map_err(|_| self.late(&what, deadline))?
    }

    /// Sends a request and decodes its answer.
    pub(super) async fn json<T: DeserializeOwned>(&self, call: Call, deadline: Duration) -> Result<T, Error> {
        let what = call.what.clone();
        let bytes = self.bytes(call, deadline).await?;
        serde_json::from_slice(&bytes).map_err(|error| self.malformed(&what, &error))
    }

    /// As [`Self::json`], with `None` for something that does not exist.
    pub(super) async fn find<T: DeserializeOwned>(
        &self,
        call: Call,
        deadline: Duration,
    ) -> Result<Option<T>, Error> {
        match self.json(call, deadline).await {
            Ok(found) => Ok(Some(found)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) fn malformed(&self, what: &str, detail: &dyn std::fmt::Display) -> Error {
        Error::Malformed { host: self.host.to_string(), what: what.to_owned(), detail: detail.to_string() }
    }

    pub(super) fn late(&self, what: &str, after: Duration) -> Error {
        Error::Deadline { host: self.host.to_string(), what: what.to_owned(), after }
    }

    async fn collect(&self, response: Response<Incoming>, what: &str, limit: usize) -> Result<Bytes, Error> {
        let mut body = response.into_body();
        let mut bytes = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| Error::broken(&self.host, what, error))?;
            if let Ok(data) = frame.into_data() {
                if bytes.len() + data.len() > limit {
                    return Err(self.malformed(what, &format!("it is longer than {limit} bytes")));
                }
                bytes.extend_from_slice(&data);
            }
        }
        Ok(bytes.freeze())
    }
}

/// The engine's words in an answer: `{"message": "…"}`, or whatever it is.
fn message(body: &[u8], status: StatusCode) -> String {
    let json: Option<Value> = serde_json::from_slice(body).ok();
    if let Some(message) = json.as_ref().and_then(|json| json.get("message")?.as_str()) {
        return message.trim_end().to_owned();
    }
    let text = String::from_utf8_lossy(body).trim().to_owned();
    if text.is_empty() { format!("HTTP status {status}") } else { text }
}

/// Percent-encodes everything but letters, digits, `-._~` and `keep`.
pub(super) fn escape(text: &str, keep: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        let c = char::from(byte);
        if byte.is_ascii_alphanumeric() || "-._~".contains(c) || (byte.is_ascii() && keep.contains(c)) {
            out.push(c);
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// A container's name or id as a part of a path.
pub(super) fn segment(name: &str) -> String {
    escape(name, "")
}

/// An image reference as a part of a path, where the engine expects its slashes and colons as they are.
pub(super) fn image_segment(image: &str) -> String {
    escape(image, "/:@")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_escaped() {
        let call = Call::get("/x", "x")
            .query("a", "b c&d=é/")
            .query_if("e", None::<&str>)
            .query("f", r#"{"g":[1]}"#);
        assert_eq!(call.path, "/x?a=b%20c%26d%3D%C3%A9%2F&f=%7B%22g%22%3A%5B1%5D%7D");
        assert_eq!(segment("../secrets?x"), "..%2Fsecrets%3Fx");
        assert_eq!(image_segment("ghcr.io/a/b:1@sha256:c?"), "ghcr.io/a/b:1@sha256:c%3F");
    }

    #[test]
    fn messages_are_found() {
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        assert_eq!(message(br#"{"message":"No such image: x\n"}"#, status), "No such image: x");
        assert_eq!(message(b"page not found\n", status), "page not found");
        assert_eq!(message(b"", status), "HTTP status 500 Internal Server Error");
    }
}
