//! A small client over the unix socket: one connection for each request or stream.

use crate::order::{AppOrder, Problem, ReleaseMade, RunOrder, RunStarted, Status};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use toft_model::event::Event;
use toft_model::{AppName, InstanceId};
use tokio::net::UnixStream;

/// What a call can end in.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody answers on the socket.
    #[error("no server answers at {socket}")]
    Unreachable {
        /// The socket's path.
        socket: PathBuf,
        /// What the kernel said.
        #[source]
        source: std::io::Error,
    },
    /// The connection broke.
    #[error("the connection to the server broke")]
    Broken(#[source] hyper::Error),
    /// The server refused.
    #[error("{}: {}", .0.what, .0.why)]
    Refused(Problem),
    /// An answer that this client cannot read.
    #[error("the server's answer cannot be read")]
    Unreadable(#[source] serde_json::Error),
}

/// Talks to one server.
#[derive(Debug, Clone)]
pub struct Client {
    socket: PathBuf,
}

impl Client {
    /// A client of the server behind this socket.
    pub fn new(socket: &Path) -> Self {
        Self {
            socket: socket.to_owned(),
        }
    }

    /// Makes a release and starts rolling it out.
    pub async fn release(&self, order: &AppOrder) -> Result<ReleaseMade, ClientError> {
        self.post(&format!("/v1/apps/{}/releases", order.app), order)
            .await
    }

    /// Runs something once.
    pub async fn run(&self, order: &RunOrder) -> Result<RunStarted, ClientError> {
        self.post(&format!("/v1/apps/{}/runs", order.spec.id.app), order)
            .await
    }

    /// Ends a run.
    pub async fn end_run(&self, id: &InstanceId) -> Result<(), ClientError> {
        let path = format!(
            "/v1/apps/{}/runs/{}/{}",
            id.app, id.process, id.generation.0
        );
        self.call::<serde_json::Value>(Method::DELETE, &path, Vec::new())
            .await
            .map(|_| ())
    }

    /// Everything as it is.
    pub async fn status(&self) -> Result<Status, ClientError> {
        self.call(Method::GET, "/v1/status", Vec::new()).await
    }

    /// Events after this number, and those to come.
    pub async fn events(&self, after: u64) -> Result<Events<Event>, ClientError> {
        self.stream(&format!("/v1/events?after={after}")).await
    }

    /// Log lines from now on, and all that still stands in the rings when `from_start`.
    pub async fn logs(
        &self,
        app: &AppName,
        from_start: bool,
    ) -> Result<Events<crate::order::LogLine>, ClientError> {
        self.stream(&format!("/v1/apps/{app}/logs?from_start={from_start}"))
            .await
    }

    async fn post<A: Serialize, B: DeserializeOwned>(
        &self,
        path: &str,
        body: &A,
    ) -> Result<B, ClientError> {
        let body = serde_json::to_vec(body).map_err(ClientError::Unreadable)?;
        self.call(Method::POST, path, body).await
    }

    async fn call<B: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Vec<u8>,
    ) -> Result<B, ClientError> {
        let response = self.send(method, path, body).await?;
        let status = response.status();
        let bytes = response
            .into_body()
            .collect()
            .await
            .map_err(ClientError::Broken)?
            .to_bytes();
        if status.is_success() {
            serde_json::from_slice(&bytes).map_err(ClientError::Unreadable)
        } else {
            Err(refusal(status, &bytes))
        }
    }

    async fn stream<T: DeserializeOwned>(&self, path: &str) -> Result<Events<T>, ClientError> {
        let response = self.send(Method::GET, path, Vec::new()).await?;
        let status = response.status();
        if !status.is_success() {
            let bytes = response
                .into_body()
                .collect()
                .await
                .map_err(ClientError::Broken)?
                .to_bytes();
            return Err(refusal(status, &bytes));
        }
        Ok(Events {
            body: response.into_body(),
            buffer: Vec::new(),
            kind: PhantomData,
        })
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Vec<u8>,
    ) -> Result<Response<Incoming>, ClientError> {
        let unreachable = |source| ClientError::Unreachable {
            socket: self.socket.clone(),
            source,
        };
        let stream = UnixStream::connect(&self.socket)
            .await
            .map_err(unreachable)?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(ClientError::Broken)?;
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "toft")
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(body)))
            .expect("the parts of the request are constants and checked names");
        #[expect(
            clippy::disallowed_methods,
            reason = "drives one connection and ends with it"
        )]
        tokio::spawn(connection);
        sender
            .send_request(request)
            .await
            .map_err(ClientError::Broken)
    }
}

fn refusal(status: StatusCode, bytes: &[u8]) -> ClientError {
    let problem = serde_json::from_slice(bytes).unwrap_or_else(|_| Problem {
        what: format!("the server answered {status}"),
        why: String::from_utf8_lossy(bytes).into_owned(),
    });
    ClientError::Refused(problem)
}

/// A stream of server-sent events, each decoded.
#[derive(Debug)]
pub struct Events<T> {
    body: Incoming,
    buffer: Vec<u8>,
    kind: PhantomData<T>,
}

impl<T: DeserializeOwned> Events<T> {
    /// The next one; `None` when the server ended the stream. Safe to cancel.
    pub async fn next(&mut self) -> Result<Option<T>, ClientError> {
        loop {
            if let Some(data) = take_event(&mut self.buffer) {
                return serde_json::from_str(&data)
                    .map(Some)
                    .map_err(ClientError::Unreadable);
            }
            match self.body.frame().await {
                None => return Ok(None),
                Some(frame) => {
                    if let Ok(data) = frame.map_err(ClientError::Broken)?.into_data() {
                        self.buffer.extend_from_slice(&data);
                    }
                }
            }
        }
    }
}

/// Cuts the first whole event off the buffer and gives its data; comments are skipped.
fn take_event(buffer: &mut Vec<u8>) -> Option<String> {
    loop {
        let end = buffer.windows(2).position(|pair| pair == b"\n\n")?;
        let event: Vec<u8> = buffer.drain(..end + 2).collect();
        let text = String::from_utf8_lossy(&event);
        let data: Vec<&str> = text
            .lines()
            .filter_map(|line| line.strip_prefix("data:"))
            .map(|data| data.strip_prefix(' ').unwrap_or(data))
            .collect();
        if !data.is_empty() {
            return Some(data.join("\n"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_cut_at_blank_lines_and_comments_are_skipped() {
        let mut buffer = b": hello\n\nid: 1\ndata: {\"a\":1}\n\nid: 2\nda".to_vec();
        assert_eq!(take_event(&mut buffer).as_deref(), Some("{\"a\":1}"));
        assert_eq!(take_event(&mut buffer), None);
        buffer.extend_from_slice(b"ta: x\ndata: y\n\n");
        assert_eq!(take_event(&mut buffer).as_deref(), Some("x\ny"));
        assert!(buffer.is_empty());
    }
}
