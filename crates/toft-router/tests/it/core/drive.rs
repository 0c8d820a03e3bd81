//! Drives the core over whole streams, in any cut. The fuzz targets use this file too.

use toft_router::http1::{
    Body, Client, Exchange, HeadScan, Malformed, Phase, Pieces, Writing, parse_request,
    parse_response, write_request,
};

/// What one message means to whoever reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Meaning {
    /// Method, target and host; or the status.
    pub(crate) what: String,
    pub(crate) body: Vec<u8>,
    pub(crate) whole: bool,
}

/// The way up: requests of one client.
#[derive(Default)]
pub(crate) struct Up {
    held: Vec<u8>,
    scan: HeadScan,
    exchange: Option<Exchange>,
    pub(crate) out: Vec<u8>,
    pub(crate) requests: usize,
    pub(crate) refused: Option<Malformed>,
}

impl Up {
    /// More of the stream.
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        self.held.extend_from_slice(bytes);
        while self.refused.is_none() {
            match self.step() {
                Ok(true) => {}
                Ok(false) => return,
                Err(malformed) => self.refused = Some(malformed),
            }
        }
    }

    fn step(&mut self) -> Result<bool, Malformed> {
        let mut pieces = Pieces::default();
        let (taken, goes_on) = match &mut self.exchange {
            Some(exchange) if !exchange.is_request_done() => {
                let taken = exchange.request(&self.held, 0, &mut pieces)?;
                (taken, taken > 0)
            }
            _ => {
                let Some(length) = self.scan.find(&self.held)? else {
                    return Ok(false);
                };
                self.scan = HeadScan::default();
                let mut fields = Vec::new();
                let head = &self.held[..length];
                let request = parse_request(head, &mut fields)?;
                self.exchange = Some(Exchange::new(head, &request));
                self.requests += 1;
                let client = Client {
                    address: b"192.0.2.1",
                    proto: b"http",
                };
                pieces.write(|own| write_request(own, head, &request, &fields, &client));
                (length, true)
            }
        };
        pieces.copy_behind(&self.held, 0, &mut self.out);
        self.held.drain(..taken);
        Ok(goes_on)
    }
}

/// The way down: answers to one request.
pub(crate) struct Down {
    held: Vec<u8>,
    exchange: Exchange,
    pub(crate) out: Vec<u8>,
    pub(crate) refused: Option<Malformed>,
    pub(crate) surplus: bool,
}

impl Down {
    /// Answers to this request, which has no body.
    pub(crate) fn new(request: &str) -> Self {
        let parsed = parse_request(request.as_bytes(), &mut Vec::new()).expect("a good request");
        let exchange = Exchange::new(request.as_bytes(), &parsed);
        Self {
            held: Vec::new(),
            exchange,
            out: Vec::new(),
            refused: None,
            surplus: false,
        }
    }

    /// More of the stream.
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        if self.refused.is_some() || self.surplus {
            return;
        }
        self.held.extend_from_slice(bytes);
        let mut pieces = Pieces::default();
        match self
            .exchange
            .response(&self.held, &mut Vec::new(), &mut pieces)
        {
            Ok(taken) => {
                pieces.copy_behind(&self.held, 0, &mut self.out);
                self.held.drain(..taken);
            }
            Err(malformed) => self.refused = Some(malformed),
        }
        let over = matches!(self.phase(), Phase::Done | Phase::Tunnel);
        self.surplus = over && !self.held.is_empty();
    }

    /// The end of the stream.
    pub(crate) fn end(&mut self) {
        if self.refused.is_some() {
            return;
        }
        let mut pieces = Pieces::default();
        match self.exchange.response_end(&mut pieces) {
            Ok(()) => pieces.copy_behind(&[], 0, &mut self.out),
            Err(malformed) => self.refused = Some(malformed),
        }
    }

    pub(crate) fn phase(&self) -> Phase {
        self.exchange.phase()
    }

    pub(crate) fn client_keeps(&self) -> bool {
        self.exchange.client_keeps()
    }

    pub(crate) fn upstream_keeps(&self) -> bool {
        self.exchange.upstream_keeps()
    }
}

/// What a stream of requests means, as far as it is well formed.
pub(crate) fn requests_of(mut stream: &[u8]) -> Vec<Meaning> {
    let mut all = Vec::new();
    while let Ok(Some(length)) = HeadScan::default().find(stream) {
        let (head, rest) = stream.split_at(length);
        let mut fields = Vec::new();
        let Ok(request) = parse_request(head, &mut fields) else {
            break;
        };
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let what = format!(
            "{} {} {}",
            text(request.method.of_buffer(head)),
            text(request.target(head)),
            text(request.host.of_buffer(head))
        );
        let Some((body, whole, taken)) = plain(Body::new(request.framing, Writing::Plain), rest)
        else {
            break;
        };
        all.push(Meaning { what, body, whole });
        stream = &rest[taken..];
    }
    all
}

/// What the first final answer of a stream that has ended means; `None` when it is malformed.
pub(crate) fn answer_of(mut stream: &[u8], head_only: bool) -> Option<Meaning> {
    loop {
        let length = HeadScan::default().find(stream).ok()??;
        let (head, rest) = stream.split_at(length);
        let answer = parse_response(head, &mut Vec::new(), head_only).ok()?;
        stream = rest;
        if answer.status < 200 && answer.status != 101 {
            continue;
        }
        let mut body = Body::new(answer.framing, Writing::Plain);
        let mut pieces = Pieces::default();
        body.feed(rest, 0, &mut pieces).ok()?;
        let whole = body.end(&mut pieces).is_ok();
        let mut plain = Vec::new();
        pieces.copy_behind(rest, 0, &mut plain);
        return Some(Meaning {
            what: answer.status.to_string(),
            body: plain,
            whole,
        });
    }
}

fn plain(mut body: Body, rest: &[u8]) -> Option<(Vec<u8>, bool, usize)> {
    let mut pieces = Pieces::default();
    let taken = body.feed(rest, 0, &mut pieces).ok()?;
    let mut plain = Vec::new();
    pieces.copy_behind(rest, 0, &mut plain);
    Some((plain, body.is_done(), taken))
}

/// The stretches between cuts that `seed` chooses.
pub(crate) fn cut(stream: &[u8], mut seed: u64) -> Vec<&[u8]> {
    let (mut rest, mut parts) = (stream, Vec::new());
    while !rest.is_empty() {
        let length = (next(&mut seed) % 23 + 1) as usize;
        let (part, after) = rest.split_at(length.min(rest.len()));
        parts.push(part);
        rest = after;
    }
    parts
}

/// A number from a seed that it moves on (splitmix64).
pub(crate) fn next(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *seed;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Everything that must hold for any stream of requests.
pub(crate) fn check_requests(stream: &[u8], seed: u64) {
    let mut whole = Up::default();
    whole.feed(stream);
    for seed in [None, Some(seed)] {
        let mut parts = Up::default();
        match seed {
            None => stream.chunks(1).for_each(|part| parts.feed(part)),
            Some(seed) => cut(stream, seed)
                .into_iter()
                .for_each(|part| parts.feed(part)),
        }
        assert_eq!(whole.refused, parts.refused, "any cut is refused alike");
        assert_eq!(
            whole.requests, parts.requests,
            "any cut holds the same requests"
        );
        if whole.refused.is_none() {
            assert_eq!(
                show(&whole.out),
                show(&parts.out),
                "any cut is passed on alike"
            );
        } else {
            assert!(
                parts.out.starts_with(&whole.out),
                "what goes before a refusal is the same"
            );
        }
    }
    if whole.refused.is_none() {
        assert_eq!(
            requests_of(stream),
            requests_of(&whole.out),
            "it means the same behind us"
        );
        let mut again = Up::default();
        again.feed(&whole.out);
        assert_eq!(again.refused, None, "what is passed on is well formed");
        assert_eq!(again.requests, whole.requests);
    }
}

/// Everything that must hold for any stream of answers to `request`.
pub(crate) fn check_answers(request: &str, stream: &[u8], seed: u64) {
    let run = |parts: Vec<&[u8]>| {
        let mut down = Down::new(request);
        parts.into_iter().for_each(|part| down.feed(part));
        down.end();
        down
    };
    let whole = run(vec![stream]);
    let head_only = request.starts_with("HEAD");
    for parts in [run(stream.chunks(1).collect()), run(cut(stream, seed))] {
        assert_eq!(whole.refused, parts.refused, "any cut is refused alike");
        assert_eq!(whole.phase(), parts.phase());
        assert_eq!(whole.surplus, parts.surplus);
        assert_eq!(whole.client_keeps(), parts.client_keeps());
        if whole.refused.is_none() {
            // Chunks of our own follow the reads; what they mean does not.
            let meaning = answer_of(&parts.out, head_only);
            assert_eq!(answer_of(&whole.out, head_only), meaning);
        }
    }
    if whole.refused.is_none() && whole.phase() == Phase::Done {
        let before = answer_of(stream, head_only).expect("it was understood");
        let after = answer_of(&whole.out, head_only).expect("what is passed on is well formed");
        assert_eq!(before, after, "it means the same to the client");
    }
}

/// Bytes for a person.
pub(crate) fn show(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string().replace("\\r\\n", "\n")
}
