//! Which bytes may stand where (RFC 9110 §5.6.2, §5.5; RFC 3986 §3).

/// A set of byte values.
pub(super) struct Set([bool; 256]);

impl Set {
    const fn new(matches: Class) -> Self {
        let mut set = [false; 256];
        let mut at = 0;
        while at < 256 {
            set[at] = class(at as u8, matches);
            at += 1;
        }
        Self(set)
    }

    /// Whether all of `bytes` are in the set.
    pub(super) fn all(&self, bytes: &[u8]) -> bool {
        bytes.iter().all(|b| self.0[usize::from(*b)])
    }

    /// Whether this byte is in the set.
    pub(super) fn has(&self, byte: u8) -> bool {
        self.0[usize::from(byte)]
    }
}

/// Names a set where a const fn cannot take a closure.
#[derive(Clone, Copy)]
enum Class {
    Token,
    Value,
    Target,
    Host,
}

const fn class(byte: u8, set: Class) -> bool {
    match set {
        Class::Token => {
            byte.is_ascii_alphanumeric()
                || matches!(
                    byte,
                    b'!' | b'#'
                        | b'$'
                        | b'%'
                        | b'&'
                        | b'\''
                        | b'*'
                        | b'+'
                        | b'-'
                        | b'.'
                        | b'^'
                        | b'_'
                        | b'`'
                        | b'|'
                        | b'~'
                )
        }
        Class::Value => matches!(byte, b'\t' | b' '..=b'~' | 0x80..=0xff),
        Class::Target => matches!(byte, b'!'..=b'~') && byte != b'#',
        Class::Host => {
            byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':' | b'[' | b']')
        }
    }
}

/// tchar.
pub(super) static TOKEN: Set = Set::new(Class::Token);
/// field-vchar, obs-text, space and tab.
pub(super) static VALUE: Set = Set::new(Class::Value);
/// Visible ASCII without `#`, which no target may carry.
pub(super) static TARGET: Set = Set::new(Class::Target);
/// What a host and its port are made of.
pub(super) static HOST: Set = Set::new(Class::Host);

/// Without spaces and tabs at both ends.
pub(super) fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

/// A number made of digits alone, as long as it can be counted.
pub(super) fn decimal(bytes: &[u8]) -> Option<u64> {
    if bytes.is_empty() || bytes.len() > 18 {
        return None;
    }
    bytes.iter().try_fold(0u64, |sum, b| {
        b.is_ascii_digit().then(|| sum * 10 + u64::from(b - b'0'))
    })
}

/// Appends a number in decimal.
pub(super) fn push_decimal(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}
