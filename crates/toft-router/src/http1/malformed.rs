//! Everything that a message can be refused for.

/// Why a request or a response was not understood. The words are for the person at the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// A line that ends in LF alone.
    #[error("a line ends without CR")]
    BareLf,
    /// CR, NUL or another control character where it may not be.
    #[error("a control character stands in the head")]
    Control,
    /// More than `HEAD_BYTES_MAX`.
    #[error("the head is larger than 64 KiB")]
    HeadTooLarge,
    /// More than `FIELDS_MAX`.
    #[error("there are more than 100 header fields")]
    TooManyFields,
    /// Not `METHOD TARGET HTTP/1.x`.
    #[error("the request line is not `METHOD TARGET HTTP/1.1`")]
    RequestLine,
    /// HTTP, but not of this major version.
    #[error("the version is neither HTTP/1.1 nor HTTP/1.0")]
    Version,
    /// Not `HTTP/1.x CODE REASON`.
    #[error("the status line is not `HTTP/1.1 CODE REASON`")]
    StatusLine,
    /// Not a path, an absolute `http` URI, or `*` of OPTIONS.
    #[error("the request target is not a path")]
    Target,
    /// CONNECT, which this proxy does not serve.
    #[error("CONNECT is not served here")]
    Connect,
    /// A field line without a name and a colon directly behind it.
    #[error("a header line is not `name: value`")]
    FieldLine,
    /// A line that starts with a space continues the one before: withdrawn by RFC 9112 §5.2.
    #[error("a header line is folded")]
    Folded,
    /// HTTP/1.1 without `Host`.
    #[error("there is no Host field")]
    NoHost,
    /// `Host` twice.
    #[error("there is more than one Host field")]
    SecondHost,
    /// `Host` that no host name can be.
    #[error("the Host field is not a host name")]
    BadHost,
    /// An absolute target with another authority than `Host`.
    #[error("the request target and the Host field differ")]
    HostMismatch,
    /// `Content-Length` that is no number.
    #[error("Content-Length is not a number")]
    BadLength,
    /// `Content-Length` twice.
    #[error("there is more than one Content-Length")]
    SecondLength,
    /// `Transfer-Encoding` other than one `chunked`.
    #[error("Transfer-Encoding is not exactly `chunked`")]
    BadCoding,
    /// `Transfer-Encoding` in HTTP/1.0.
    #[error("Transfer-Encoding is not part of HTTP/1.0")]
    CodingInOld,
    /// Both ways to say where the body ends.
    #[error("there are both Content-Length and Transfer-Encoding")]
    LengthAndCoding,
    /// `Expect` other than `100-continue`.
    #[error("Expect is not `100-continue`")]
    BadExpect,
    /// A chunk whose size line is wrong.
    #[error("a chunk has a malformed size line")]
    ChunkSize,
    /// A chunk that does not end where its size says.
    #[error("a chunk does not end where its size says")]
    ChunkEnd,
    /// Chunk extensions without end.
    #[error("the chunk extensions are too long")]
    ChunkExtension,
    /// A malformed or endless trailer section.
    #[error("the trailer section is malformed")]
    Trailer,
    /// An upgrade that was not asked for.
    #[error("the answer changes to a protocol that was not asked for")]
    Upgrade,
    /// Interim answers without end.
    #[error("there are too many interim answers")]
    Interim,
    /// The other end closed in the middle of a message.
    #[error("the connection ended in the middle of a message")]
    Truncated,
}

impl Malformed {
    /// The status that a client is answered with for such a request.
    pub fn status(self) -> u16 {
        match self {
            Malformed::HeadTooLarge | Malformed::TooManyFields => 431,
            Malformed::Version => 505,
            Malformed::Connect => 405,
            Malformed::BadExpect => 417,
            _ => 400,
        }
    }
}
