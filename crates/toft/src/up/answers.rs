//! Asking the app itself, through the router, before anybody is told that it serves.

use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpStream;

/// The header by which the router marks answers of its own.
const CAUSE: &str = "x-toft-cause";
/// How often a first answer is asked for.
const TRIES: u32 = 40;
/// How long one try and the pause after it may take.
const TRY: Duration = Duration::from_millis(250);

/// The status of `GET /`, once it is the app's own answer; the last thing met otherwise.
pub(crate) async fn first_answer(address: SocketAddr, host: &str) -> Result<StatusCode, String> {
    let mut met = String::new();
    for _ in 0..TRIES {
        match tokio::time::timeout(TRY, get(address, host)).await {
            Ok(Ok(status)) => return Ok(status),
            Ok(Err(words)) => {
                met = words;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            // It answers slowly: the request was taken, which is all that is to be shown.
            Err(_) => met = "it takes longer than a moment to answer GET /".to_owned(),
        }
    }
    Err(met)
}

async fn get(address: SocketAddr, host: &str) -> Result<StatusCode, String> {
    let stream = TcpStream::connect(address)
        .await
        .map_err(|e| e.to_string())?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|e| e.to_string())?;
    #[expect(
        clippy::disallowed_methods,
        reason = "drives one connection and ends with it"
    )]
    let driven = tokio::spawn(connection);
    let request = Request::get("/")
        .header("host", host)
        .header("user-agent", "toft-up")
        .header("connection", "close")
        .body(Empty::<Bytes>::new())
        .map_err(|e| e.to_string())?;
    let response = sender
        .send_request(request)
        .await
        .map_err(|e| e.to_string());
    driven.abort();
    let response = response?;
    match response.headers().get(CAUSE) {
        None => Ok(response.status()),
        Some(cause) => Err(String::from_utf8_lossy(cause.as_bytes()).into_owned()),
    }
}
