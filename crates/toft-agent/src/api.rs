//! The API on the machine's unix socket: each handler asks the one task that owns the state.

use crate::events::EventLog;
use crate::logs::Logs;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use serde::Deserialize;
use std::convert::Infallible;
use toft_api::{AppOrder, Problem, ReleaseMade, RunOrder, RunStarted, Status};
use toft_model::instance::InstanceSpec;
use toft_model::{AppName, Generation, InstanceId, ProcessName};
use tokio::net::UnixListener;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;

/// How many items a stream may be behind before its reader is waited for.
const STREAM_AHEAD: usize = 64;

/// What a handler asks.
#[derive(Debug)]
pub(crate) enum Question {
    /// Make a release.
    Release(Box<AppOrder>, oneshot::Sender<u64>),
    /// Run once.
    Run(Box<InstanceSpec>, oneshot::Sender<InstanceId>),
    /// End a run; was there one?
    EndRun(InstanceId, oneshot::Sender<bool>),
    /// How are things?
    Status(oneshot::Sender<Status>),
}

#[derive(Clone)]
struct Context {
    questions: mpsc::Sender<Question>,
    events: EventLog,
    logs: Logs,
}

/// Starts serving.
pub(crate) fn start(
    listener: UnixListener,
    questions: mpsc::Sender<Question>,
    events: EventLog,
    logs: Logs,
) {
    let router = Router::new()
        .route("/v1/status", get(status))
        .route("/v1/events", get(follow_events))
        .route("/v1/apps/{app}/releases", post(release))
        .route("/v1/apps/{app}/runs", post(run))
        .route(
            "/v1/apps/{app}/runs/{process}/{generation}",
            delete(end_run),
        )
        .route("/v1/apps/{app}/logs", get(follow_logs))
        .with_state(Context {
            questions,
            events,
            logs,
        });
    task(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!(%error, "the API ended");
        }
    });
}

/// Runs a task that lives as long as the role or its client does.
fn task(future: impl Future<Output = ()> + Send + 'static) {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place of this crate that spawns; a panic ends the role, which the keeper restarts"
    )]
    tokio::spawn(future);
}

async fn ask<T>(
    context: &Context,
    question: impl FnOnce(oneshot::Sender<T>) -> Question,
) -> Result<T, Refused> {
    let (answer, answered) = oneshot::channel();
    let gone = || {
        Refused(
            StatusCode::SERVICE_UNAVAILABLE,
            "the order",
            "this server is ending".to_owned(),
        )
    };
    context
        .questions
        .send(question(answer))
        .await
        .map_err(|_| gone())?;
    answered.await.map_err(|_| gone())
}

struct Refused(StatusCode, &'static str, String);

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (
            self.0,
            Json(Problem {
                what: self.1.to_owned(),
                why: self.2,
            }),
        )
            .into_response()
    }
}

async fn status(State(context): State<Context>) -> Result<Json<Status>, Refused> {
    ask(&context, Question::Status).await.map(Json)
}

async fn release(
    State(context): State<Context>,
    Path(app): Path<AppName>,
    Json(order): Json<AppOrder>,
) -> Result<Json<ReleaseMade>, Refused> {
    if order.app != app {
        let why = format!("the path names {app}, the order names {}", order.app);
        return Err(Refused(StatusCode::BAD_REQUEST, "the release", why));
    }
    ask(&context, |answer| {
        Question::Release(Box::new(order), answer)
    })
    .await
    .map(|release| Json(ReleaseMade { release }))
}

async fn run(
    State(context): State<Context>,
    Path(app): Path<AppName>,
    Json(order): Json<RunOrder>,
) -> Result<Json<RunStarted>, Refused> {
    if order.spec.id.app != app {
        let why = format!(
            "the path names {app}, the order names {}",
            order.spec.id.app
        );
        return Err(Refused(StatusCode::BAD_REQUEST, "the run", why));
    }
    ask(&context, |answer| {
        Question::Run(Box::new(order.spec), answer)
    })
    .await
    .map(|instance| Json(RunStarted { instance }))
}

async fn end_run(
    State(context): State<Context>,
    Path((app, process, generation)): Path<(AppName, ProcessName, u64)>,
) -> Result<Json<serde_json::Value>, Refused> {
    let id = InstanceId {
        app,
        process,
        index: 0,
        generation: Generation(generation),
    };
    let words = id.to_string();
    if ask(&context, |answer| Question::EndRun(id, answer)).await? {
        Ok(Json(serde_json::json!({})))
    } else {
        Err(Refused(
            StatusCode::NOT_FOUND,
            "the run",
            format!("{words} does not run"),
        ))
    }
}

#[derive(Debug, Deserialize)]
struct After {
    #[serde(default)]
    after: u64,
}

async fn follow_events(State(context): State<Context>, Query(query): Query<After>) -> Response {
    let (sender, receiver) = mpsc::channel(STREAM_AHEAD);
    let log = context.events;
    task(async move {
        let mut newest = log.watch();
        let mut seen = query.after;
        loop {
            while let Some(event) = log.after(seen) {
                seen = event.number;
                if sender.send(sse(event.number, &event)).await.is_err() {
                    return;
                }
            }
            tokio::select! {
                changed = newest.changed() => if changed.is_err() { return },
                () = sender.closed() => return,
            }
        }
    });
    streamed(receiver)
}

#[derive(Debug, Deserialize)]
struct FromStart {
    #[serde(default)]
    from_start: bool,
}

async fn follow_logs(
    State(context): State<Context>,
    Path(app): Path<AppName>,
    Query(query): Query<FromStart>,
) -> Response {
    let (sender, receiver) = mpsc::channel(STREAM_AHEAD);
    task(async move {
        let mut number = 0;
        let mut follower = context.logs.follow(&app, query.from_start);
        loop {
            let lines = follower.take();
            let more = !lines.is_empty();
            for line in lines {
                number += 1;
                if sender.send(sse(number, &line)).await.is_err() {
                    return;
                }
            }
            if more {
                continue;
            }
            tokio::select! {
                () = follower.wait() => {}
                () = sender.closed() => return,
            }
        }
    });
    streamed(receiver)
}

fn sse<T: serde::Serialize>(id: u64, item: &T) -> Bytes {
    let json = serde_json::to_string(item).unwrap_or_else(|_| "null".to_owned());
    Bytes::from(format!("id: {id}\ndata: {json}\n\n"))
}

fn streamed(receiver: mpsc::Receiver<Bytes>) -> Response {
    let stream = ReceiverStream::new(receiver).map(Ok::<_, Infallible>);
    (
        [(header::CONTENT_TYPE, "text/event-stream")],
        Body::from_stream(stream),
    )
        .into_response()
}
